//! Places an order: from the request to its 202.
//!
//! | step | file | what happens |
//! |---|---|---|
//! | 1 | [`place`] | authenticates, reads and prices the request, and strings the other steps together |
//! | 2 | [`stock_cache`] | refuses a sold-out item from memory, for customers who cannot hold an order |
//! | 3 | [`backpressure`] | refuses new orders while settlement is too far behind |
//! | 4 | [`sale_queue`] | the bounded queue of the sale |
//! | 5 | [`batch`] | the orders of one script call |
//! | 6 | [`reserve`] | one script call reserves the stock for a batch |
//! | 7 | [`hand_off`] | one record into the log; its acknowledgement, under a valid lease, is the 202 |
//!
//! While the log or Redis does not respond, [`outage`] refuses orders at once instead of letting them wait.

pub mod backpressure;
mod batch;
pub mod hand_off;
pub mod outage;
pub mod place;
pub mod reserve;
pub mod sale_queue;
pub mod stock_cache;
