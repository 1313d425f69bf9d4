//! What the parts agree on: words, wire formats, names and rules. Pure: no I/O, no clock, no runtime.
//!
//! | module        | what it fixes                                                              |
//! |---------------|----------------------------------------------------------------------------|
//! | [`ids`]       | names of sales, SKUs, customers, policies; order ids; epochs; fingerprints |
//! | [`money`]     | amounts and currencies                                                     |
//! | [`number`]    | whole numbers of requests                                                  |
//! | [`timestamp`] | instants on the wire                                                       |
//! | [`sale`]      | a sale's definition and its validation                                     |
//! | `schema`      | (feature `schema`) JSON Schemas of all these, for the API's documents        |
//! | [`order`]     | what a customer asks for, and its price                                    |
//! | [`payment`]   | where an order's money stands                                               |
//! | [`record`]    | the messages of the topic `orders`                                         |
//! | [`publication`] | the messages of the topic `sales`                                        |
//! | [`event`]     | the messages of `order-events` and `inventory-events`                      |
//! | [`order_receipt`] | what Redis remembers of an accepted order                                 |
//! | [`keys`]      | the names of Redis keys                                                    |
//! | [`lifecycle`] | an order's states                                                          |
//! | [`problem`]   | every refusal: code, status, words                                         |
//! | [`topics`]    | topics, their partitions and settings                                      |
//! | [`webhook`]   | signed messages over HTTP, and the provider's callback                     |

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
pub mod timestamp;
pub mod topics;
pub mod webhook;
