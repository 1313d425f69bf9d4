//! Preparing the services at start.
//!
//! | module     | what it does                                                     |
//! |------------|------------------------------------------------------------------|
//! | [`schema`] | applies the migrations                                           |
//! | [`topics`] | creates the topics, and a stored position for each partition     |

pub mod schema;
pub mod topics;
