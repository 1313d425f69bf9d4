//! The runtime that all programs share: settings, startup, telemetry, health, clients and shutdown work the same way
//! in each of them, so that an operator learns them once.
//!
//! | module              | contents                                                |
//! |---------------------|---------------------------------------------------------|
//! | [`run`]             | the life of a program, from settings to exit            |
//! | [`settings`]        | the settings that all programs share                    |
//! | [`telemetry`]       | logs and the metrics recorder                           |
//! | [`metric`]          | the declarations of metrics                             |
//! | [`process_metrics`] | the resource usage of the process                       |
//! | [`shutdown`]        | signals, and the order of a shutdown                    |
//! | [`backoff`]         | exponential backoff with jitter                         |
//! | [`boottime`]        | the clock of leases                                     |
//! | [`walltime`]        | the wall clock                                          |
//! | [`health`]          | whether each dependency is up; readiness                |
//! | [`invariant`]       | checks what must hold, while the program runs            |
//! | [`http`]            | the HTTP server: connection limits and draining         |
//! | [`postgres`]        | the connection pool, and errors with their causes       |
//! | [`kafka`]           | the producer, the watchdog of consumers, topics, client settings |

pub mod backoff;
pub mod boottime;
pub mod health;
pub mod http;
pub mod invariant;
pub mod kafka;
pub mod metric;
pub mod postgres;
pub mod process_metrics;
pub mod run;
pub mod settings;
pub mod shutdown;
pub mod supervisor;
pub mod telemetry;
pub mod walltime;

pub use run::{RunError, run};
