//! A library of load: customers, the operator, and the journal of what clients sent and received.
//!
//! | module | contents |
//! |---|---|
//! | [`http`], [`pool`], [`request`], [`response`] | a lean HTTP client: bytes out, decoded responses in |
//! | [`customer_client`], [`journal`], [`stats`] | requests with retries, the journal of every attempt, the counts of a run |
//! | [`arrivals`], [`latency`] | open-loop arrivals and latencies without coordinated omission |
//! | [`population`], [`personas`] | the customers of a burst and how each kind of them behaves |
//! | [`intent`], [`follow_up`] | what customers do with an order after it was accepted |
//! | [`admin`], [`sales`] | the operator's calls, and the sales that load runs against |
//! | [`settings`], [`stack`], [`progress`] | addresses, the processes of the running stack, progress bars |

pub mod admin;
pub mod arrivals;
pub mod customer_client;
pub mod follow_up;
pub mod http;
pub mod intent;
pub mod journal;
pub mod latency;
pub mod personas;
pub mod pool;
pub mod population;
pub mod progress;
pub mod request;
pub mod response;
pub mod sales;
pub mod settings;
pub mod stack;
pub mod stats;
