//! How a process of ours lives: what all binaries do the same way, so that an operator learns it once.
//!
//! | module       | what it holds                                                  |
//! |--------------|----------------------------------------------------------------|
//! | [`run`]      | from the settings to the end                                   |
//! | [`settings`] | the settings that all binaries take                            |
//! | [`telemetry`]| logs and the metrics recorder                                  |
//! | [`metric_help`] | what each metric means                                         |
//! | [`process_metrics`]    | what the process takes of its machine                          |
//! | [`shutdown`] | signals, and the order in which work ends                      |
//! | [`backoff`] | how long to wait before trying again                           |
//! | [`boottime`] | the clock that leases are measured by                          |
//! | [`walltime`] | the clock on the wall                                          |
//! | [`health`]   | dependencies: up or down and why; readiness                    |
//! | [`http`]     | accepting connections within limits, and draining them         |
//! | [`postgres`] | the pool, and errors with their cause in one line              |
//! | [`kafka`]    | the producer, topics, client settings                          |

pub mod backoff;
pub mod boottime;
pub mod health;
pub mod http;
pub mod kafka;
pub mod metric_help;
pub mod postgres;
pub mod process_metrics;
pub mod run;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod walltime;

pub use run::{RunError, run};
