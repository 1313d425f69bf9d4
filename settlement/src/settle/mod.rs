//! The settle loop.
//!
//! | module           | what it does                                                       |
//! |------------------|--------------------------------------------------------------------|
//! | [`settler`]      | settles batches of the owned partitions, one transaction each      |
//! | [`dead_letters`] | applies an operator's decision about a dead letter                 |
//! | [`metrics`]      | records what the loop does                                         |

pub mod dead_letters;
pub mod metrics;
pub mod settler;
