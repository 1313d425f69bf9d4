//! Load, and the proof of what it did.
//!
//! | module | what it is |
//! |---|---|
//! | [`settings`] | addresses |
//! | [`http`], [`pool`], [`request`], [`answer`] | a lean client: bytes out, answers in |
//! | [`journal`] | what clients were told, one line an answer |
//! | [`check`] | compares the journal with Postgres, Redis and the log |
//! | [`latency`], [`table`], [`progress`], [`plot`], [`report_page`] | how a run is measured and shown |

pub mod answer;
pub mod check;
pub mod command;
pub mod http;
pub mod journal;
pub mod latency;
pub mod plot;
pub mod pool;
pub mod progress;
pub mod report_page;
pub mod request;
pub mod settings;
pub mod table;
