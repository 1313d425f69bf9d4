//! Each invariant's check finds a planted violation, and finds nothing in a healthy sale.
//!
//! [`planted`] plants violations into plain data, invariant by invariant; [`real`] plants them into Postgres,
//! Redis, the log, the event topics and a journal file, to prove that the evidence is read from the right
//! places.

#![allow(clippy::unwrap_used)] // clippy recognizes test functions, but not their helper functions

mod real;
mod sale;
mod services;
mod violations;
