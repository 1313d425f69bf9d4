//! The Lua scripts that Redis runs, and their typed callers.
//!
//! The rebuilder renders every script of an epoch with the sale, the epoch, the rebuild's mark and the server's
//! replication id in its text, and only the rebuilder loads them. A Redis that has lost any of its state therefore
//! replies NOSCRIPT or `lost`, and writes nothing.
//!
//! | module            | script              | callers                                                    |
//! |-------------------|---------------------|------------------------------------------------------------|
//! | [`reserve`]       | `reserve.lua`       | gateway: a batch of orders                                 |
//! | [`read_stock`]    | `read_stock.lua`    | gateway: remaining stock, fast refusals; settlement: drift |
//! | [`find_orders`]   | `find_orders.lua`   | gateway: an order before it is settled                     |
//! | [`change_totals`] | `change_totals.lua` | gateway: an operator changes totals                        |
//! | [`outbox`]        | `ack_outbox.lua`    | gateway and relay: acknowledged entries                    |
//! | [`release`]       | `release.lua`       | settlement: units return to stock                          |
//! | [`scripts`]       | all, and `seal.lua` | settlement: rebuilds                                       |
//! | [`redis`]         | –                   | the connection; the only module that uses the client library |

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
