//! The scripts that decide inside Redis, and their typed callers.
//!
//! Every script of an epoch is rendered by the rebuilder with the sale, the epoch, the mark of the
//! rebuild and the server's replication id in its text, and loaded by it alone. So a Redis that has
//! forgotten anything answers NOSCRIPT or `lost`, and writes nothing.
//!
//! | module      | script              | who calls it                                |
//! |-------------|---------------------|---------------------------------------------|
//! | [`reserve`] | `reserve.lua`       | gateway: a batch of orders                  |
//! | [`look`]    | `read_stock.lua`          | gateway: remaining stock, fast refusals; settlement: drift |
//! | [`find`]    | `find_orders.lua`          | gateway: an order before it is settled      |
//! | [`change`]  | `change_totals.lua`        | gateway: an operator changes totals         |
//! | [`outbox`]  | `ack_outbox.lua`        | gateway and relay: acknowledged entries     |
//! | [`release`] | `release.lua`       | settlement: units come back                 |
//! | [`scripts`] | all, and `seal.lua` | settlement: rebuilds                        |
//! | [`redis`]   | –                   | the connection; the only place that knows the client library |

pub mod change_totals;
pub mod find_orders;
pub mod outbox;
pub mod read_stock;
pub mod redis;
pub mod release;
pub mod reply;
pub mod reserve;
pub mod scripts;

pub use redis::{Redis, RedisError};
pub use scripts::Scripts;
