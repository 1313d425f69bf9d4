//! What followed the events of orders: the money at the provider, the messages to customers, the counts. Each
//! is compared with Postgres once nothing moves any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use contract::ids::SaleId;
use tokio_postgres::Client;
use uuid::Uuid;

use super::receiver::Receiver;
use checker::ledger::{self, LedgerEntry};

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A callback that was not taken is told again after at most half a minute.
const MONEY_LIMIT: Duration = Duration::from_secs(45);
/// Longest wait for messages and counts, beside the last pause between an event's tries.
const FOLLOWED_LIMIT: Duration = Duration::from_secs(30);

/// What was found.
#[derive(Debug, Default)]
pub struct Aftermath {
    /// Customers who were not told of what became of their orders, or whose word left no trace.
    pub lost: u64,
    /// Messages that came again, beyond what a crash allows.
    pub doubled: u64,
    /// In words.
    pub complaints: Vec<String>,
    /// One line of what there was.
    pub told: String,
}

/// Money that the provider must have, by order.
const KEPT: &str = "SELECT order_id, CASE status WHEN 'captured' THEN amount ELSE 0 END FROM payment \
                    WHERE sale_id = $1 AND method = 'card'";
/// Payments by card that were captured when nobody waited for them any more, and went back.
const LATE: &str = "SELECT count(*) FROM payment p JOIN customer_order o USING (order_id) \
     WHERE p.sale_id = $1 AND p.method = 'card' AND p.status = 'refunded' AND o.status = 'cancelled' \
       AND NOT EXISTS (SELECT FROM order_event e WHERE e.order_id = p.order_id AND e.status = 'payment_completed')";
/// Events of which customers are told.
const WORTH_TELLING: &str = "SELECT 'order_' || e.partition || '-' || e.seq, e.status, o.order_id::text \
      FROM order_event e JOIN customer_order o USING (order_id) \
     WHERE o.sale_id = $1 AND (e.status IN ('payment_completed', 'payment_failed', 'shipped', 'delivered', 'refunded') \
       OR e.status = 'cancelled' AND o.cancel_reason IN ('customer', 'expired'))";
/// What analytics must have counted, and what it has.
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

impl Aftermath {
    /// Waits until what follows the events has come to their end, and says what is missing or too much.
    /// `doubles_allowed`: messages that crashes may have sent twice. `last_pause`: between an event's tries.
    pub async fn look(
        database: &Client,
        receiver: &Receiver,
        sale: &str,
        doubles_allowed: u64,
        last_pause: Duration,
    ) -> anyhow::Result<Self> {
        let (begun, limit) = (Instant::now(), FOLLOWED_LIMIT + last_pause);
        let (untold, miscounted) = loop {
            let due = due(database, sale).await?;
            let messages = receiver.messages();
            let untold: BTreeSet<_> = due.keys().filter(|id| !messages.contains_key(*id)).cloned().collect();
            let miscounted = miscounted(database, sale).await?;
            if (untold.is_empty() && miscounted.is_empty()) || begun.elapsed() >= limit {
                break (untold, miscounted);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        };
        let (due, messages) = (due(database, sale).await?, receiver.messages());
        let mut this = Self { lost: untold.len() as u64, ..Self::default() };
        if let Some(id) = untold.first() {
            let event = due.get(id).map(String::as_str).unwrap_or_default();
            this.complaints.push(format!("{} messages are missing, such as {id} ({event})", untold.len()));
        }
        let again: u64 = messages.values().map(|count| count - 1).sum();
        if again > doubles_allowed {
            this.doubled = again - doubles_allowed;
            this.complaints.push(format!("{again} messages came again, crashes allow {doubles_allowed}"));
        }
        let strange: Vec<_> = messages.keys().filter(|id| !due.contains_key(*id)).collect();
        if let Some(first) = strange.first() {
            this.complaints.push(format!("{} messages tell of nothing, such as {first}", strange.len()));
        }
        if receiver.unbelieved() > 0 {
            this.complaints.push(format!("{} messages had a wrong signature", receiver.unbelieved()));
        }
        this.complaints.extend(miscounted);
        let late: i64 = database.query_one(LATE, &[&sale]).await?.try_get(0)?;
        this.told =
            format!("{late} late captures sent back, {} messages told, {again} again", messages.len());
        Ok(this)
    }
}

async fn due(database: &Client, sale: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let rows = database.query(WORTH_TELLING, &[&sale]).await?;
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

/// Waits until the provider's books and ours agree, as far as they ever will: its word may be on its way.
pub async fn books(database: &Client, provider: &str, sale: &str) -> anyhow::Result<Vec<LedgerEntry>> {
    let begun = Instant::now();
    let id = SaleId::parse(sale)?;
    loop {
        let entries = ledger::read(provider, &id).await?;
        let mut theirs: BTreeMap<Uuid, i64> = BTreeMap::new();
        for entry in &entries {
            let kept = i64::try_from(entry.captured)? - i64::try_from(entry.refunded)?;
            *theirs.entry(entry.order_id.0).or_default() += kept;
        }
        let mut ours: BTreeMap<Uuid, i64> = BTreeMap::new();
        for row in database.query(KEPT, &[&sale]).await? {
            ours.insert(row.try_get(0)?, row.try_get(1)?);
        }
        let agree = theirs.iter().all(|(order, kept)| ours.get(order).copied().unwrap_or(0) == *kept)
            && ours.iter().all(|(order, kept)| theirs.get(order).copied().unwrap_or(0) == *kept);
        if agree || begun.elapsed() >= MONEY_LIMIT {
            return Ok(entries);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
