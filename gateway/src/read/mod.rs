//! Queries: sales from memory and from the stock cache; orders from Postgres, and from Redis while Postgres does not
//! have them yet.

pub mod order;
pub mod order_lookup;
pub mod order_response;
pub mod order_status_loader;
pub mod sale;
pub mod stored_json;
pub mod wallet;

use std::time::Duration;

/// The time limit of a query, whichever dependency hangs.
pub(crate) const QUERY_MAX: Duration = Duration::from_secs(3);
