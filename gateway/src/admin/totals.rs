//! Changing totals while the sale goes on: through the script, which knows what is free, then the
//! outbox, the log and Postgres, like an acceptance. A repeat is free, so whatever is not certain is
//! simply asked for again.

use std::time::{Duration, Instant};

use contract::ids::SaleId;
use contract::problem::Code;
use contract::record::{Headers, NewTotal, RecordType, TotalsChange};
use contract::sale::Item;
use deadpool_postgres::Pool;
use lua::Redis;
use lua::change_totals::{ChangeOutcome, change_totals};
use lua::outbox::LogRecord;
use uuid::Uuid;

use crate::http::problem::Problem;
use crate::order::hand_off::HandOff;
use crate::order::hand_off::HandedOff;
use crate::sales::lease::Leases;

/// How long an operator waits for Postgres to have the new totals.
const SETTLED_WITHIN: Duration = Duration::from_secs(8);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);

/// What changing a sale needs.
#[derive(Clone, Copy)]
pub(crate) struct SaleEditor<'a> {
    /// Connections to Postgres for changes.
    pub(crate) pool: &'a Pool,
    pub(crate) leases: &'a Leases,
    pub(crate) redis: &'a Redis,
    pub(crate) hand_off: &'a HandOff,
}

/// An item as Postgres has it.
pub(super) struct ItemBefore {
    pub(super) sku: String,
    pub(super) total: Option<i64>,
    pub(super) taken: i64,
}

/// Brings the totals of limited items to what the operator wants, and waits until Postgres has them.
pub(super) async fn change(
    editor: SaleEditor<'_>,
    sale: &SaleId,
    before: &[ItemBefore],
    items: &[Item],
) -> Result<(), Problem> {
    let wanted: Vec<NewTotal> = items
        .iter()
        .filter_map(|item| Some(NewTotal { sku: item.sku.clone(), total: item.total? }))
        .collect();
    let is_so = |new: &NewTotal| {
        before.iter().any(|item| item.sku == new.sku.as_str() && item.total == Some(new.total as i64))
    };
    if wanted.iter().all(is_so) {
        return Ok(());
    }
    let begun = Instant::now();
    loop {
        match call_script(editor, sale, &wanted).await? {
            ChangeOutcome::Recorded(_) | ChangeOutcome::Unchanged { settled: false } => {}
            ChangeOutcome::Unchanged { settled: true } => {
                if settled(editor.pool, sale, &wanted).await? {
                    return Ok(());
                }
            }
            ChangeOutcome::Busy if begun.elapsed() < SETTLED_WITHIN => {}
            ChangeOutcome::Busy => {
                return Err(Problem::because(
                    Code::StockInUse,
                    "An earlier change of totals is not settled yet.",
                ));
            }
            ChangeOutcome::InUse { sku, free } => {
                let detail = format!("Only {free} of {sku} are free.");
                return Err(Problem::because(Code::StockInUse, detail)
                    .with("sku", sku.as_str())
                    .with("free", free));
            }
        }
        if settled(editor.pool, sale, &wanted).await? {
            return Ok(());
        }
        if begun.elapsed() >= SETTLED_WITHIN {
            return Err(Problem::because(
                Code::OutcomeUnknown,
                "The change is recorded but not settled yet. Repeat it.",
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// One script call, and the hand-off of what it recorded.
async fn call_script(
    editor: SaleEditor<'_>,
    sale: &SaleId,
    wanted: &[NewTotal],
) -> Result<ChangeOutcome, Problem> {
    let lease = editor.leases.load_full();
    if !lease.is_valid() {
        return Err(Code::LogUnavailable.into());
    }
    let view = lease.sale(sale.as_str()).ok_or(Code::SaleRebuilding)?;
    let scripts =
        view.publication.scripts.as_ref().filter(|_| view.publication.ready).ok_or(Code::SaleRebuilding)?;
    let record = TotalsChange {
        sale_id: sale.clone(),
        epoch: view.epoch(),
        change_id: Uuid::now_v7(),
        items: wanted.to_vec(),
    };
    let deadline = editor.redis.deadline().await.map_err(|_| Problem::from(Code::StockUnavailable))?;
    let changed =
        match change_totals(editor.redis, &scripts.change_totals, &view.keys, deadline, &record).await {
            Ok(Ok(changed)) => changed,
            Ok(Err(lua::reply::Rejection::Late)) => return Err(Code::StockUnavailable.into()),
            Ok(Err(lua::reply::Rejection::Lost)) | Err(lua::RedisError::NoScript) => {
                editor.leases.report_lost(sale, view.epoch());
                return Err(Code::SaleRebuilding.into());
            }
            Err(error) if error.nothing_done() => return Err(Code::StockUnavailable.into()),
            Err(_) => return Err(Code::OutcomeUnknown.into()),
        };
    if let ChangeOutcome::Recorded(id) = changed {
        let value = serde_json::to_vec(&record).unwrap_or_default(); // names and numbers always serialize
        let record = LogRecord { headers: Headers::with_epoch(RecordType::Totals, view.epoch()), value };
        let handed_off = editor.hand_off.start(sale, view.epoch(), view.publication.partition, &record).await;
        if handed_off == HandedOff::Done {
            // Left in the outbox, the relay would record it again, without effect.
            let forgotten =
                lua::outbox::acknowledge(editor.redis, &scripts.ack_outbox, &view.keys, &[id]).await;
            if let Err(error) = forgotten {
                tracing::debug!(sale_id = %sale, %error, "a recorded change stays in the outbox for the relay");
            }
        }
    }
    Ok(changed)
}

/// Whether Postgres has the wanted totals.
async fn settled(pool: &Pool, sale: &SaleId, wanted: &[NewTotal]) -> Result<bool, Problem> {
    let client = pool.get().await?;
    let rows = client
        .query("SELECT sku, total FROM sale_item WHERE sale_id = $1 AND offered", &[&sale.as_str()])
        .await?;
    Ok(wanted.iter().all(|new| {
        rows.iter().any(|row| {
            row.get::<_, &str>(0) == new.sku.as_str()
                && row.get::<_, Option<i64>>(1) == Some(new.total as i64)
        })
    }))
}
