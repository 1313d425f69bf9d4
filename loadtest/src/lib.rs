//! Load, and the proof of what it did.
//!
//! | module | what it is |
//! |---|---|
//! | [`command`], [`settings`], [`stack`] | subcommands, addresses, processes |
//! | [`http`], [`pool`], [`request`], [`answer`] | a lean client: bytes out, answers in |
//! | [`shop`], [`arrivals`], [`tally`], [`journal`] | customers: their attempts, their arrival, what was counted, what they were told |
//! | [`crowd`], [`manners`] | the customers of a burst and how they misbehave |
//! | [`intent`], [`follow_up`] | what customers do with an order that is theirs |
//! | [`admin`], [`sales`] | the operator's part, and the sales that load is driven at |
//! | [`surge`] | a fixed rate of arrivals |
//! | [`rush`], [`lifecycle`], [`sse`] | customers of goose, as people act: a rush, an order's whole life, its live updates |
//! | `goose_run` | what customers of goose have in common |
//! | [`streams`] | customers who follow their orders |
//! | [`demo`] | the main job: a burst, what becomes of its orders, report and proof |
//! | [`bench`], [`floor`], [`procs`] | throughput beside floors, the floor server, what processes cost |
//! | [`chaos`] | scenarios in which something breaks, and what became of the orders |
//! | [`check`] | compares the journal with Postgres, Redis and the log |
//! | [`latency`], [`progress`], [`plot`], [`report_page`] | how a run is measured and shown |

pub mod admin;
pub mod answer;
pub mod arrivals;
pub mod bench;
pub mod chaos;
pub mod check;
pub mod command;
pub mod crowd;
pub mod demo;
pub mod floor;
pub mod follow_up;
mod goose_run;
pub mod http;
pub mod intent;
pub mod journal;
pub mod latency;
pub mod lifecycle;
pub mod manners;
pub mod plot;
pub mod pool;
pub mod procs;
pub mod progress;
pub mod report_page;
pub mod request;
pub mod rush;
pub mod sales;
pub mod settings;
pub mod shop;
pub mod sse;
pub mod stack;
pub mod streams;
pub mod surge;
pub mod tally;
