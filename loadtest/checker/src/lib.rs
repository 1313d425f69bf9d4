//! The checker: compares the clients' journal with Postgres, Redis and the log, and prints one line for each
//! invariant of ARCHITECTURE.md.
//!
//! | module | contents |
//! |---|---|
//! | [`evidence`] | the evidence as plain data |
//! | [`quiescence`] | the bounded wait until the evidence can be compared |
//! | [`postgres`], [`redis`], [`log`], [`ledger`] | the sources of the evidence |
//! | [`stock`], [`orders`], [`keys`], [`sequence`], [`events`], [`money`], [`position`] | the invariants |
//! | [`finding`], [`report`] | findings, their text and their JSON |
//! | [`command`], [`settings`] | the arguments and the addresses |

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
pub mod quiescence;
pub mod redis;
pub mod report;
pub mod sequence;
pub mod settings;
pub mod stock;

use std::ops::Range;
use std::time::Duration;

use contract::ids::SaleId;
use evidence::{Evidence, Expectations};
use finding::Finding;

use crate::settings::Services;
use customers::journal::Entry;

/// Every invariant, in the order of ARCHITECTURE.md.
pub const INVARIANTS: [fn(&Evidence) -> Finding; 10] = [
    stock::never_oversold,
    orders::every_acceptance_is_settled,
    orders::every_order_was_requested,
    keys::one_key_one_order,
    stock::every_unit_accounted_for,
    stock::nothing_left_over,
    sequence::admission_order,
    events::legal_history,
    money::payments_balance,
    position::applied_once,
];

/// Evaluates every invariant.
pub fn evaluate(evidence: &Evidence) -> Vec<Finding> {
    INVARIANTS.iter().map(|check| check(evidence)).collect()
}

/// Waits until the sale is quiescent, then gathers the evidence.
pub async fn gather(
    services: &Services,
    sale: &SaleId,
    journal: Vec<Entry>,
    expectations: Expectations,
    wait: Duration,
) -> anyhow::Result<Evidence> {
    let mut client = postgres::connect(&services.database_url).await?;
    let redis_client = redis::connect(&services.redis_url).await?;
    let quiescence = quiescence::wait(&client, &redis_client, services, sale, wait).await?;
    let stored = postgres::read(&mut client, sale).await?;
    let redis = match stored.sale.ready {
        true => redis::read(&redis_client, sale, stored.sale.epoch).await?,
        false => None,
    };
    let services = services.clone();
    let (sale, partition, end) = (sale.clone(), stored.sale.partition, stored.position.next_offset);
    let orders = stored.orders.iter().map(|order| order.id).collect();
    let (records, published, movements, log_end) = tokio::task::spawn_blocking(move || {
        let reader = log::LogReader::new(&services)?;
        let log_end = reader.end_offset(contract::topics::ORDERS.name, partition)?;
        // A position beyond the end of the log is a finding, not something to wait for.
        let records = reader.records(&sale, partition, end.min(log_end))?;
        anyhow::Ok((records, reader.order_events(&orders)?, reader.movements(&sale)?, log_end))
    })
    .await??;
    // Events after the snapshot of Postgres are not compared with it: holds expire and orders advance
    // meanwhile.
    let later = stored.position.events.next..postgres::next_seq(&client, partition).await?;
    let published =
        published.into_iter().filter(|event| !has_sequence(&event.id, partition, &later)).collect();
    let movements =
        movements.into_iter().filter(|movement| !has_sequence(&movement.id, partition, &later)).collect();
    Ok(Evidence {
        expectations,
        pending: quiescence.pending,
        unpublished: quiescence.unpublished,
        stored,
        ledger: None,
        redis,
        log: records,
        log_end: quiescence.log_end..=log_end,
        published,
        movements,
        journal,
    })
}

/// Returns whether the event with this id (`partition-seq`, and for movements `-sku`) has one of these
/// sequences.
fn has_sequence(id: &str, partition: i32, sequences: &Range<i64>) -> bool {
    let mut parts = id.splitn(3, '-').map(str::parse::<i64>);
    match (parts.next(), parts.next()) {
        (Some(Ok(found)), Some(Ok(seq))) => found == i64::from(partition) && sequences.contains(&seq),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::has_sequence;

    #[test]
    fn only_events_after_the_snapshot_are_left_out() {
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
            assert_eq!(has_sequence(id, 2, &(10..12)), out, "{id}");
        }
    }
}
