//! Changes of totals while the sale is open. They pass through the script, which knows the free units, then through the
//! outbox, the log and Postgres, like an acceptance. A change is idempotent, so an uncertain one is simply requested
//! again.

use std::time::{Duration, Instant};

use contract::ids::SaleId;
use contract::problem::Code;
use contract::record::{Headers, NewTotal, RecordType, TotalsChange};
use contract::sale::Item;
use contract::wire;
use deadpool_postgres::Pool;
use lua::Redis;
use lua::change_totals::{ChangeOutcome, change_totals};
use lua::outbox::LogRecord;
use uuid::Uuid;

use crate::http::problem::Problem;
use crate::order::hand_off::HandOff;
use crate::order::hand_off::HandedOff;
use crate::queries::{SelectOfferedItems, SelectOfferedItemsRow};
use crate::sales::lease::Leases;

/// The time for which an operator waits until Postgres stores the new totals.
const SETTLED_WITHIN: Duration = Duration::from_secs(8);
/// The interval between two polls of Postgres.
const POLL_INTERVAL: Duration = Duration::from_millis(25);

/// The resources for changing a sale.
#[derive(Clone, Copy)]
pub(crate) struct SaleEditor<'a> {
    /// The connection pool for changes.
    pub(crate) pool: &'a Pool,
    pub(crate) leases: &'a Leases,
    pub(crate) redis: &'a Redis,
    pub(crate) hand_off: &'a HandOff,
}

/// Sets the totals of limited items, and waits until Postgres stores them.
pub(super) async fn change(
    editor: SaleEditor<'_>,
    sale: &SaleId,
    before: &[SelectOfferedItemsRow],
    items: &[Item],
) -> Result<(), Problem> {
    let wanted: Vec<NewTotal> = items
        .iter()
        .filter_map(|item| Some(NewTotal { sku: item.sku.clone(), total: item.total? }))
        .collect();
    let is_current = |new: &NewTotal| {
        before.iter().any(|item| item.sku == new.sku && item.total == Some(new.total as i64))
    };
    if wanted.iter().all(is_current) {
        return Ok(());
    }
    let started = Instant::now();
    loop {
        match call_script(editor, sale, &wanted).await? {
            ChangeOutcome::Recorded(_) | ChangeOutcome::Unchanged { settled: false } => {}
            ChangeOutcome::Unchanged { settled: true } => {
                if settled(editor.pool, sale, &wanted).await? {
                    return Ok(());
                }
            }
            ChangeOutcome::Busy if started.elapsed() < SETTLED_WITHIN => {}
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
        if started.elapsed() >= SETTLED_WITHIN {
            return Err(Problem::because(
                Code::OutcomeUnknown,
                "The change is recorded but not settled yet. Repeat the request.",
            ));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Calls the script once, and hands off the change that it recorded.
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
        let value = wire::encode(&record);
        let record = LogRecord { headers: Headers::with_epoch(RecordType::Totals, view.epoch()), value };
        let handed_off = editor.hand_off.start(sale, view.epoch(), view.publication.partition, &record).await;
        if handed_off == HandedOff::Done {
            // If the entry stays in the outbox, the relay records it again, which has no effect.
            let acknowledged =
                lua::outbox::acknowledge(editor.redis, &scripts.ack_outbox, &view.keys, &[id]).await;
            if let Err(error) = acknowledged {
                tracing::debug!(sale_id = %sale, %error, "recorded change stays in the outbox for the relay");
            }
        }
    }
    Ok(changed)
}

/// Returns whether Postgres stores the wanted totals.
async fn settled(pool: &Pool, sale: &SaleId, wanted: &[NewTotal]) -> Result<bool, Problem> {
    let client = pool.get().await?;
    let items = SelectOfferedItems { sale_id: sale }.fetch(&client).await?;
    let is_stored =
        |new: &NewTotal| items.iter().any(|item| item.sku == new.sku && item.total == Some(new.total as i64));
    Ok(wanted.iter().all(is_stored))
}
