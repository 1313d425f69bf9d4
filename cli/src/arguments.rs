//! Commands and options. What `--help` says is written here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use contract::ids::{CustomerId, IdempotencyKey, OrderId, SaleId};
use contract::lifecycle::OrderStatus;
use contract::money::{AMOUNT_MAX, Currency};

use crate::failure::EXIT_CODES;

/// Runs flash sales: defines, opens, watches and closes them, looks at stock and orders.
///
/// Speaks to the admin listener of a gateway. In a checkout, `./dev flashsale …` gives it the address and the
/// token of the running stack.
#[derive(Debug, Parser)]
#[command(name = "flashsale", version, propagate_version = true, max_term_width = 100, after_long_help = EXIT_CODES)]
#[command(after_help = "Exit codes, and errors as JSON: flashsale --help")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Answer with JSON, errors on standard error included.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the gateway is, and who calls.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Gateway")]
pub(crate) struct Server {
    /// The admin listener of a gateway.
    #[arg(
        long,
        global = true,
        env = "ADMIN_URL",
        default_value = "http://127.0.0.1:8081",
        value_name = "URL"
    )]
    pub(crate) admin_url: String,
    /// The operator's token. Better in the environment, where other users do not see it.
    #[arg(long, global = true, env = "ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// A file of authorities (PEM) to believe beside the system's, for https.
    #[arg(long, global = true, env = "TLS_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Longest wait for an answer, repetitions included.
    #[arg(long, global = true, env = "FLASHSALE_TIMEOUT", default_value = "25", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: f64,
}

/// What it can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Defines sales and moves them: open, pause, resume, close, rebuild.
    #[command(subcommand)]
    Sale(Sale),
    /// Whether the gateway and what it needs are there, and how every sale stands.
    Status,
    /// A sale's stock side by side: Postgres, Redis, and how far they are apart.
    Inventory {
        sale: SaleId,
        /// First make the state in Redis anew from Postgres (a rebuild), and wait for it. Asks first.
        #[arg(long)]
        sync: bool,
        /// Do not ask.
        #[arg(long, short, requires = "sync")]
        yes: bool,
    },
    /// Looks for orders, and moves their goods.
    #[command(subcommand)]
    Orders(Orders),
    /// Records that could not be applied, and what becomes of them.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Customers' balances.
    #[command(subcommand)]
    Wallet(Wallet),
    /// Stock, rates and lag as they are now, until `q` is pressed; one line a second where there is no terminal.
    #[command(after_help = "Examples:
  flashsale watch
  flashsale watch mugs --for 600
  flashsale watch mugs --json | jq .rates.accepted_per_second")]
    Watch {
        /// Only this sale.
        sale: Option<SaleId>,
        /// End after so long.
        #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
        limit: Option<f64>,
    },
    /// A sale's settled orders as a file: CSV or Parquet.
    ///
    /// One row an order, newest first; what is settled after the beginning is not in it. Amounts are whole
    /// numbers in the currency's minor unit, beside the currency; times are UTC. A file appears whole or not
    /// at all.
    #[command(after_help = "Examples:
  flashsale export mugs > mugs.csv
  flashsale export mugs --output mugs.parquet
  flashsale export mugs --lines --output mug-lines.csv --force")]
    Export(Export),
    /// Prints what makes a shell complete commands and options.
    #[command(after_help = "Examples:
  source <(flashsale completions bash)
  flashsale completions zsh > ~/.zfunc/_flashsale
  flashsale completions fish > ~/.config/fish/completions/flashsale.fish")]
    Completions { shell: clap_complete::Shell },
}

/// What is exported, and where to.
#[derive(Debug, Args)]
pub(crate) struct Export {
    pub(crate) sale: SaleId,
    /// By the file's name when not given; csv where it does not tell.
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The file to write; `-` is standard output, for csv.
    #[arg(long, short, default_value = "-", value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// One row for each line of an order, instead of one for each order.
    #[arg(long)]
    pub(crate) lines: bool,
    /// Replace a file that is there.
    #[arg(long)]
    pub(crate) force: bool,
}

/// What kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values (RFC 4180) with a header; an order's lines are JSON in a column.
    Csv,
    /// Apache Parquet; an order's lines are a list in a column.
    Parquet,
}

