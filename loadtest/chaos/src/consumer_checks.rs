//! Checks of the consumers of order events: the money at the provider, the messages to customers, and the
//! counts of analytics. Each is compared with Postgres once all orders have reached a final state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use contract::ids::SaleId;
use tokio_postgres::Client;
use uuid::Uuid;

use super::receiver::Receiver;
use checker::ledger::{self, LedgerEntry};

/// The polling interval.
const POLL_EVERY: Duration = Duration::from_millis(200);
/// A callback that was not accepted is retried after at most half a minute.
const MONEY_LIMIT: Duration = Duration::from_secs(45);
/// The longest wait for messages and counts, in addition to the last pause between the attempts of an event.
const CONSUMER_LIMIT: Duration = Duration::from_secs(30);

/// What the consumers did.
#[derive(Debug, Default)]
pub struct ConsumerChecks {
    /// The number of customers who got no message about their order, and of recorded commands without an
    /// effect.
    pub lost: u64,
    /// The number of duplicate messages beyond those that a crash allows.
    pub duplicated: u64,
    /// The problems found, as sentences.
    pub problems: Vec<String>,
    /// A summary in one line.
    pub summary: String,
}

/// The money that the provider must have kept, by order.
const KEPT: &str = "SELECT order_id, CASE status WHEN 'captured' THEN amount ELSE 0 END FROM payment \
                    WHERE sale_id = $1 AND method = 'card'";
/// Card payments that were captured after their orders were cancelled, and refunded.
const LATE: &str = "SELECT count(*) FROM payment p JOIN customer_order o USING (order_id) \
     WHERE p.sale_id = $1 AND p.method = 'card' AND p.status = 'refunded' AND o.status = 'cancelled' \
       AND NOT EXISTS (SELECT FROM order_event e WHERE e.order_id = p.order_id AND e.status = 'payment_completed')";
/// The events about which customers get a message.
const NOTIFIED_EVENTS: &str = "SELECT 'order_' || e.partition || '-' || e.seq, e.status, o.order_id::text \
      FROM order_event e JOIN customer_order o USING (order_id) \
     WHERE o.sale_id = $1 AND (e.status IN ('payment_completed', 'payment_failed', 'shipped', 'delivered', 'refunded') \
       OR e.status = 'cancelled' AND o.cancel_reason IN ('customer', 'expired'))";
/// The counts that analytics must have, and those that it has.
const COUNTS: &str = "WITH seen AS (SELECT DISTINCT e.order_id, e.status, o.total, o.cancel_reason \
          FROM order_event e JOIN customer_order o USING (order_id) WHERE o.sale_id = $1), \
      paid AS (SELECT order_id FROM seen WHERE status = 'payment_completed'), \
      expected AS (SELECT \
          count(*) FILTER (WHERE status = 'created') AS accepted, \
          count(*) FILTER (WHERE status = 'payment_requested') AS payment_requested, \
          count(*) FILTER (WHERE status = 'payment_completed') AS paid, \
          count(*) FILTER (WHERE status = 'payment_failed') AS payment_failed, \
          count(*) FILTER (WHERE status = 'cancelled' AND cancel_reason = 'expired') AS expired, \
          count(*) FILTER (WHERE status = 'cancelled' AND cancel_reason <> 'expired') AS cancelled, \
          count(*) FILTER (WHERE status = 'shipped') AS shipped, \
          count(*) FILTER (WHERE status = 'delivered') AS delivered, \
          count(*) FILTER (WHERE status = 'refund_requested') AS refund_requested, \
          count(*) FILTER (WHERE status = 'refunded') AS refunded, \
          coalesce(sum(total) FILTER (WHERE status = 'payment_completed'), 0)::bigint AS captured, \
          coalesce(sum(total) FILTER (WHERE status = 'refunded' OR status = 'cancelled' AND order_id IN (TABLE paid)), 0)::bigint \
              AS returned FROM seen) \
      SELECT e.key, e.value, a.value FROM expected, jsonb_each_text(to_jsonb(expected)) AS e \
        LEFT JOIN LATERAL (SELECT t.value FROM analytics_sale s, jsonb_each_text(to_jsonb(s)) AS t \
                            WHERE s.sale_id = $1 AND t.key = e.key) AS a ON true ORDER BY 1";

