//! Load on the running stack, and measured throughput beside its floors.

pub mod bench;
pub mod command;
pub mod floor;
mod goose_run;
pub mod lifecycle;
pub mod plot;
pub mod procs;
pub mod report_page;
pub mod rush;
pub mod streams;
pub mod surge;
