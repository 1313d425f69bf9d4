//! The sales that this gateway sells: a materialized view of the compacted topic `sales`.
//!
//! | file | what it does |
//! |---|---|
//! | [`sale_view`] | one sale as last read |
//! | [`sale_catalog`] | applies the topic, message by message |
//! | [`lease`] | until when the view may be acted on |

pub mod lease;
mod sale_catalog;
pub mod sale_view;
