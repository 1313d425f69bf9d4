//! Publishing to Kafka.
//!
//! | module               | what it does                                                              |
//! |----------------------|---------------------------------------------------------------------------|
//! | [`events`]           | publishes the events of orders and stock                                  |
//! | [`committed_events`] | carries events from the settle loop to their publisher                    |
//! | [`event`]            | builds one event and its messages                                         |
//! | [`sales`]            | publishes sales to the gateways                                           |
//! | [`publication`]      | reads one sale from Postgres and produces it                              |
//! | [`positions`]        | publishes to the gateways how far the log is settled                      |
//! | [`role`]             | makes one process at a time the publisher                                 |
//! | [`ticks`]            | appends a tick to the log when a hold ends or a delivery is due           |

pub mod committed_events;
pub mod event;
pub mod events;
pub mod positions;
pub mod publication;
mod role;
pub mod sales;
pub mod ticks;
