//! The commands and options. Their doc comments are the texts of `--help`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use contract::ids::{CustomerId, IdempotencyKey, OrderId, SaleId};
use contract::lifecycle::OrderStatus;
use contract::money::{AMOUNT_MAX, Currency};

use crate::failure::EXIT_CODES;

/// Manage flash sales: define, open, watch and close them, inspect stock and orders.
///
/// Connects to the admin listener of a gateway. In a checkout, `./dev flashsale …` sets the address and the token of the
/// running stack.
#[derive(Debug, Parser)]
#[command(name = "flashsale", version, propagate_version = true, max_term_width = 100, after_long_help = EXIT_CODES)]
#[command(after_help = "Exit codes, and errors as JSON: flashsale --help")]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) server: Server,
    /// Print JSON, including errors on standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The address of the gateway, and the operator's credentials.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Gateway")]
pub(crate) struct Server {
    /// The URL of a gateway's admin listener.
    #[arg(
        long,
        global = true,
        env = "ADMIN_URL",
        default_value = "http://127.0.0.1:8081",
        value_name = "URL"
    )]
    pub(crate) admin_url: String,
    /// The operator's token. Prefer the environment variable: other users can see arguments.
    #[arg(long, global = true, env = "ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    pub(crate) token: Option<String>,
    /// Additional CA certificates to trust for https (PEM).
    #[arg(long, global = true, env = "TLS_CA_FILE", value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// The timeout of a request, including retries.
    #[arg(long, global = true, env = "FLASHSALE_TIMEOUT", default_value = "25", value_name = "SECONDS", value_parser = seconds)]
    pub(crate) timeout: f64,
}

/// The top-level commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Define sales and change their state: open, pause, resume, close, rebuild.
    #[command(subcommand)]
    Sale(Sale),
    /// Show whether the gateway and its dependencies are up, and the state of every sale.
    Status,
    /// Compare a sale's stock in Postgres and in Redis, and show the drift.
    Inventory {
        sale: SaleId,
        /// First rebuild the state in Redis from Postgres, and wait until it is done. Requires confirmation.
        #[arg(long)]
        sync: bool,
        /// Skip the confirmation.
        #[arg(long, short, requires = "sync")]
        yes: bool,
    },
    /// Find orders, and advance their delivery.
    #[command(subcommand)]
    Orders(Orders),
    /// List, replay and discard records that could not be applied.
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Manage customers' wallets.
    #[command(subcommand)]
    Wallet(Wallet),
    /// Watch stock, rates and lag live until `q` is pressed; without a terminal, print one line per second.
    #[command(after_help = "Examples:
  flashsale watch
  flashsale watch mugs --for 600
  flashsale watch mugs --json | jq .rates.accepted_per_second")]
    Watch {
        /// Watch only this sale.
        sale: Option<SaleId>,
        /// Stop after this time.
        #[arg(long = "for", value_name = "SECONDS", value_parser = seconds)]
        limit: Option<f64>,
    },
    /// Export a sale's settled orders to a CSV or Parquet file.
    ///
    /// The file has one row per order, newest first. Orders that are settled after the export has started are not included.
    /// Amounts are integers in the currency's minor unit, next to the currency; times are UTC. The file is created
    /// atomically: it is either complete or not created.
    #[command(after_help = "Examples:
  flashsale export mugs > mugs.csv
  flashsale export mugs --output mugs.parquet
  flashsale export mugs --lines --output mug-lines.csv --force")]
    Export(Export),
    /// Print a shell completion script.
    #[command(after_help = "Examples:
  source <(flashsale completions bash)
  flashsale completions zsh > ~/.zfunc/_flashsale
  flashsale completions fish > ~/.config/fish/completions/flashsale.fish")]
    Completions { shell: clap_complete::Shell },
}

/// The options of an export.
#[derive(Debug, Args)]
pub(crate) struct Export {
    pub(crate) sale: SaleId,
    /// The file format. Default: parquet if the file's name ends in .parquet, otherwise csv.
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The file to write; `-` is standard output (csv only).
    #[arg(long, short, default_value = "-", value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Write one row per order line instead of one per order.
    #[arg(long)]
    pub(crate) lines: bool,
    /// Overwrite an existing file.
    #[arg(long)]
    pub(crate) force: bool,
}

/// The format of an exported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values (RFC 4180) with a header; an order's lines are a JSON column.
    Csv,
    /// Apache Parquet; an order's lines are a list column.
    Parquet,
}

/// The commands for orders.
#[derive(Debug, Subcommand)]
pub(crate) enum Orders {
    /// List a sale's settled orders, newest first.
    #[command(after_help = "Examples:
  flashsale orders list mugs --customer alice
  flashsale orders list mugs --status preparing --limit 200
To export all orders to a file: flashsale export")]
    List {
        sale: SaleId,
        /// List only this customer's orders.
        #[arg(long)]
        customer: Option<CustomerId>,
        /// List only orders with this status.
        #[arg(long, value_parser = status)]
        status: Option<OrderStatus>,
        /// The maximum number of results.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
        /// Continue after the previous page: the value of its `next_cursor`.
        #[arg(long)]
        cursor: Option<u64>,
    },
    /// Show an order and its history.
    Show { sale: SaleId, order: OrderId },
    /// Advance an order's delivery status, through all states before it.
    #[command(after_help = "Example:  flashsale orders deliver mugs 0199… shipped")]
    Deliver {
        sale: SaleId,
        order: OrderId,
        /// The new status: shipped, in_transit or delivered.
        #[arg(value_parser = status)]
        status: OrderStatus,
    },
}

