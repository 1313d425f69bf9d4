//! Each invariant's check finds a violation that was planted, and says nothing where there is none.
//!
//! [`planted`] plants into plain data, invariant by invariant; [`real`] into Postgres, Redis, the log,
//! the event topics and a journal file, to prove that the evidence is read from where it lies.

#![allow(clippy::unwrap_used)] // clippy knows test functions, not their helpers

mod planted;
mod real;
mod services;
mod world;
