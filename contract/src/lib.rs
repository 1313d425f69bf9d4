//! What the programs agree on: wire formats, names, rules and texts. Pure: no I/O, no clock, no runtime.
//!
//! | module        | contents                                                                   |
//! |---------------|----------------------------------------------------------------------------|
//! | [`ids`]       | names of sales, SKUs, customers, policies; order ids; epochs; fingerprints |
//! | [`money`]     | amounts and currencies                                                     |
//! | [`number`]    | deserialization of whole numbers                                           |
//! | [`timestamp`] | timestamps on the wire                                                     |
//! | [`sale`]      | a sale's definition and its validation                                     |
//! | `schema`      | (feature `schema`) JSON Schemas of these types, for the OpenAPI documents    |
//! | `sql`         | (feature `sql`) how values are stored in Postgres                           |
//! | [`order`]     | order requests, orders and their price                                     |
//! | [`payment`]   | payment states, and ids derived from an order                              |
//! | [`record`]    | the messages of the topic `orders`                                         |
//! | [`publication`] | the messages of the topic `sales`                                        |
//! | [`event`]     | the messages of `order-events` and `inventory-events`                      |
//! | [`order_receipt`] | the packed record that Redis keeps of an accepted order                |
//! | [`keys`]      | the names of Redis keys                                                    |
//! | [`lifecycle`] | an order's states                                                          |
//! | [`problem`]   | every error: code, status, texts                                           |
//! | [`sse`]       | a parser of Server-Sent Events, for clients of live updates                |
//! | [`topics`]    | topics, their partitions and settings                                      |
//! | [`wire`]      | JSON encoding and decoding of every wire format                            |
//! | [`webhook`]   | signatures of webhooks, and the payment provider's callback                |

pub mod event;
pub mod ids;
pub mod keys;
pub mod lifecycle;
pub mod money;
pub mod number;
pub mod order;
pub mod order_receipt;
pub mod payment;
pub mod problem;
pub mod publication;
pub mod record;
pub mod sale;
#[cfg(feature = "schema")]
pub mod schema;
#[cfg(feature = "sql")]
pub mod sql;
pub mod sse;
pub mod timestamp;
pub mod topics;
pub mod webhook;
pub mod wire;
