//! Deciding what a batch of records changes.
//!
//! | module                | what it does                                                              |
//! |-----------------------|---------------------------------------------------------------------------|
//! | [`partition_state`]   | caches what the owner of a partition knows of it                          |
//! | [`prior_state`]       | reads from Postgres what the batch may change                             |
//! | [`order_state`]       | holds the orders that the commands and ticks of a batch may change        |
//! | [`effects`]           | computes the effects of the batch, without access to Postgres             |
//! | [`delivery_schedule`] | computes when deliveries advance automatically                            |

pub mod delivery_schedule;
pub mod effects;
pub mod order_state;
pub mod partition_state;
pub mod prior_state;
