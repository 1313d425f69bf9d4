//! The printed report of the demonstration.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use checker::evidence::Evidence;
use checker::finding::Finding;
use checker::report::Outcome;
use contract::order::OrderRequest;
use customers::population;
use customers::stats::Stats;
use terminal::{Style, Table, heading, styled, thousands};

use super::funnel::{self, Funnel};
use super::order_lifecycle::LifecycleResult;
use super::sales::DemoSales;
use super::settlement_lag::POLL_EVERY;
use super::{Arguments, BurstResult};

/// Returns the text before the burst: the customers by persona, and what they order.
pub(super) fn opening(arguments: &Arguments, sale: &str, gateways: &[String]) -> String {
    let customers = population::generate(arguments.customers, DemoSales::SKUS, arguments.seed);
    let mut personas: BTreeMap<&str, usize> = BTreeMap::new();
    for customer in &customers {
        *personas.entry(customer.persona.as_str()).or_default() += 1;
    }
    let mut personas: Vec<_> = personas.into_iter().collect();
    personas.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut table = Table::default();
    let mut line = |count: usize, name: &str| {
        table.row([thousands(count as u64), name.to_owned()]);
    };
    for (persona, count) in personas {
        line(count, persona);
    }
    let count = |selected: fn(&OrderRequest) -> bool| {
        customers.iter().filter(|customer| selected(&customer.order)).count()
    };
    line(count(|order| order.items.len() > 1), "of them order both items");
    line(count(|order| order.discount_policy_id.is_some()), "of them request the discount");
    format!(
        "{}\n  {} customers for {} units of two items, within {:.0} s, through {}\n\n{table}",
        heading(&format!("Burst sale {sale}")),
        thousands(arguments.customers),
        thousands(arguments.units),
        arguments.within.as_secs_f64(),
        gateways.join(" and "),
    )
}

/// Returns the tables after the burst.
pub(super) fn tables(arguments: &Arguments, burst: &BurstResult, evidence: &Evidence) -> String {
    let mut text = format!("{}\n{}", heading("Burst"), responses(arguments, &burst.stats));
    for example in &burst.stats.unexpected_examples {
        text.push_str(&format!("      {} {example}\n", styled(Style::Bad, "✗")));
    }
    let retried: Vec<_> = burst
        .stats
        .responses_by_name()
        .into_iter()
        .filter(|(name, _)| name.starts_with("503") || name.starts_with("429") || name == "no_answer")
        .map(|(name, count)| format!("{} x {name}", thousands(count)))
        .collect();
    if !retried.is_empty() {
        text.push_str(&format!("\n  Retried with the same key: {}\n", retried.join(", ")));
    }
    text.push_str(&format!("{}\n{}", heading("Settlement"), settlement(burst, evidence)));
    text.push_str(&format!("{}\n{}", heading("Stock"), stock(evidence)));
    text.push_str(&burst.pages.text());
    text
}

fn responses(arguments: &Arguments, stats: &Stats) -> Table {
    let mut table = Table::new(&["responses to customers", "count", "latency from arrival to the outcome"]);
    table.row(["customers".into(), thousands(arguments.customers), String::new()]);
    table.row(["requests, including retries and repeats".into(), thousands(stats.requests), String::new()]);
    table.row(["accepted orders".to_owned(), thousands(stats.orders.len() as u64), String::new()]);
    table.row(["202, including repeats".into(), thousands(stats.accepted.count()), stats.accepted.summary()]);
    table.row(["refused".into(), thousands(stats.refused.count()), stats.refused.summary()]);
    for (code, count) in &stats.refusals {
        table.row([format!("  {code}"), thousands(*count), String::new()]);
    }
    table.row(["no outcome after all retries".into(), thousands(stats.unresolved), String::new()]);
    table.row(["not as documented".into(), thousands(stats.unexpected), String::new()]);
    table
}

