//! Keeping Redis and the log consistent with Postgres.
//!
//! | module          | what it does                                                                    |
//! |-----------------|---------------------------------------------------------------------------------|
//! | [`relay`]       | produces accepted orders into the log whose gateway did not                     |
//! | [`release`]     | returns units to Redis                                                          |
//! | [`reconcile`]   | compares the stock in Redis with Postgres                                       |
//! | [`rebuild`]     | builds the state of a sale in Redis, the first time and after a loss            |
//! | [`ready_sales`] | lists the sales that have a state in Redis                                      |

pub mod ready_sales;
pub mod rebuild;
pub mod reconcile;
pub mod relay;
pub mod release;
