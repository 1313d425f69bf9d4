//! What tests share: a whole system in this process, on the real services that `./dev test` starts,
//! with a database and topics of its own, so that test programs run side by side.
//!
//! | module | what it gives |
//! |---|---|
//! | [`system`] | gateways and settlers, started in this process |
//! | [`client`] | an operator and customers, over HTTP |
//! | [`live`] | readers of live updates |
//! | [`program`] | a program of ours as a process of its own |
//! | [`browser`] | journeys through our pages in a real browser |
//! | [`card_payments`] | card payments beside a system |
//! | [`mail_server`] | an SMTP server of the test's own, and what it got |
//! | [`redis_server`] | a Redis of the test's own, to be killed, stopped and emptied |
//! | [`forwarder`] | a way to a service that can be cut, and that can hang |
//! | [`tool`] | programs of others, and what is installed for them |
//! | [`python`] | what tests use of PyPI |
//! | [`tls`] | what the tests' own HTTP client needs |
//! | [`wait`] | waiting for a condition, within a limit |

pub mod browser;
pub mod card_payments;
pub mod client;
pub mod forwarder;
pub mod live;
pub mod mail_server;
pub mod program;
pub mod python;
pub mod redis_server;
pub mod system;
pub mod tls;
pub mod tool;
pub mod wait;

pub use card_payments::CardPayments;
pub use client::{Answer, Client};
pub use forwarder::Forwarder;
pub use live::{EventStream, LiveSocket};
pub use mail_server::MailServer;
pub use program::Program;
pub use redis_server::RedisServer;
pub use system::{System, shared};
pub use wait::{eventually, until};

/// A setting that `./dev test` exports.
pub fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests by ./dev test"))
}

/// A name that no other test, and no earlier run, has used.
pub fn fresh(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::now_v7().simple())
}