fn settlement(burst: &BurstResult, evidence: &Evidence) -> Table {
    let rows = evidence.orders_by_id();
    let (stats, lag) = (&burst.stats, &burst.lag);
    let orders = &evidence.stored.orders;
    let lost = stats.orders.iter().filter(|order| !rows.contains_key(*order)).count();
    let customers: HashSet<_> = orders.iter().map(|order| &order.customer).collect();
    let after = lag.after_last.map_or("not within the wait".to_owned(), with_resolution);
    let rate = stats.orders.len() as f64 / burst.took.as_secs_f64();
    let mut table = Table::default();
    table.row(["settled orders".to_owned(), thousands(lag.settled)]);
    table.row(["settled after the last 202".to_owned(), after]);
    table.row(["highest lag in orders".to_owned(), thousands(lag.orders_max)]);
    table.row(["unsettled records now".to_owned(), thousands(unsettled_records(evidence))]);
    table.row(["oversold units".to_owned(), thousands(oversold(evidence))]);
    table.row(["lost orders (202 without a row)".to_owned(), thousands(lost as u64)]);
    table.row(["doubled orders".to_owned(), thousands((orders.len() - customers.len()) as u64)]);
    table.row(["accepted per second, over the burst".to_owned(), thousands(rate as u64)]);
    table
}

/// Formats a duration that was measured by polling.
fn with_resolution(time: Duration) -> String {
    if time < POLL_EVERY {
        format!("within {} ms", POLL_EVERY.as_millis())
    } else {
        format!("{} ms", time.as_millis())
    }
}

fn unsettled_records(evidence: &Evidence) -> u64 {
    u64::try_from(evidence.log_end.end() - evidence.stored.position.next_offset).unwrap_or(0)
}

fn oversold(evidence: &Evidence) -> u64 {
    let items = evidence.stored.items.iter();
    items.filter_map(|item| Some((item.held + item.sold).saturating_sub(item.total?))).sum()
}

fn stock(evidence: &Evidence) -> Table {
    let mut table =
        Table::new(&["item", "total", "held", "sold", "available in Postgres", "available in Redis"]);
    for item in &evidence.stored.items {
        let total = item.total.unwrap_or(0);
        let redis = evidence.redis.as_ref().and_then(|redis| redis.available.get(item.sku.as_str()).copied());
        table.row([
            item.sku.to_string(),
            thousands(total),
            thousands(item.held),
            thousands(item.sold),
            thousands(total.saturating_sub(item.held + item.sold + item.dead_lettered)),
            redis.flatten().map_or("–".to_owned(), thousands),
        ]);
    }
    table
}

/// Returns the verdict after the burst; the findings are included only when an invariant does not hold.
pub(super) fn interim(findings: &[Finding]) -> String {
    match Outcome::from_findings(findings) {
        Outcome::Holds => format!("\n  {}", styled(Style::Good, "After the burst, every invariant holds.")),
        _ => format!("{}\n{}", heading("Invariants after the burst"), checker::report::lines(findings)),
    }
}

/// Returns the report of the orders' lifecycle.
pub(super) fn lifecycle(result: &LifecycleResult, burst: &Stats, evidence: &Evidence) -> String {
    let of_burst = Funnel::count_orders(evidence, |order| burst.orders.contains(&order.id));
    let resold = Funnel::count_orders(evidence, |order| !burst.orders.contains(&order.id));
    let mut text = format!(
        "{}\n{}\n{}",
        heading(&format!("Order lifecycle ({:.0} s)", result.took.as_secs_f64())),
        funnel::table(&of_burst, &resold),
        commands(result)
    );
    for example in &result.commands.examples {
        text.push_str(&format!("      {} {example}\n", styled(Style::Bad, "✗")));
    }
    text.push_str(&format!(
        "\n  {} units were returned, {} were sold again. {}\n",
        thousands(of_burst.units_returned() + resold.units_returned()),
        thousands(resold.units()),
        match result.cards {
            true => "The simulated provider charged the cards.",
            false => "The payments program is not ready: all customers paid from their wallets.",
        }
    ));
    if !result.sold_out {
        let note = "The time was up before all units were sold again: units left over are not checked.";
        text.push_str(&format!("  {}\n", styled(Style::Bad, note)));
    }
    if of_burst.on_the_way() + resold.on_the_way() > 0 {
        text.push_str(
            "  Some goods are in transit; settlement's DELIVERY_*_SECONDS settings define the times.\n",
        );
    }
    text.push_str(&format!("{}\n{}", heading("Stock"), stock(evidence)));
    text
}

