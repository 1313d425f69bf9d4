//! Observing the process and its services.
//!
//! | module             | what it does                                                    |
//! |--------------------|-----------------------------------------------------------------|
//! | [`service_checks`] | checks every second that Postgres and Redis respond             |
//! | [`lag`]            | measures the consumer lag                                       |
//! | [`stock_gauges`]   | exports stock and sale states from Postgres                     |

pub mod lag;
pub mod service_checks;
pub mod stock_gauges;
