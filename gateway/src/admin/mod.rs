//! The operator's API: sales and their states, stock, orders, dead letters. All changes are stored in Postgres or
//! appended to the log; settlement publishes them to the gateways.

pub(crate) mod dead_letters;
pub(crate) mod define;
pub(crate) mod inventory;
pub(crate) mod orders;
pub mod overview;
pub(crate) mod report;
pub(crate) mod sale_response;
pub(crate) mod sales;
pub(crate) mod state;
pub(crate) mod totals;
pub(crate) mod wallet;

use std::time::Duration;

/// The time limit of a change, whichever dependency hangs: longer than a change may wait for its body, and for
/// settlement.
pub(crate) const CHANGE_MAX: Duration = Duration::from_secs(20);
