//! `loadtest chaos`: real programs on a stack of their own, real load, one thing after another breaks,
//! and after each the clients' journal is compared with Postgres, Redis and the log.
//!
//! | module       | what it is                                                       |
//! |--------------|------------------------------------------------------------------|
//! | [`stack`], `world`, [`ports`], [`redis`], [`process`], [`proxy`] | everything that can be hit |
//! | [`followers`], [`receiver`] | what follows the events: card payments, messages, counts |
//! | [`load`]     | customers: a burst, probes, and demand until all is sold         |
//! | [`second_thoughts`] | customers who cancel, around the end of their hold        |
//! | [`buyers`]   | customers who pay, cancel, send back                             |
//! | [`scenario`] | what breaks, when, and when the cause has ended                  |
//! | [`aftermath`] | whether money, messages and counts are what the events say       |
//! | [`run`]      | one scenario with one seed, from an empty world to the verdict   |
//! | [`summary`]  | the table                                                        |
//! | [`power`]    | protections taken out: each must be noticed                      |

pub mod aftermath;
pub mod buyers;
pub mod followers;
pub mod load;
pub mod ports;
pub mod power;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod run;
pub mod scenario;
pub mod second_thoughts;
pub mod stack;
pub mod summary;
mod world;

use std::process::ExitCode;

use clap::Args;

use self::scenario::Scenario;
use self::stack::Stack;
use self::summary::Summary;

/// Which scenarios, how often.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only scenarios whose name begins so; without a name all, those that take minutes only with several seeds.
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// The first seed: it shapes the crowd, and decides when and where exactly something breaks.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
    /// How many seeds, one after another.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000), value_name = "COUNT")]
    pub seeds: u64,
    /// Take protections out of the programs, one after another: each must be noticed by a scenario.
    /// SCENARIO then names protections.
    #[arg(long)]
    pub power: bool,
    /// Only list the scenarios.
    #[arg(long)]
    pub list: bool,
}

impl Arguments {
    fn chosen(&self) -> anyhow::Result<Vec<&'static Scenario>> {
        for wanted in &self.scenarios {
            anyhow::ensure!(
                scenario::ALL.iter().any(|scenario| scenario.name.starts_with(wanted.as_str())),
                "no scenario begins with {wanted:?}; --list names them"
            );
        }
        let wanted = |scenario: &&Scenario| {
            (self.scenarios.is_empty() && (!scenario.long || self.seeds > 1))
                || self.scenarios.iter().any(|wanted| scenario.name.starts_with(wanted.as_str()))
        };
        Ok(scenario::ALL.iter().filter(wanted).collect())
    }
}

/// Runs them all, prints a line for each and the table at the end.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.power {
        let mut stack = Stack::start().await?;
        let noticed = power::run(&mut stack, arguments.seed, &arguments.scenarios).await;
        stack.end().await?;
        return Ok(if noticed? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let chosen = arguments.chosen()?;
    if arguments.list {
        for scenario in chosen {
            println!("  {:<32} {}", scenario.name, scenario.says);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut stack = Stack::start().await?;
    let mut summary = Summary::default();
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        for scenario in &chosen {
            summary.add(run::run(&mut stack, scenario, seed, None).await);
        }
    }
    let folder = stack.output();
    stack.end().await?;
    print!("{}", summary.table());
    summary.write_json(&folder.join("summary.json"))?;
    println!("  journals and findings of each run lie in {}", folder.display());
    Ok(if summary.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
