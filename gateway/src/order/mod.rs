//! Places an order: from the request to its 202.
//!
//! | step | file | what happens |
//! |---|---|---|
//! | 1 | [`place`] | reads the request, and runs the other steps in their order |
//! | 2 | [`price`] | checks the values and prices them from the sale's terms in memory |
//! | 3 | [`backpressure`] | refuses new orders while settlement is too far behind |
//! | 4 | [`stock_cache`] | refuses a sold-out item from memory, for customers who cannot hold an order |
//! | 5 | [`sale_queue`] | queues the order ([`job`]); the queue is bounded |
//! | 6 | [`batch`] | gathers the orders of one script call |
//! | 7 | [`reserve`] | reserves the stock of a batch by one script call |
//! | 8 | [`hand_off`] | produces one record to the log; its acknowledgement, under a valid lease, is the 202 |
//! | 9 | [`accepted_response`] | writes the 202 |
//!
//! Beside the path: [`first_answer`] finds the order of a request that the present terms would refuse; [`sale_workers`]
//! starts a batcher for each sale; [`stock_refresh`] keeps the stock cache recent; [`outage`] refuses orders at once
//! while the log or Redis does not respond; [`acknowledged_outbox`] remembers which outbox entries Redis may delete;
//! [`sold_out_responses`] caches the most frequent refusal; [`in_flight`] counts requests.

pub mod accepted_response;
mod acknowledged_outbox;
pub mod backpressure;
mod batch;
pub(crate) mod first_answer;
pub mod hand_off;
pub mod in_flight;
pub mod job;
pub mod outage;
pub mod place;
pub mod price;
pub mod reserve;
pub mod sale_queue;
pub mod sale_workers;
pub mod sold_out_responses;
pub mod stock_cache;
pub mod stock_refresh;