fn commands(result: &LifecycleResult) -> Table {
    let mut table = Table::new(&["responses to customers", "count"]);
    for ((command, outcome), count) in &result.commands.counts {
        table.row([format!("{command} {}", outcome.as_str()), thousands(*count)]);
    }
    let stats = &result.stats;
    let refused = stats.refused.count() + stats.unresolved;
    table.row(["orders of returned units".to_owned(), thousands(stats.accepted.count() + refused)]);
    table.row(["  of these too late".to_owned(), thousands(refused)]);
    table
}

/// Returns the findings of every invariant.
pub(super) fn invariants(findings: &[Finding]) -> String {
    let title = "Invariants (clients' journal compared with Postgres, Redis and the log)";
    format!("{}\n{}", heading(title), checker::report::lines(findings))
}

/// Returns commands and files with which a reader can continue.
pub(super) fn next_steps(
    arguments: &Arguments,
    sales: &DemoSales,
    evidence: &Evidence,
    files: &[&Path],
) -> String {
    let (gateway, admin) = (&arguments.programs.gateway_url, &arguments.programs.admin_url);
    let (settlement, burst) = (&arguments.programs.settlement_url, &sales.burst);
    let auth = "-H 'Authorization: Bearer dev:me'";
    let admin_auth = "-H 'Authorization: Bearer dev-admin'";
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    let body = r#"'{"items":[{"sku":"A","quantity":1}]}'"#;
    let orders =
        "SELECT sequence, customer_id, status, total FROM customer_order ORDER BY accepted_at DESC LIMIT 10";
    let mut table = Table::default();
    for (name, command) in [
        (
            "buy",
            format!("curl -i {auth} -H 'Idempotency-Key: 1' --json {body} {gateway}/v1/sales/sample/orders"),
        ),
        ("my orders", format!("curl {auth} {gateway}/v1/sales/sample/orders")),
        ("the sale", format!("curl {gateway}/v1/sales/sample")),
        ("the stock", format!("curl {admin_auth} {admin}/admin/v1/sales/{burst}/inventory")),
        ("report of its orders", format!("curl {admin_auth} {admin}/admin/v1/sales/{burst}/report")),
        ("metrics", format!("{admin}/metrics  {settlement}/metrics")),
        ("health", format!("{admin}/health/ready  {settlement}/health/ready")),
        ("orders", format!("./dev psql -c '{orders}'")),
        ("events", "./dev events --from-beginning".to_owned()),
        ("logs", "./dev logs -f".to_owned()),
        ("written files", files.join("  ")),
    ] {
        table.row([name, &command]);
    }
    format!(
        "{}\n{table}\n  The sale 'sample' stays open ({} left); {} records of {burst} are in the topic orders/{}.\n",
        heading("Next steps"),
        remaining_units(sales),
        thousands(evidence.log.len() as u64),
        evidence.stored.sale.partition,
    )
}

fn remaining_units(sales: &DemoSales) -> String {
    let items = sales.sample.items.iter().map(|item| match item.remaining {
        Some(left) => format!("{} of {}", thousands(left), item.sku),
        None => format!("{} without limit", item.sku),
    });
    items.collect::<Vec<_>>().join(", ")
}

/// Returns the last line.
pub(super) fn verdict(outcome: Outcome, unexpected: u64) -> String {
    match outcome {
        Outcome::Holds if unexpected == 0 => styled(
            Style::Good,
            "Every invariant holds: sold out, nothing oversold, nothing lost, nothing doubled, every won accounted for.",
        ),
        Outcome::Holds => {
            styled(Style::Bad, "Every invariant holds, but some responses were not as documented.")
        }
        Outcome::Violated => styled(Style::Bad, "An invariant is violated: see above."),
        Outcome::CouldNotCheck => styled(Style::Bad, "Not everything could be checked: see above."),
    }
}
