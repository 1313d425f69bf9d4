//! The checker: compares what clients were told with what Postgres, Redis and the log hold, and prints
//! one line per invariant of ARCHITECTURE.md.
//!
//! | module       | what it is                                                   |
//! |--------------|--------------------------------------------------------------|
//! | [`evidence`] | all that is looked at, as plain data                         |
//! | [`rest`]     | the bounded wait for a moment at which it can be compared    |
//! | [`postgres`], [`redis`], [`log`], [`ledger`] | where the evidence comes from |
//! | [`stock`], [`orders`], [`keys`], [`sequence`], [`events`], [`money`], [`position`] | the invariants |
//! | [`report`], [`command`] | the lines, the JSON, the subcommand |

pub mod command;
pub mod events;
pub mod evidence;
pub mod finding;
pub mod keys;
pub mod ledger;
pub mod log;
pub mod money;
pub mod orders;
pub mod position;
pub mod postgres;
pub mod redis;
pub mod report;
pub mod rest;
pub mod sequence;
pub mod stock;

use std::ops::Range;
use std::time::Duration;

use contract::ids::SaleId;
use evidence::{Evidence, Expectations};
use finding::Finding;

use customers::journal::Entry;
use customers::settings::Services;

/// Every invariant, in the order of ARCHITECTURE.md.
pub const INVARIANTS: [fn(&Evidence) -> Finding; 10] = [
    stock::never_oversold,
    orders::every_acceptance_is_settled,
    orders::every_order_was_asked_for,
    keys::one_key_one_order,
    stock::every_unit_accounted_for,
    stock::nothing_left_over,
    sequence::admission_order,
    events::legal_history,
    money::payments_balance,
    position::applied_once,
];

/// Judges every invariant.
pub fn judge(evidence: &Evidence) -> Vec<Finding> {
    INVARIANTS.iter().map(|check| check(evidence)).collect()
}

/// Waits for rest, then gathers everything about a sale.
pub async fn gather(
    services: &Services,
    sale: &SaleId,
    journal: Vec<Entry>,
    expectations: Expectations,
    wait: Duration,
) -> anyhow::Result<Evidence> {
    let mut client = postgres::connect(&services.database_url).await?;
    let redis_client = redis::connect(&services.redis_url).await?;
    let rest = rest::wait(&client, &redis_client, services, sale, wait).await?;
    let stored = postgres::read(&mut client, sale).await?;
    let redis = match stored.sale.ready {
        true => redis::read(&redis_client, sale, stored.sale.epoch).await?,
        false => None,
    };
    let services = services.clone();
    let (sale, partition, end) = (sale.clone(), stored.sale.partition, stored.position.next_offset);
    let orders = stored.orders.iter().map(|order| order.id).collect();
    let (records, published, movements, log_end) = tokio::task::spawn_blocking(move || {
        let reader = log::Reader::new(&services)?;
        let log_end = reader.end(contract::topics::ORDERS.name, partition)?;
        // A position beyond the log is a finding, not something to wait for.
        let records = reader.records(&sale, partition, end.min(log_end))?;
        anyhow::Ok((records, reader.order_events(&orders)?, reader.movements(&sale)?, log_end))
    })
    .await??;
    // What came after Postgres was read is not compared with it: holds end and goods go on while this looks.
    let later = stored.position.next_seq..postgres::next_seq(&client, partition).await?;
    let published = published.into_iter().filter(|event| !is_among(&event.id, partition, &later)).collect();
    let movements = movements.into_iter().filter(|told| !is_among(&told.id, partition, &later)).collect();
    Ok(Evidence {
        expectations,
        unrest: rest.unrest,
        untold: rest.untold,
        sale: stored.sale,
        items: stored.items,
        orders: stored.orders,
        events: stored.events,
        releases: stored.releases,
        changes: stored.changes,
        dead_letters: stored.dead_letters,
        position: stored.position,
        payments: stored.payments,
        wallet_entries: stored.wallet_entries,
        wallets: stored.wallets,
        ledger: None,
        redis,
        log: records,
        log_end: rest.log_end..=log_end,
        published,
        movements,
        journal,
    })
}

/// Whether the event of this id (`partition-seq`, and for movements `-sku`) has one of these sequences.
fn is_among(id: &str, partition: i32, sequences: &Range<i64>) -> bool {
    let mut parts = id.splitn(3, '-').map(str::parse::<i64>);
    match (parts.next(), parts.next()) {
        (Some(Ok(of)), Some(Ok(seq))) => of == i64::from(partition) && sequences.contains(&seq),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_among;

    #[test]
    fn only_what_came_meanwhile_is_left_out() {
        for (id, out) in [
            ("2-9", false),
            ("2-10", true),
            ("2-10-SKU-A", true),
            ("2-11", true),
            ("2-12", false),
            ("3-10", false),
            ("2", false),
            ("x-10", false),
        ] {
            assert_eq!(is_among(id, 2, &(10..12)), out, "{id}");
        }
    }
}
