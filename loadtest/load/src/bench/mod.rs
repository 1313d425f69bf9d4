//! `loadtest bench`: this gateway beside its floors, in one run, alternating.
//!
//! Absolute rates depend on the machine and its mood; a ratio to a floor that was measured in the same
//! minute says more. Per round: accepted orders, floor (a), the sold-out path, floor (a), floor (b).

pub mod closed_loop;
mod redis_floor;
mod report;
mod rounds;
mod settled;
mod soak;

use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::floor;
use customers::http::Authority;
use customers::settings::{Programs, Services, parse_duration};
use customers::stack;

/// How long, how often, how wide.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Seconds of one run of accepted orders; the other runs take half as long.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(2..=600), value_name = "SECONDS")]
    pub seconds: u64,
    /// Rounds of alternation.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=20), value_name = "ROUNDS")]
    pub rounds: u32,
    /// Seconds of orders before the first round, which are not counted: the broker's Java compiles itself.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(0..=600), value_name = "SECONDS")]
    pub warm_up: u64,
    /// Connections, each with one request in flight.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u16).range(1..=4096), value_name = "CONNECTIONS")]
    pub connections: u16,
    /// Instead of comparing: orders at a steady rate for this long, and what memory does meanwhile.
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub soak: Option<Duration>,
    /// Orders a second of the soak.
    #[arg(long, default_value_t = 3_000, value_parser = clap::value_parser!(u64).range(1..=100_000), value_name = "PER SECOND")]
    pub soak_rate: u64,
    /// Output of `./dev status --json`, for process ids [default: ask ./dev].
    #[arg(long, value_name = "FILE")]
    pub status_file: Option<PathBuf>,
    /// Where the programs are.
    #[command(flatten)]
    pub programs: Programs,
    /// Where the services are.
    #[command(flatten)]
    pub services: Services,
}

/// Compares, or soaks. Exit code 1 when a target was missed.
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
            let floor = Floor::start().await?;
            let mut rounds = Vec::new();
            rounds::warm_up(arguments, &gateway).await?;
            for number in 1..=arguments.rounds {
                println!("  round {number} of {}", arguments.rounds);
                rounds.push(rounds::run(arguments, &gateway, &floor.authority, &processes, number).await?);
            }
            print!("{}", report::text(arguments, &rounds));
            report::met(&rounds)
        }
    };
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The floor server, a process of its own as the gateway is one; it ends with this one.
struct Floor {
    authority: Authority,
    _process: Child,
}

impl Floor {
    async fn start() -> anyhow::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["floor", "--until-stdin-ends"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the floor")?;
        let stdout = process.stdout.take().context("the floor's output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).await?;
        let address = line.trim().strip_prefix(floor::LISTENING).context("the floor's address")?;
        Ok(Self { authority: Authority::resolve(&format!("http://{address}"))?, _process: process })
    }
}
