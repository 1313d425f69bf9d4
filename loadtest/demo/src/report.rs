//! What the demonstration prints.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use contract::order::OrderRequest;

use checker::evidence::Evidence;
use checker::finding::Finding;
use checker::report::Outcome;
use customers::crowd::crowd;
use customers::tally::Tally;
use terminal::{Style, Table, heading, styled, thousands};

use super::afterwards::Afterwards;
use super::funnel::{self, Funnel};
use super::prepare::Sales;
use super::watch::ASK_EVERY;
use super::{Arguments, Burst};

/// Before the burst.
pub(super) fn opening(arguments: &Arguments, sale: &str, gateways: &[String]) -> String {
    let crowd = crowd(arguments.customers, Sales::SKUS, arguments.seed);
    let mut manners: BTreeMap<&str, usize> = BTreeMap::new();
    for customer in &crowd {
        *manners.entry(customer.manner.as_str()).or_default() += 1;
    }
    let mut manners: Vec<_> = manners.into_iter().collect();
    manners.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut table = Table::default();
    let mut line = |count: usize, what: &str| {
        table.row([thousands(count as u64), what.to_owned()]);
    };
    for (manner, count) in manners {
        line(count, manner);
    }
    let count = |of: fn(&OrderRequest) -> bool| crowd.iter().filter(|customer| of(&customer.order)).count();
    line(count(|order| order.items.len() > 1), "of all want both items");
    line(count(|order| order.discount_policy_id.is_some()), "of all ask for the discount");
    format!(
        "{}\n  {} customers for {} units of two items, within {:.0} s, through {}\n\n{table}",
        heading(&format!("Burst sale {sale}")),
        thousands(arguments.customers),
        thousands(arguments.units),
        arguments.within.as_secs_f64(),
        gateways.join(" and "),
    )
}

/// After it.
pub(super) fn tables(arguments: &Arguments, burst: &Burst, evidence: &Evidence) -> String {
    let tally = &burst.tally;
    let mut told = Table::new(&["what customers were told", "count", "latency from arrival to the outcome"]);
    told.row(["offered (customers)".into(), thousands(arguments.customers), String::new()]);
    told.row(["requests, retries and repeats included".into(), thousands(tally.requests), String::new()]);
    told.row(["accepted orders".to_owned(), thousands(tally.orders.len() as u64), String::new()]);
    told.row(["202, repeats included".into(), thousands(tally.accepted.count()), tally.accepted.summary()]);
    told.row(["refused for good".into(), thousands(tally.refused.count()), tally.refused.summary()]);
    for (code, count) in &tally.refusals {
        told.row([format!("  {code}"), thousands(*count), String::new()]);
    }
    told.row(["no outcome after all retries".into(), thousands(tally.unanswered), String::new()]);
    told.row(["not as documented".into(), thousands(tally.unexpected), String::new()]);

    let mut text = format!("{}\n{told}", heading("Burst"));
    for example in &tally.unexpected_examples {
        text.push_str(&format!("      {} {example}\n", styled(Style::Bad, "✗")));
    }
    let retried: Vec<_> = tally
        .named_answers()
        .into_iter()
        .filter(|(name, _)| name.starts_with("503") || name.starts_with("429") || name == "no_answer")
        .map(|(name, count)| format!("{} x {name}", thousands(count)))
        .collect();
    if !retried.is_empty() {
        text.push_str(&format!("\n  Retried with the same key: {}\n", retried.join(", ")));
    }
    text.push_str(&format!("{}\n{}", heading("Settlement"), settlement(burst, evidence)));
    text.push_str(&format!("{}\n{}", heading("Stock"), stock(evidence)));
    text.push_str(&burst.sight.report());
    text
}

fn settlement(burst: &Burst, evidence: &Evidence) -> Table {
    let rows = evidence.orders_by_id();
    let tally = &burst.tally;
    let lost = tally.orders.iter().filter(|order| !rows.contains_key(*order)).count();
    let customers: std::collections::HashSet<_> =
        evidence.orders.iter().map(|order| &order.customer).collect();
    let behind = &burst.behind;
    let after = behind.after_last.map_or("not within the wait".to_owned(), within);
    let rate = tally.orders.len() as f64 / burst.took.as_secs_f64();
    let mut table = Table::default();
    table.row(["settled orders".to_owned(), thousands(behind.settled)]);
    table.row(["settled after the last 202".to_owned(), after]);
    table.row(["furthest behind, in orders".to_owned(), thousands(behind.orders_max)]);
    table.row(["unsettled records now".to_owned(), lag(evidence)]);
    table.row(["oversold units".to_owned(), thousands(oversold(evidence))]);
    table.row(["lost orders (202 without a row)".to_owned(), thousands(lost as u64)]);
    table.row(["doubled orders".to_owned(), thousands((evidence.orders.len() - customers.len()) as u64)]);
    table.row(["accepted a second, over the burst".to_owned(), thousands(rate as u64)]);
    table
}

/// As exactly as it was looked at.
fn within(time: Duration) -> String {
    if time < ASK_EVERY {
        format!("within {} ms", ASK_EVERY.as_millis())
    } else {
        format!("{} ms", time.as_millis())
    }
}

fn lag(evidence: &Evidence) -> String {
    thousands(u64::try_from(evidence.log_end.end() - evidence.position.next_offset).unwrap_or(0))
}

fn oversold(evidence: &Evidence) -> u64 {
    let items = evidence.items.iter();
    items.filter_map(|item| Some((item.held + item.sold).saturating_sub(item.total?))).sum()
}

