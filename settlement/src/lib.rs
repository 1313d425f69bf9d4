//! Settlement: consumes the log, writes orders into Postgres, and keeps Redis and the Kafka topics consistent
//! with Postgres.
//!
//! The modules, in the order in which a record passes through them:
//!
//! | module       | what it does                                                                         |
//! |--------------|--------------------------------------------------------------------------------------|
//! | [`settings`] | defines every setting                                                                |
//! | [`prepare`]  | migrates the schema and creates the topics at start                                  |
//! | [`context`]  | holds what all tasks share: connections, ownership, progress                         |
//! | [`consume`]  | reads the log from the position that Postgres stores, and decodes its records        |
//! | [`settle`]   | runs the settle loop: one owner per partition, one transaction per batch             |
//! | [`decide`]   | computes what a batch changes                                                        |
//! | [`store`]    | writes these changes in one transaction                                              |
//! | [`publish`]  | publishes sales, events, positions and ticks                                         |
//! | [`recover`]  | relays stranded orders, releases units, reconciles Redis with Postgres, rebuilds sales |
//! | [`observe`]  | measures consumer lag and stock                                                      |

pub mod consume;
pub mod context;
pub mod decide;
pub mod observe;
pub mod prepare;
pub mod publish;
pub mod queries;
pub mod recover;
pub mod settings;
pub mod settle;
pub mod store;

mod run;

pub use run::{RunError, bind, run};
pub use settings::Settings;
