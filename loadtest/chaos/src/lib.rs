//! Chaos testing: real programs on a stack of their own under real load, one fault after another, and after
//! each of them a comparison of the clients' journal with Postgres, Redis and the log.
//!
//! | module | contents |
//! |---|---|
//! | [`stack`], `environment`, [`ports`], [`redis`], [`process`], [`proxy`] | the programs, the services and the proxies between them |
//! | [`downstream`], [`receiver`] | the consumers of order events, the card provider, and the receiver of notifications |
//! | [`load`] | customers: a burst, probes, and enough demand to sell everything |
//! | [`cancellers`] | customers who cancel around the end of their hold |
//! | [`buyers`] | customers who pay, cancel and send back |
//! | [`scenario`] | the faults: what fails, when, and when its cause has ended |
//! | [`consumer_checks`] | whether money, messages and counts match the events |
//! | [`run`] | one scenario with one seed, from an empty environment to the verdict |
//! | [`summary`] | the table of all runs |
//! | [`mutation_testing`] | removed protections, each of which a scenario must detect |

pub mod buyers;
pub mod cancellers;
pub mod consumer_checks;
pub mod downstream;
mod environment;
pub mod load;
pub mod mutation_testing;
pub mod ports;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod run;
pub mod scenario;
pub mod stack;
pub mod summary;

use std::process::ExitCode;

use clap::Args;

use self::scenario::Scenario;
use self::stack::Stack;
use self::summary::Summary;

/// The scenarios and the seeds.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Only scenarios whose name starts with this; without a name, all scenarios. Those that take minutes run
    /// only when they are named or with several seeds.
    #[arg(value_name = "SCENARIO")]
    pub scenarios: Vec<String>,
    /// The first seed: it determines the customers, and when and where exactly the fault occurs.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
    /// The number of consecutive seeds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000), value_name = "COUNT")]
    pub seeds: u64,
    /// Remove protections from the programs, one after another: a scenario must detect each removal. SCENARIO
    /// then names protections.
    #[arg(long, alias = "power")]
    pub mutations: bool,
    /// List the scenarios and exit.
    #[arg(long)]
    pub list: bool,
}

impl Arguments {
    fn selected(&self) -> anyhow::Result<Vec<&'static Scenario>> {
        for prefix in &self.scenarios {
            anyhow::ensure!(
                scenario::ALL.iter().any(|scenario| scenario.name.starts_with(prefix.as_str())),
                "no scenario starts with {prefix:?}; --list names them"
            );
        }
        let is_selected = |scenario: &&Scenario| {
            (self.scenarios.is_empty() && (!scenario.long || self.seeds > 1))
                || self.scenarios.iter().any(|prefix| scenario.name.starts_with(prefix.as_str()))
        };
        Ok(scenario::ALL.iter().filter(is_selected).collect())
    }
}

/// Runs the selected scenarios, and prints a line for each run and the table at the end.
pub async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.mutations {
        let mut stack = Stack::start().await?;
        let detected = mutation_testing::run(&mut stack, arguments.seed, &arguments.scenarios).await;
        stack.end().await?;
        return Ok(if detected? { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let selected = arguments.selected()?;
    if arguments.list {
        for scenario in selected {
            println!("  {:<32} {}", scenario.name, scenario.description);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut stack = Stack::start().await?;
    let mut summary = Summary::default();
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        for scenario in &selected {
            summary.add(run::run(&mut stack, scenario, seed, None).await);
        }
    }
    let folder = stack.output();
    stack.end().await?;
    print!("{}", summary.table());
    summary.write_json(&folder.join("summary.json"))?;
    println!("  journals and findings of each run are in {}", folder.display());
    Ok(if summary.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