/// The commands for dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List dead letters, newest first.
    List {
        /// List only this sale's dead letters.
        #[arg(long)]
        sale: Option<SaleId>,
        /// List only dead letters in this state: undecided, duplicate, replayed, discarded.
        #[arg(long)]
        state: Option<String>,
        /// The maximum number of results.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
        limit: u16,
        /// Continue after the previous page: the value of its `next_cursor`.
        #[arg(long)]
        cursor: Option<u64>,
    },
    /// Re-apply a dead letter with the current code.
    Replay {
        /// The id of the dead letter, as listed.
        id: u64,
    },
    /// Discard a dead letter and return its units to stock. Requires confirmation.
    Discard {
        /// The id of the dead letter, as listed.
        id: u64,
        /// Skip the confirmation.
        #[arg(long, short)]
        yes: bool,
    },
}

/// The commands for wallets.
#[derive(Debug, Subcommand)]
pub(crate) enum Wallet {
    /// Credit a customer's wallet, once per key.
    ///
    /// The key is printed before the request is sent. If there is no response, repeat the command with the same key: a key
    /// never credits twice.
    #[command(after_help = "Example:  flashsale wallet credit alice 50000 KRW --key refund-2027-0042")]
    Credit {
        customer: CustomerId,
        /// The amount in the currency's minor unit.
        #[arg(value_parser = clap::value_parser!(u64).range(1..=AMOUNT_MAX))]
        amount: u64,
        #[arg(value_parser = currency)]
        currency: Currency,
        /// The Idempotency-Key of this credit; generated by default.
        #[arg(long, value_parser = key)]
        key: Option<String>,
    },
}

fn status(text: &str) -> Result<OrderStatus, String> {
    OrderStatus::parse(text).ok_or_else(|| {
        let names: Vec<_> = OrderStatus::ALL.iter().map(|status| status.as_str()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

fn currency(text: &str) -> Result<Currency, &'static str> {
    Currency::parse(text).ok_or("expected an ISO 4217 code such as KRW")
}

fn key(text: &str) -> Result<String, &'static str> {
    let parsed = IdempotencyKey::parse(text);
    parsed
        .map(|key| key.as_str().to_owned())
        .map_err(|_| "expected 1 to 128 visible ASCII characters without spaces")
}

/// The commands for a sale.
#[derive(Debug, Subcommand)]
pub(crate) enum Sale {
    /// Create or update a sale from a definition file.
    ///
    /// The file is validated before anything is sent, and each fault is shown at its position in the file. The command is
    /// idempotent.
    #[command(after_help = "Examples:
  flashsale sale template > mugs.toml
  flashsale sale apply mugs.toml --dry-run
  flashsale sale show mugs --definition | sed 's/total = 50/total = 80/' | flashsale sale apply -")]
    Apply {
        /// The definition in TOML or JSON; `-` is standard input.
        file: PathBuf,
        /// The sale's id, if the file does not contain it (`sale_id`).
        #[arg(long, value_name = "SALE")]
        sale: Option<SaleId>,
        /// Only show what would change.
        #[arg(long)]
        dry_run: bool,
    },
    /// List all sales, including drafts.
    List,
    /// Show a sale's terms, state and rebuild.
    Show {
        sale: SaleId,
        /// Print a definition that `sale apply` accepts: TOML, or JSON with --json.
        #[arg(long)]
        definition: bool,
    },
    /// Print a sample definition that explains every field: TOML, or JSON with --json.
    Template,
    /// Open a draft for customers.
    #[command(after_help = "Example:  flashsale sale open mugs --wait")]
    Open(ActionOptions),
    /// Pause a sale: orders are refused until it is resumed.
    Pause(ActionOptions),
    /// Resume a paused sale.
    Resume(ActionOptions),
    /// Close a sale permanently. Requires confirmation.
    Close(ConfirmedActionOptions),
    /// Rebuild the sale's state in Redis from Postgres. No orders are accepted for a second or two. Requires confirmation.
    Rebuild(ConfirmedActionOptions),
    /// Show a sale's order funnel, revenue, sell-out times and order rate.
    Report { sale: SaleId },
}

/// The options of an action on a sale.
#[derive(Debug, Args)]
pub(crate) struct ActionOptions {
    /// The sale's id.
    pub(crate) sale: SaleId,
    /// Wait until the change is in force in the gateway, for at most 60 seconds or the given time.
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "60", value_parser = seconds)]
    pub(crate) wait: Option<f64>,
}

/// The options of an action that requires confirmation.
#[derive(Debug, Args)]
pub(crate) struct ConfirmedActionOptions {
    #[command(flatten)]
    pub(crate) action: ActionOptions,
    /// Skip the confirmation.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// The longest time that an option accepts: a day.
const SECONDS_MAX: f64 = 86_400.0;

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.1..=SECONDS_MAX).contains(seconds));
    seconds.ok_or_else(|| format!("expected 0.1 to {SECONDS_MAX} seconds"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_commands_are_consistent() {
        super::Arguments::command().debug_assert();
    }
}