fn stock(evidence: &Evidence) -> Table {
    let mut table = Table::new(&["item", "total", "held", "sold", "left in Postgres", "left in Redis"]);
    for item in &evidence.items {
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

/// The verdict between burst and afterwards: the lines only where something does not hold.
pub(super) fn interim(findings: &[Finding]) -> String {
    match Outcome::of(findings) {
        Outcome::Holds => format!("\n  {}", styled(Style::Good, "After the burst, every invariant holds.")),
        _ => format!("{}\n{}", heading("Invariants after the burst"), checker::report::lines(findings)),
    }
}

/// What became of the orders.
pub(super) fn afterwards(afterwards: &Afterwards, burst: &Tally, evidence: &Evidence) -> String {
    let of_burst = Funnel::of(evidence, |order| burst.orders.contains(&order.id));
    let later = Funnel::of(evidence, |order| !burst.orders.contains(&order.id));
    let mut told = Table::new(&["what customers were told", "count"]);
    for ((command, reply), count) in &afterwards.replies.counts {
        told.row([format!("{command} {}", reply.as_str()), thousands(*count)]);
    }
    let tally = &afterwards.tally;
    told.row(["came for what had come back".to_owned(), thousands(tally.accepted.count() + refused(tally))]);
    told.row(["  of these too late again".to_owned(), thousands(refused(tally))]);

    let mut text = format!(
        "{}\n{}\n{told}",
        heading(&format!("Afterwards ({:.0} s)", afterwards.took.as_secs_f64())),
        funnel::table(&of_burst, &later)
    );
    for example in &afterwards.replies.examples {
        text.push_str(&format!("      {} {example}\n", styled(Style::Bad, "✗")));
    }
    let back = of_burst.units_back() + later.units_back();
    text.push_str(&format!(
        "\n  {} units came back, {} were sold again. {}\n",
        thousands(back),
        thousands(later.units()),
        match afterwards.cards {
            true => "Cards were charged by the simulated provider.",
            false => "Nobody charges cards here (no payments group is ready): all paid from their wallets.",
        }
    ));
    if !afterwards.sold_out {
        text.push_str(&format!(
            "  {}\n",
            styled(Style::Bad, "Time was up before all was sold again: what is left is not judged.")
        ));
    }
    if of_burst.on_the_way() + later.on_the_way() > 0 {
        text.push_str("  Goods are still on their way: DELIVERY_*_SECONDS of settlement say for how long.\n");
    }
    text.push_str(&format!("{}\n{}", heading("Stock"), stock(evidence)));
    text
}

fn refused(tally: &Tally) -> u64 {
    tally.refused.count() + tally.unanswered
}

/// Where a reader goes from here.
pub(super) fn where_next(
    arguments: &Arguments,
    sales: &Sales,
    evidence: &Evidence,
    files: &[&Path],
) -> String {
    let (gateway, admin) = (&arguments.programs.gateway_url, &arguments.programs.admin_url);
    let settlement = &arguments.programs.settlement_url;
    let auth = "-H 'Authorization: Bearer dev:me'";
    let mut table = Table::default();
    table.row(["buy", &format!("curl -i {auth} -H 'Idempotency-Key: 1' --json '{{\"items\":[{{\"sku\":\"A\",\"quantity\":1}}]}}' {gateway}/v1/sales/sample/orders")]);
    table.row(["my orders", &format!("curl {auth} {gateway}/v1/sales/sample/orders")]);
    table.row(["the sale", &format!("curl {gateway}/v1/sales/sample")]);
    let burst = &sales.burst;
    table.row([
        "the stock",
        &format!("curl -H 'Authorization: Bearer dev-admin' {admin}/admin/v1/sales/{burst}/inventory"),
    ]);
    table.row([
        "what became of its orders",
        &format!("curl -H 'Authorization: Bearer dev-admin' {admin}/admin/v1/sales/{burst}/report"),
    ]);
    table.row(["metrics", &format!("{admin}/metrics  {settlement}/metrics")]);
    table.row(["health", &format!("{admin}/health/ready  {settlement}/health/ready")]);
    table.row(["orders", "./dev psql -c 'SELECT sequence, customer_id, status, total FROM customer_order ORDER BY accepted_at DESC LIMIT 10'"]);
    table.row(["events", "./dev events --from-beginning"]);
    table.row(["logs", "./dev logs -f"]);
    let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
    table.row(["written", &files.join("  ")]);
    let sample: Vec<_> = sales
        .sample
        .items
        .iter()
        .map(|item| match item.remaining {
            Some(left) => format!("{} of {}", thousands(left), item.sku),
            None => format!("{} without limit", item.sku),
        })
        .collect();
    format!(
        "{}\n{table}\n  The sale 'sample' stays open ({} left); {} records of {burst} are in the topic orders/{}.\n",
        heading("Where to look next"),
        sample.join(", "),
        thousands(evidence.log.len() as u64),
        evidence.sale.partition,
    )
}

/// The last line.
pub(super) fn verdict(outcome: Outcome, surprises: u64) -> String {
    match outcome {
        Outcome::Holds if surprises == 0 => styled(
            Style::Good,
            "Every invariant holds: sold out, nothing oversold, nothing lost, nothing doubled, every won accounted for.",
        ),
        Outcome::Holds => {
            styled(Style::Bad, "Every invariant holds, but some answers were not as documented.")
        }
        Outcome::Violated => styled(Style::Bad, "An invariant is violated: see above."),
        Outcome::CouldNotCheck => styled(Style::Bad, "Not everything could be checked: see above."),
    }
}
