//! Load on the running stack, and measurements beside baselines.
//!
//! | module | contents |
//! |---|---|
//! | [`command`] | the subcommands and their runtimes |
//! | [`open_loop`] | orders at a fixed rate of arrivals |
//! | [`closed_loop`], [`lifecycle`], `goose_support` | goose users, who wait for each response as people do |
//! | [`streams`] | customers who follow their orders by live updates |
//! | [`bench`], [`baseline`] | throughput beside baselines, and the baseline server |
//! | [`process_usage`] | CPU time and memory of the processes of the stack |
//! | [`html_report`], [`plot`] | the HTML report of an open-loop run and its plots |

pub mod baseline;
pub mod bench;
pub mod closed_loop;
pub mod command;
mod goose_support;
pub mod html_report;
pub mod lifecycle;
pub mod open_loop;
pub mod plot;
pub mod process_usage;
pub mod streams;
