//! What the comparison prints.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Arguments;
use super::rounds::Round;
use crate::procs;
use terminal::{Style, Table, heading, styled, thousands};

/// Accepted orders a second, against floor (a).
const ACCEPTED_MIN: f64 = 0.4;
/// Refusals of a sold-out sale a second, against floor (a).
const SOLD_OUT_MIN: f64 = 0.8;
/// Commands a second, against accepted orders.
const COMMANDS_MIN: f64 = 0.8;
/// Seconds that settlement may be behind.
const BEHIND_SECONDS_MAX: f64 = 1.0;

/// Share of the machine that strangers may take before the figures mean little.
const OTHERS_SHARE_MAX: f64 = 0.05;

/// Mean, lowest and highest.
fn spread(rounds: &[Round], of: impl Fn(&Round) -> f64) -> (f64, f64, f64) {
    let values: Vec<f64> = rounds.iter().map(of).collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    (mean, lowest, values.iter().copied().fold(0.0, f64::max))
}

/// Whether every target was met, by the mean.
pub(super) fn met(rounds: &[Round]) -> bool {
    spread(rounds, Round::accepted_ratio).0 >= ACCEPTED_MIN
        && spread(rounds, Round::sold_out_ratio).0 >= SOLD_OUT_MIN
        && spread(rounds, Round::commands_ratio).0 >= COMMANDS_MIN
        && spread(rounds, Round::behind_seconds).2 <= BEHIND_SECONDS_MAX
        && rounds.iter().all(|round| round.settled >= round.accepted.accepted_in_all)
}

/// All tables.
pub(super) fn text(arguments: &Arguments, rounds: &[Round]) -> String {
    let mut text = format!(
        "{}\n  {} connections, closed loop; everything on this machine, the load included\n\n{}",
        heading("Requests a second"),
        arguments.connections,
        rates(rounds)
    );
    text.push_str(&format!(
        "{}\n{}",
        heading("Ratios (mean, and from the lowest to the highest round)"),
        ratios(rounds)
    ));
    text.push_str(&format!("{}\n{}", heading("CPU time per accepted order, and per payment"), cpu(rounds)));
    text.push_str(&format!("{}\n{}", heading("Settlement"), settlement(rounds)));
    let (_, _, others) = spread(rounds, others_share);
    if others > OTHERS_SHARE_MAX {
        let warning = format!(
            "Other programs took {:.0} % of the machine while orders were accepted: these figures and ratios do \
             not count. Repeat on a machine that does nothing else.",
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
    let mut line = |name: &str, of: &dyn Fn(&Round) -> f64, latency: String| {
        let mut row = vec![name.to_owned()];
        row.extend(rounds.iter().map(|round| thousands(of(round).round() as u64)));
        row.push(latency);
        table.row(row);
    };
    let Some(last) = rounds.last() else { return Table::default() };
    line("accepted and settled (202)", &Round::accepted_per_second, last.accepted.latencies.summary());
    line("payments recorded and settled (202)", &Round::commands_per_second, last.paid.latencies.summary());
    line("floor (a): constant 202", &|round| round.floor.per_second(202), last.floor.latencies.summary());
    line("sold out (409)", &|round| round.sold_out.per_second(409), last.sold_out.latencies.summary());
    line("floor (a) again", &|round| round.floor_again.per_second(202), last.floor_again.latencies.summary());
    line("floor (b): one-order script", &|round| round.redis, String::new());
    line("floor (b), 16 in a pipeline", &|round| round.redis_pipelined, String::new());
    table
}

fn ratios(rounds: &[Round]) -> Table {
    let mut table = Table::new(&["", "mean", "from", "to", "target", ""]);
    let mut line = |name: &str, of: fn(&Round) -> f64, target: Option<f64>| {
        let (mean, lowest, highest) = spread(rounds, of);
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
    line("accepted / floor (a)", Round::accepted_ratio, Some(ACCEPTED_MIN));
    line("sold out / floor (a)", Round::sold_out_ratio, Some(SOLD_OUT_MIN));
    line("payments / accepted", Round::commands_ratio, Some(COMMANDS_MIN));
    line("accepted / floor (b)", Round::redis_ratio, None);
    table
}

/// Which part of the machine's time went to programs that are not measured.
fn others_share(round: &Round) -> f64 {
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    let others = round.cpu.get(procs::OTHERS).copied().unwrap_or_default();
    others.as_secs_f64() / ((round.accepted.seconds + round.catch_up.as_secs_f64()) * cores)
}

fn cpu(rounds: &[Round]) -> Table {
    let kinds: BTreeSet<&String> = rounds.iter().flat_map(|round| round.cpu.keys()).collect();
    let mut table = Table::new(&["", "µs an order", "from", "to", "µs a payment", "from", "to"]);
    let each = |used: Option<&Duration>, count: u64| {
        used.copied().unwrap_or_default().as_secs_f64() * 1e6 / count.max(1) as f64
    };
    for kind in kinds {
        let order = spread(rounds, |round| each(round.cpu.get(kind), round.accepted.accepted_in_all));
        let payment = spread(rounds, |round| each(round.paying_cpu.get(kind), round.paid.accepted_in_all));
        let figures = [order.0, order.1, order.2, payment.0, payment.1, payment.2];
        table.row(std::iter::once(kind.clone()).chain(figures.map(|figure| format!("{figure:.1}"))));
    }
    table
}

fn settlement(rounds: &[Round]) -> Table {
    let mut table =
        Table::new(&["", "accepted", "settled", "lag at most, s", "caught up after, s", "other answers"]);
    for (round, number) in rounds.iter().zip(1..) {
        let others: Vec<_> = round
            .accepted
            .answers
            .iter()
            .filter(|(status, _)| **status != 202)
            .map(|(status, count)| format!("{count} x {status}"))
            .chain((round.accepted.broken > 0).then(|| format!("{} broken", round.accepted.broken)))
            .collect();
        table.row([
            format!("round {number}"),
            thousands(round.accepted.accepted_in_all),
            thousands(round.settled),
            round.lag_seconds.map_or("–".into(), |lag| format!("{lag:.2}")),
            format!("{:.2}", round.catch_up.as_secs_f64()),
            if others.is_empty() { "none".into() } else { others.join(", ") },
        ]);
    }
    table
}
