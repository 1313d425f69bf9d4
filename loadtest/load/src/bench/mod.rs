//! `load bench`: the gateway beside its baselines in one run, alternating.
//!
//! Absolute rates depend on the machine and its current load; the ratio to a baseline of the same minute is
//! more reliable. A round measures accepted orders, payments, baseline A, the sold-out path, baseline A
//! again, and baseline B.

mod redis_baseline;
mod report;
pub mod request_loop;
mod rounds;
mod settlement_lag;
mod soak;

use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::baseline;
use checker::settings::Services;
use customers::http::Authority;
use customers::settings::{Programs, parse_duration};
use customers::stack;

/// The arguments of `load bench`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Seconds of each run of accepted orders; the other runs take half as long.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=600), value_name = "SECONDS")]
    pub seconds: u64,
    /// Number of rounds.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20), value_name = "ROUNDS")]
    pub rounds: u32,
    /// Seconds of orders before the first round, which are not counted: the broker's JVM compiles its code.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=600), value_name = "SECONDS")]
    pub warm_up: u64,
    /// Connections, each with one request in flight.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096), value_name = "CONNECTIONS")]
    pub connections: u16,
    /// Run a soak instead: orders at a steady rate for this time, while memory is measured.
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub soak: Option<Duration>,
    /// Orders per second of the soak.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=100_000), value_name = "PER SECOND")]
    pub soak_rate: u64,
    /// File with the output of `./dev status --json`, for process ids [default: run ./dev].
    #[arg(long, value_name = "FILE")]
    pub status_file: Option<PathBuf>,
    /// Addresses of the programs.
    #[command(flatten)]
    pub programs: Programs,
    /// Addresses of the services.
    #[command(flatten)]
    pub services: Services,
}

/// Runs the comparison or the soak. Exit code 1: a target was missed.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let processes = stack::processes(arguments.status_file.as_deref())?;
    let gateway = Authority::resolve(&arguments.programs.gateway_url)?;
    let met = match arguments.soak {
        Some(time) => {
            let soaked = soak::run(arguments, &gateway, &processes, time).await?;
            print!("{}", soaked.report());
            soaked.met()
        }
        None => {
            let server = BaselineServer::start().await?;
            let mut rounds = Vec::new();
            rounds::warm_up(arguments, &gateway).await?;
            for number in 1..=arguments.rounds {
                println!("  round {number} of {}", arguments.rounds);
                rounds.push(rounds::run(arguments, &gateway, &server.authority, &processes, number).await?);
            }
            print!("{}", report::text(arguments, &rounds));
            report::met(&rounds)
        }
    };
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The baseline server, a separate process like the gateway; it exits with this process.
struct BaselineServer {
    authority: Authority,
    _process: Child,
}

impl BaselineServer {
    async fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["baseline", "--until-stdin-ends"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the baseline server")?;
        let stdout = process.stdout.take().context("the output of the baseline server")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let address =
            line.trim().strip_prefix(baseline::LISTENING).context("the address of the baseline server")?;
        Ok(Self { authority: Authority::resolve(&format!("http://{address}"))?, _process: process })
    }
}
