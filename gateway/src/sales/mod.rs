//! The sales that this gateway sells: a materialized view of the compacted topic `sales`, and the lease under
//! which it may be acted on.
//!
//! | file | what it does |
//! |---|---|
//! | [`sale_view`] | one sale as last read |
//! | [`sale_catalog`] | applies the topic, message by message |
//! | [`lease`] | the current view, and until when it may be acted on |
//! | [`catalog_reader`] | reads the topic, on a thread of its own |
//! | [`lease_renewal`] | renews the lease by heartbeats |

mod catalog_reader;
pub mod lease;
pub mod lease_renewal;
pub mod sale_catalog;
pub mod sale_view;
