//! Refreshes a sale's stock cache from Redis, by the script `read_stock.lua`.

use std::sync::Arc;
use std::time::Duration;

use contract::ids::SaleId;
use lua::Redis;
use lua::read_stock::read_stock;
use process::boottime::Boottime;
use tokio_util::sync::CancellationToken;

use crate::order::sale_queue::SaleQueue;
use crate::order::stock_cache::{StockCache, StockSnapshot};
use crate::sales::lease::Leases;
use crate::sales::sale_view::SaleView;

/// Between two refreshes while clients request the sale.
const INTERVAL: Duration = Duration::from_millis(100);
/// Between two refreshes while no client does; the remaining stock stays at most 1 s old.
const IDLE_INTERVAL: Duration = Duration::from_millis(700);

/// Refreshes a sale's stock until the gateway stops.
pub async fn refresh_until_stopped(
    queue: Arc<SaleQueue>,
    sale: SaleId,
    leases: Arc<Leases>,
    redis: Redis,
    stop: CancellationToken,
) {
    let cache = &queue.stock;
    loop {
        queue.record_depth();
        let view = leases.load().sales.get(&sale).cloned();
        let mut incomplete = false;
        if let Some(view) = view.filter(|view| view.publication.ready) {
            incomplete = refresh(cache, &view, &leases, &redis).await;
        }
        if incomplete {
            continue; // there are more buyers to read: each piece comes with a new snapshot
        }
        let pause = if cache.is_requested() { INTERVAL } else { IDLE_INTERVAL };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cache.woken.notified() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Reads one snapshot. Returns whether the set of buyers is still incomplete, so that another read is due at
/// once.
async fn refresh(cache: &StockCache, view: &SaleView, leases: &Leases, redis: &Redis) -> bool {
    let publication = &view.publication;
    let Some(scripts) = &publication.scripts else { return false };
    let items = &publication.terms.items;
    // Buyers are read only once refusals may need them.
    let was_sold_out =
        cache.snapshot().is_some_and(|snapshot| snapshot.epoch == view.epoch() && snapshot.any_sold_out());
    let from = cache.arrival_bytes_read(view.epoch());
    let requested = Boottime::now();
    let skus = items.iter().map(|item| &item.sku);
    let reply = match read_stock(redis, &scripts.read_stock, &view.keys, skus, from, was_sold_out).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(_)) | Err(lua::RedisError::NoScript) => {
            leases.report_lost(&publication.sale_id, view.epoch());
            return false;
        }
        Err(error) => {
            tracing::debug!(sale_id = %publication.sale_id, %error, "stock snapshot could not be refreshed");
            return false;
        }
    };
    if was_sold_out {
        cache.add_arrivals(view.epoch(), from, &reply.arrivals);
    }
    let bytes_read = cache.arrival_bytes_read(view.epoch());
    let buyers_complete = was_sold_out && bytes_read == reply.arrival_bytes;
    let stock = items.iter().map(|item| item.sku.clone()).zip(reply.stock).collect();
    let snapshot = StockSnapshot { epoch: view.epoch(), requested, stock, buyers_complete };
    let is_sold_out = snapshot.any_sold_out();
    cache.store(snapshot);
    is_sold_out && !buyers_complete
}