/// What can be done with orders.
#[derive(Debug, Subcommand)]
pub(crate) enum Orders {
    /// A sale's settled orders, newest first.
    #[command(after_help = "Examples:
  flashsale orders list mugs --customer alice
  flashsale orders list mugs --status preparing --limit 200
All of them, to a file: flashsale export")]
    List {
        sale: SaleId,
        /// Only this customer's.
        #[arg(long)]
        customer: Option<CustomerId>,
        /// Only those that stand here.
        #[arg(long, value_parser = status)]
        status: Option<OrderStatus>,
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
        /// Go on behind another page: its `next_cursor`.
        #[arg(long)]
        cursor: Option<u64>,
    },
    /// One order with its history.
    Show { sale: SaleId, order: OrderId },
    /// Tells how far the goods have come: through all states before it.
    #[command(after_help = "Example:  flashsale orders deliver mugs 0199… shipped")]
    Deliver {
        sale: SaleId,
        order: OrderId,
        /// shipped, in_transit or delivered.
        #[arg(value_parser = status)]
        status: OrderStatus,
    },
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// Lists them, newest first.
    List {
        /// Only of this sale.
        #[arg(long)]
        sale: Option<SaleId>,
        /// Only in this state: undecided, duplicate, replayed, discarded.
        #[arg(long)]
        state: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
        /// Go on behind another page: its `next_cursor`.
        #[arg(long)]
        cursor: Option<u64>,
    },
    /// Has a record applied again, by the rules of now.
    Replay {
        /// As listed.
        id: u64,
    },
    /// Gives a record up: its units are sold again. Asks first.
    Discard {
        /// As listed.
        id: u64,
        /// Do not ask.
        #[arg(long, short)]
        yes: bool,
    },
}

/// What can be done with wallets.
#[derive(Debug, Subcommand)]
pub(crate) enum Wallet {
    /// Puts money into a customer's wallet, once a key.
    ///
    /// The key is printed before anything is sent. Whoever got no answer repeats the command with it: the same
    /// key never credits twice.
    #[command(after_help = "Example:  flashsale wallet credit alice 50000 KRW --key refund-2027-0042")]
    Credit {
        customer: CustomerId,
        /// In the currency's minor unit.
        #[arg(value_parser = clap::value_parser!(u64).range(1..=AMOUNT_MAX))]
        amount: u64,
        #[arg(value_parser = currency)]
        currency: Currency,
        /// This credit's name (Idempotency-Key); made up when not given.
        #[arg(long, value_parser = key)]
        key: Option<String>,
    },
}

fn status(text: &str) -> Result<OrderStatus, String> {
    OrderStatus::parse(text).ok_or_else(|| {
        let names: Vec<_> = OrderStatus::ALL.iter().map(|status| status.as_str()).collect();
        format!("one of {}", names.join(", "))
    })
}

fn currency(text: &str) -> Result<Currency, &'static str> {
    Currency::parse(text).ok_or("an ISO 4217 code such as KRW")
}

fn key(text: &str) -> Result<String, &'static str> {
    let parsed = IdempotencyKey::parse(text);
    parsed.map(|key| key.as_str().to_owned()).map_err(|_| "1 to 128 visible ASCII characters without spaces")
}

/// What can be done with a sale.
#[derive(Debug, Subcommand)]
pub(crate) enum Sale {
    /// Creates a sale, or brings it to what a file says.
    ///
    /// The file is checked before anything is sent; each fault is shown where it stands. Repeating it changes
    /// nothing more.
    #[command(after_help = "Examples:
  flashsale sale template > mugs.toml
  flashsale sale apply mugs.toml --dry-run
  flashsale sale show mugs --definition | sed 's/total = 50/total = 80/' | flashsale sale apply -")]
    Apply {
        /// The definition, in TOML or JSON; `-` for standard input.
        file: PathBuf,
        /// The sale's name, where the file does not give it (`sale_id`).
        #[arg(long, value_name = "SALE")]
        sale: Option<SaleId>,
        /// Only tell what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// All sales, drafts too.
    List,
    /// One sale: its terms, its state, its rebuild.
    Show {
        sale: SaleId,
        /// As a definition that `sale apply` takes: TOML, or JSON with --json.
        #[arg(long)]
        definition: bool,
    },
    /// Prints a definition with every field explained: TOML, or JSON with --json.
    Template,
    /// Opens a draft for customers.
    #[command(after_help = "Example:  flashsale sale open mugs --wait")]
    Open(Act),
    /// Refuses orders until it is resumed.
    Pause(Act),
    /// Opens a paused sale again.
    Resume(Act),
    /// Closes a sale for good. Asks first.
    Close(Sure),
    /// Makes the sale's state in Redis anew from Postgres. No order is taken meanwhile, a second or two. Asks first.
    Rebuild(Sure),
    /// What became of the sale's orders: funnel, revenue, sell-out, pace.
    Report { sale: SaleId },
}

/// A move.
#[derive(Debug, Args)]
pub(crate) struct Act {
    /// Which sale.
    pub(crate) sale: SaleId,
    /// Wait until the gateway acts by it, at most 60 seconds or as many as given.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "60", value_parser = seconds)]
    pub(crate) wait: Option<f64>,
}

/// A move that is asked about.
#[derive(Debug, Args)]
pub(crate) struct Sure {
    #[command(flatten)]
    pub(crate) act: Act,
    /// Do not ask.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Longest time that can be given: a day.
const SECONDS_MAX: f64 = 86_400.0;

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=SECONDS_MAX).contains(seconds));
    seconds.ok_or_else(|| format!("0.1 to {SECONDS_MAX} seconds"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_commands_fit_together() {
        super::Arguments::command().debug_assert();
    }
}
