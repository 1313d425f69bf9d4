//! Settlement: turns the log into rows, and keeps Redis and the topics true to them.
//!
//! An order's way through the modules, in order:
//!
//! | module        | what it does                                                              |
//! |---------------|---------------------------------------------------------------------------|
//! | [`settings`]  | every setting                                                             |
//! | [`migrate`], [`topics`] | the schema and the topics, made at start                        |
//! | [`consume`], [`rebalance`], [`handover`] | the log, from where Postgres stands            |
//! | [`incoming`]  | records read, and checked against their bounds                            |
//! | [`settle`], [`memory`] | the loop: one owner a partition, one transaction a batch         |
//! | [`standing`]  | orders as they stand, where commands and ticks ask for them               |
//! | [`effects`], [`columns`] | what a batch does, decided without Postgres                    |
//! | [`delivery`]  | how fast goods go on by themselves                                        |
//! | [`store`], [`rows`] | the transaction                                                     |
//! | [`dead_letters`] | what an operator decides about records that could not be applied       |
//! | [`tick`]      | time, appended to the log when something is due                           |
//! | [`progress`], [`ownership`], [`handles`] | word to those that follow, and what they use    |
//! | [`publish_sales`], [`publication`] | sales to the gateways                                |
//! | [`rebuild`]   | a sale's state into Redis, the first opening included                     |
//! | [`news`], [`publish_events`], [`event`] | what happened, to the event topics              |
//! | [`relay`]     | accepted orders that nobody handed off, into the log                      |
//! | [`release`]   | units that come back, into Redis                                          |
//! | [`ready_sales`], [`stock_gauges`] | what these go through; stock as Postgres has it       |
//! | [`reconcile`] | Redis compared with Postgres: what is in flight, and what is drift        |
//! | [`checks`], [`lag`], [`positions`] | health; how far behind, and word of it to the gateways |

pub mod checks;
pub mod columns;
pub mod consume;
pub mod database;
pub mod dead_letters;
pub mod delivery;
pub mod described;
pub mod effects;
pub mod event;
pub mod handles;
pub mod handover;
pub mod incoming;
pub mod lag;
pub mod memory;
pub mod migrate;
pub mod news;
pub mod ownership;
pub mod positions;
pub mod progress;
pub mod publication;
pub mod publish_events;
pub mod publish_sales;
pub mod ready_sales;
pub mod rebalance;
pub mod rebuild;
pub mod reconcile;
pub mod relay;
pub mod release;
pub mod rows;
pub mod settings;
pub mod settle;
pub mod settle_metrics;
pub mod standing;
pub mod stock_gauges;
pub mod store;
pub mod tick;
pub mod topics;

mod run;

use process::backoff;
pub use run::{RunError, run};
pub use settings::Settings;
