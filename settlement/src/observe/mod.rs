//! Observing the process and its services.
//!
//! | module           | what it does                                |
//! |------------------|---------------------------------------------|
//! | [`lag`]          | measures the consumer lag                   |
//! | [`stock_gauges`] | exports stock and sale states from Postgres |

pub mod lag;
pub mod stock_gauges;
