//! Settlement: turns the log into rows, and keeps Redis and the topics true to them.
//!
//! An order's way through the modules, in order:
//!
//! | module        | what it does                                                              |
//! |---------------|---------------------------------------------------------------------------|
//! | [`settings`]  | every setting                                                             |
//! | [`migrate`], [`topics`] | the schema and the topics, made at start                        |
//! | [`consume`], [`rebalance`] | the log, from where Postgres stands                          |
//! | [`incoming`]  | records read, and checked against their bounds                            |
//! | [`settle`], [`memory`] | the loop: one owner a partition, one transaction a batch         |
//! | [`effects`], [`columns`] | what a batch does, decided without Postgres                    |
//! | [`store`]     | the transaction                                                           |
//! | [`progress`], [`ownership`] | word to those that follow                                   |
//! | [`publish_sales`], [`publication`] | sales to the gateways                                |
//! | [`rebuild`]   | a sale's state into Redis, the first opening included                     |
//! | [`checks`], [`lag`] | health, and how far behind                                          |

pub mod backoff;
pub mod checks;
pub mod columns;
pub mod consume;
pub mod database;
pub mod effects;
pub mod incoming;
pub mod lag;
pub mod memory;
pub mod migrate;
pub mod ownership;
pub mod progress;
pub mod publication;
pub mod publish_sales;
pub mod rebalance;
pub mod rebuild;
pub mod settings;
pub mod settle;
pub mod settle_metrics;
pub mod store;
pub mod topics;

mod run;

pub use run::{RunError, run};
pub use settings::Settings;
