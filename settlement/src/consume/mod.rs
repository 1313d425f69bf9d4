//! Consuming the log.
//!
//! | module               | what it does                                                              |
//! |----------------------|---------------------------------------------------------------------------|
//! | [`consumer`]         | polls librdkafka on its own thread and gathers batches                    |
//! | [`rebalance`]        | records assignments and revocations of the consumer group                 |
//! | [`consumer_channel`] | carries batches to the settle loop, and its commands back to the consumer |
//! | [`decoded_record`]   | decodes records and validates their bounds                                |

pub mod consumer;
pub mod consumer_channel;
pub mod decoded_record;
pub mod rebalance;
