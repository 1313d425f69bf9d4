//! The gateway: from a request to a 202, and everything else that customers and operators request over HTTP.
//!
//! | part | what it does |
//! |---|---|
//! | [`run`](mod@run) | connects, spawns, serves, drains |
//! | [`connect`], [`tasks`], [`serve`], [`drain`] | the four steps of it |
//! | [`state`] | the state that all endpoints share |
//! | `endpoints` | declares each endpoint once: path, access, handler, description |
//! | [`http`] | reads requests and writes responses, for every endpoint |
//! | [`order`] | places an order: the path that this program exists for |
//! | [`sales`] | the sales, as a materialized view of a topic, and the lease under which it may be acted on |
//! | [`command`], [`payment_callback`] | what happens to an order afterwards, as records in the log |
//! | [`read`] | answers the queries of customers |
//! | [`queries`] | the SQL statements with typed parameters and rows, generated |
//! | [`live`] | an order's changes as they are settled, as a stream |
//! | [`admin`] | the operator's API |
//! | [`openapi`] | the API's documents |
//! | [`metrics`], [`settings`] | counters; every setting |

pub mod admin;
pub mod command;
pub mod connect;
pub mod drain;
mod endpoints;
pub mod http;
pub mod live;
pub mod metrics;
pub mod openapi;
pub mod order;
pub mod payment_callback;
pub mod queries;
pub mod read;
pub mod run;
pub mod sales;
pub mod serve;
pub mod settings;
pub mod start_error;
pub mod state;
pub mod tasks;

pub use run::run;
pub use serve::Listeners;
pub use settings::Settings;
pub use start_error::StartError;
