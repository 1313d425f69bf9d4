//! Shared test code: a whole system in the test's process, on the real services that `./dev test` starts, with its own
//! database and topics, so that test programs can run in parallel.
//!
//! | module | contents |
//! |---|---|
//! | [`system`] | gateways and settlers in the test's process |
//! | [`client`] | an HTTP client for operators and customers |
//! | [`control`] | time limits that hold on a busy machine, too |
//! | [`live`] | clients of live updates (SSE and WebSocket) |
//! | [`program`] | our programs and servers as separate processes, on ports that no other test uses |
//! | [`browser`] | browser tests of the pages |
//! | [`card_payments`] | the payment service and the simulated provider for a system |
//! | [`mail_server`] | an SMTP server for one test, and the mails it received |
//! | [`redis_server`] | a Redis for one test, which can be killed, stopped and emptied |
//! | [`forwarder`] | a TCP proxy to a service that can disconnect or hang |
//! | [`tool`] | external programs and their installed dependencies |
//! | [`python`] | Python environments with packages of PyPI |
//! | [`tls`] | the TLS provider of the tests' HTTP client |
//! | [`wait`] | waiting for a condition with a timeout |

pub mod browser;
pub mod card_payments;
pub mod client;
pub mod control;
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
pub use program::{Program, claim_address};
pub use redis_server::RedisServer;
pub use stack::Signal;
pub use system::{System, shared};
pub use wait::{eventually, until};

/// Returns the value of a variable that `./dev test` exports.
pub fn environment(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests by ./dev test"))
}

/// Returns a name that no other test and no earlier run has used.
pub fn fresh(prefix: &str) -> String {
    format!("{prefix}-{}", uuid::Uuid::now_v7().simple())
}
