//! A library of load: customers, the operator, and the record of what they were answered.

pub mod admin;
pub mod answer;
pub mod arrivals;
pub mod crowd;
pub mod follow_up;
pub mod http;
pub mod intent;
pub mod journal;
pub mod latency;
pub mod manners;
pub mod pool;
pub mod progress;
pub mod request;
pub mod sales;
pub mod settings;
pub mod shop;
pub mod sse;
pub mod stack;
pub mod tally;