impl ConsumerChecks {
    /// Waits until the consumers have processed all events, and reports missing and excess messages.
    /// `duplicates_allowed`: the number of messages that crashes may have sent twice. `last_pause`: the pause
    /// before the last attempt of an event.
    pub async fn run(
        database: &Client,
        receiver: &Receiver,
        sale: &str,
        duplicates_allowed: u64,
        last_pause: Duration,
    ) -> anyhow::Result<Self> {
        let (begun, limit) = (Instant::now(), CONSUMER_LIMIT + last_pause);
        let (missing, miscounted) = loop {
            let expected = expected_messages(database, sale).await?;
            let messages = receiver.messages();
            let missing: BTreeSet<_> =
                expected.keys().filter(|id| !messages.contains_key(*id)).cloned().collect();
            let miscounted = miscounted(database, sale).await?;
            if (missing.is_empty() && miscounted.is_empty()) || begun.elapsed() >= limit {
                break (missing, miscounted);
            }
            tokio::time::sleep(POLL_EVERY).await;
        };
        let (expected, messages) = (expected_messages(database, sale).await?, receiver.messages());
        let mut checks = Self { lost: missing.len() as u64, ..Self::default() };
        if let Some(id) = missing.first() {
            let event = expected.get(id).map(String::as_str).unwrap_or_default();
            checks
                .problems
                .push(format!("{} messages are missing, for example {id} ({event})", missing.len()));
        }
        let duplicates: u64 = messages.values().map(|count| count - 1).sum();
        if duplicates > duplicates_allowed {
            checks.duplicated = duplicates - duplicates_allowed;
            checks
                .problems
                .push(format!("{duplicates} messages are duplicates, crashes allow {duplicates_allowed}"));
        }
        let unexpected: Vec<_> = messages.keys().filter(|id| !expected.contains_key(*id)).collect();
        if let Some(first) = unexpected.first() {
            checks.problems.push(format!("{} messages have no event, for example {first}", unexpected.len()));
        }
        if receiver.rejected() > 0 {
            checks.problems.push(format!("{} messages had a wrong signature", receiver.rejected()));
        }
        checks.problems.extend(miscounted);
        let late: i64 = database.query_one(LATE, &[&sale]).await?.try_get(0)?;
        checks.summary = format!(
            "{late} late captures refunded, {} messages sent, {duplicates} duplicates",
            messages.len()
        );
        Ok(checks)
    }
}

async fn expected_messages(database: &Client, sale: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let rows = database.query(NOTIFIED_EVENTS, &[&sale]).await?;
    let all = rows.iter().map(|row| {
        let (id, status, order): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        anyhow::Ok((id, format!("{status} of {order}")))
    });
    all.collect()
}

async fn miscounted(database: &Client, sale: &str) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for row in database.query(COUNTS, &[&sale]).await? {
        let (name, expected, counted): (String, String, Option<String>) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if counted.as_ref() != Some(&expected) {
            let counted = counted.unwrap_or_else(|| "nothing".into());
            all.push(format!("analytics counts {counted} for {name}, Postgres has {expected}"));
        }
    }
    Ok(all)
}

/// Waits until the provider's ledger and Postgres agree, because callbacks may be in flight; then returns the
/// ledger, also when they do not agree in time.
pub async fn wait_for_ledger(
    database: &Client,
    provider: &str,
    sale: &str,
) -> anyhow::Result<Vec<LedgerEntry>> {
    let begun = Instant::now();
    let id = SaleId::parse(sale)?;
    loop {
        let entries = ledger::read(provider, &id).await?;
        let mut at_provider: BTreeMap<Uuid, i64> = BTreeMap::new();
        for entry in &entries {
            let kept = i64::try_from(entry.captured)? - i64::try_from(entry.refunded)?;
            *at_provider.entry(entry.order_id.0).or_default() += kept;
        }
        let mut in_postgres: BTreeMap<Uuid, i64> = BTreeMap::new();
        for row in database.query(KEPT, &[&sale]).await? {
            in_postgres.insert(row.try_get(0)?, row.try_get(1)?);
        }
        let kept = |amounts: &BTreeMap<Uuid, i64>, order| amounts.get(order).copied().unwrap_or(0);
        let mut orders = at_provider.keys().chain(in_postgres.keys());
        let agree = orders.all(|order| kept(&at_provider, order) == kept(&in_postgres, order));
        if agree || begun.elapsed() >= MONEY_LIMIT {
            return Ok(entries);
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}
