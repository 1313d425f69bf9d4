//! The printed report of the comparison.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Arguments;
use super::rounds::Round;
use crate::process_usage;
use terminal::{Style, Table, heading, styled, thousands};

/// The target ratio of accepted orders to baseline A.
const ACCEPTED_MIN: f64 = 0.4;
/// The target ratio of refusals of a sold-out sale to baseline A.
const SOLD_OUT_MIN: f64 = 0.8;
/// The target ratio of commands to accepted orders.
const COMMANDS_MIN: f64 = 0.8;
/// The highest allowed lag of settlement in seconds.
const LAG_SECONDS_MAX: f64 = 1.0;

/// The share of the machine that other programs may use before the measurement is unreliable.
const OTHERS_SHARE_MAX: f64 = 0.05;

/// Returns the mean, the lowest and the highest value of all rounds.
fn spread(rounds: &[Round], value: impl Fn(&Round) -> f64) -> (f64, f64, f64) {
    let values: Vec<f64> = rounds.iter().map(value).collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    (mean, lowest, values.iter().copied().fold(0.0, f64::max))
}

/// Returns whether the mean of all rounds meets every target.
pub(super) fn met(rounds: &[Round]) -> bool {
    spread(rounds, Round::accepted_ratio).0 >= ACCEPTED_MIN
        && spread(rounds, Round::sold_out_ratio).0 >= SOLD_OUT_MIN
        && spread(rounds, Round::commands_ratio).0 >= COMMANDS_MIN
        && spread(rounds, Round::lag_seconds_max).2 <= LAG_SECONDS_MAX
        && rounds.iter().all(|round| round.orders.settled >= round.orders.accepted.accepted_total)
}

/// Returns all tables.
pub(super) fn text(arguments: &Arguments, rounds: &[Round]) -> String {
    let mut text = format!(
        "{}\n  {} connections, closed loop; all programs on this machine, including the load\n\n{}",
        heading("Requests per second"),
        arguments.connections,
        rates(rounds)
    );
    text.push_str(&format!("{}\n{}", heading("Ratios (mean, lowest and highest round)"), ratios(rounds)));
    text.push_str(&format!("{}\n{}", heading("CPU time per accepted order, and per payment"), cpu(rounds)));
    text.push_str(&format!("{}\n{}", heading("Settlement"), settlement(rounds)));
    let (_, _, others) = spread(rounds, others_share);
    if others > OTHERS_SHARE_MAX {
        let warning = format!(
            "Other programs used {:.0} % of the machine while orders were accepted: these figures and ratios are not \
             valid. Repeat the run on an idle machine.",
            others * 100.0
        );
        text.push_str(&format!("\n  {}\n", styled(Style::Bad, &warning)));
    }
    text
}

fn rates(rounds: &[Round]) -> Table {
    let mut header = vec![String::new()];
    header.extend((1..=rounds.len()).map(|number| format!("round {number}")));
    header.push("latency of the last round".into());
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = Table::new(&header);
    let mut line = |name: &str, value: &dyn Fn(&Round) -> f64, latency: String| {
        let mut row = vec![name.to_owned()];
        row.extend(rounds.iter().map(|round| thousands(value(round).round() as u64)));
        row.push(latency);
        table.row(row);
    };
    let Some(last) = rounds.last() else { return Table::default() };
    line("accepted and settled (202)", &Round::accepted_per_second, last.orders.accepted.latencies.summary());
    line(
        "payments recorded and settled (202)",
        &Round::commands_per_second,
        last.orders.paid.latencies.summary(),
    );
    line(
        "baseline A: constant 202",
        &|round| round.baseline.per_second(202),
        last.baseline.latencies.summary(),
    );
    line("sold out (409)", &|round| round.sold_out.per_second(409), last.sold_out.latencies.summary());
    line(
        "baseline A again",
        &|round| round.baseline_again.per_second(202),
        last.baseline_again.latencies.summary(),
    );
    line("baseline B: one-order script", &|round| round.redis, String::new());
    line("baseline B, 16 in a pipeline", &|round| round.redis_pipelined, String::new());
    table
}

fn ratios(rounds: &[Round]) -> Table {
    let mut table = Table::new(&["", "mean", "lowest", "highest", "target", ""]);
    let mut line = |name: &str, value: fn(&Round) -> f64, target: Option<f64>| {
        let (mean, lowest, highest) = spread(rounds, value);
        let verdict = target.map(|target| match mean >= target {
            true => styled(Style::Good, "met"),
            false => styled(Style::Bad, "missed"),
        });
        table.row([
            name.to_owned(),
            format!("{mean:.2}"),
            format!("{lowest:.2}"),
            format!("{highest:.2}"),
            target.map_or(String::new(), |target| format!("{target:.2}")),
            verdict.unwrap_or_default(),
        ]);
    };
    line("accepted / baseline A", Round::accepted_ratio, Some(ACCEPTED_MIN));
    line("sold out / baseline A", Round::sold_out_ratio, Some(SOLD_OUT_MIN));
    line("payments / accepted", Round::commands_ratio, Some(COMMANDS_MIN));
    line("accepted / baseline B", Round::redis_ratio, None);
    table
}

/// Returns the share of the machine that programs outside the measurement used.
fn others_share(round: &Round) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    let others = round.orders.cpu.get(process_usage::OTHERS).copied().unwrap_or_default();
    others.as_secs_f64() / ((round.orders.accepted.seconds + round.orders.catch_up.as_secs_f64()) * cores)
}

fn cpu(rounds: &[Round]) -> Table {
    let kinds: BTreeSet<&String> = rounds.iter().flat_map(|round| round.orders.cpu.keys()).collect();
    let mut table =
        Table::new(&["", "µs per order", "lowest", "highest", "µs per payment", "lowest", "highest"]);
    let each = |used: Option<&Duration>, count: u64| {
        used.copied().unwrap_or_default().as_secs_f64() * 1e6 / count.max(1) as f64
    };
    for kind in kinds {
        let order =
            spread(rounds, |round| each(round.orders.cpu.get(kind), round.orders.accepted.accepted_total));
        let payment =
            spread(rounds, |round| each(round.orders.paying_cpu.get(kind), round.orders.paid.accepted_total));
        let figures = [order.0, order.1, order.2, payment.0, payment.1, payment.2];
        table.row(std::iter::once(kind.clone()).chain(figures.map(|figure| format!("{figure:.1}"))));
    }
    table
}

fn settlement(rounds: &[Round]) -> Table {
    let mut table =
        Table::new(&["", "accepted", "settled", "highest lag, s", "caught up after, s", "other responses"]);
    for (round, number) in rounds.iter().zip(1..) {
        let others: Vec<_> = round
            .orders
            .accepted
            .responses
            .iter()
            .filter(|(status, _)| **status != 202)
            .map(|(status, count)| format!("{count} x {status}"))
            .chain(
                (round.orders.accepted.broken > 0)
                    .then(|| format!("{} broken", round.orders.accepted.broken)),
            )
            .collect();
        table.row([
            format!("round {number}"),
            thousands(round.orders.accepted.accepted_total),
            thousands(round.orders.settled),
            round.orders.lag_seconds.map_or("–".into(), |lag| format!("{lag:.2}")),
            format!("{:.2}", round.orders.catch_up.as_secs_f64()),
            if others.is_empty() { "none".into() } else { others.join(", ") },
        ]);
    }
    table
}
