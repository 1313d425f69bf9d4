//! Sold out, from memory. When an item has reached 0, the gateway knows every customer who may hold an
//! order; everyone else is refused without asking Redis. Whoever may hold an order always goes to the
//! script: a retry must never be told "sold out" for an order that exists.
//!
//! A refusal rests on one look at the stock (`read_stock.lua`), sent at most 250 ms before, which showed 0
//! units and nothing returning. Returning units are announced 300 ms before they can be taken, so no
//! gateway refuses from memory while another sells (ARCHITECTURE.md, "Fast refusals").

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use contract::ids::{CustomerId, Epoch, Sku, customer_hash};
use contract::order::Line;
use contract::sale::SaleState;
use lua::Redis;
use lua::read_stock::{SkuStock, read_stock};
use process::boottime::Boottime;
use rustc_hash::FxHashSet;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::sales::lease::{Lease, Leases};
use crate::sales::sale_view::SaleView;

/// How long a look may be refused by, in milliseconds from when it was sent.
const LOOK_VALID_MS: u64 = 250;
/// Between looks while anyone asks for the sale.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between looks while nobody does; the remaining stock stays at most 1 s old.
const LOOK_EVERY_IDLE: Duration = Duration::from_millis(700);
/// How long a sale counts as asked for, in milliseconds.
const ASKED_MS: u64 = 5000;
/// So long before the window's end only the script answers: its clock decides.
const WINDOW_MARGIN_MS: u64 = 1000;

/// What one look saw.
#[derive(Debug)]
pub struct StockSnapshot {
    /// The epoch that was looked at.
    pub epoch: Epoch,
    /// When the look was sent.
    pub sent: Boottime,
    /// Per item, in the order of the terms that were looked by.
    pub stock: Vec<(Sku, SkuStock)>,
    /// The set of customers holds everyone who had ordered at the time of the look.
    buyers_known: bool,
}

impl StockSnapshot {
    /// Milliseconds since it was sent.
    pub fn age_ms(&self) -> u64 {
        Boottime::now().since_ms(self.sent)
    }
    /// A SKU's units.
    pub fn stock_of(&self, sku: &str) -> Option<SkuStock> {
        self.stock.iter().find(|(seen, _)| seen.as_str() == sku).map(|(_, stock)| *stock)
    }
}

/// Customers with a remembered order, as hashes; `bytes` of the epoch's arrivals have been read.
#[derive(Default)]
struct Buyers {
    epoch: Epoch,
    bytes: u64,
    hashes: FxHashSet<u64>,
}

/// What is known of a sale's stock without asking.
#[derive(Default)]
pub struct StockCache {
    seen: ArcSwapOption<StockSnapshot>,
    buyers: RwLock<Buyers>,
    asked_ms: AtomicU64,
    woken: Notify,
}

impl StockCache {
    /// The last look, if there was one.
    pub fn seen(&self) -> Option<Arc<StockSnapshot>> {
        self.seen.load_full()
    }

    /// Someone is interested in this sale: look more often, from now on.
    pub fn asked(&self) {
        let now = Boottime::now();
        let before = self.asked_ms.swap(now.0, Ordering::Relaxed);
        if now.since_ms(Boottime(before)) >= ASKED_MS {
            self.woken.notify_one();
        }
    }

    fn is_hot(&self) -> bool {
        Boottime::now().since_ms(Boottime(self.asked_ms.load(Ordering::Relaxed))) < ASKED_MS
    }

    /// The SKU for which this customer can be refused from memory right now, if any.
    pub fn sold_out(
        &self,
        lease: &Lease,
        view: &SaleView,
        customer: &CustomerId,
        lines: &[Line],
        redis_now_ms: Option<u64>,
    ) -> Option<Sku> {
        let seen = self.seen.load();
        let seen = seen.as_ref()?;
        let publication = &view.publication;
        let current = seen.buyers_known
            && seen.epoch == view.epoch()
            && lease.covers(&publication.sale_id, seen.epoch)
            && publication.state == SaleState::Open
            && seen.age_ms() < LOOK_VALID_MS;
        if !current {
            return None;
        }
        let now = redis_now_ms?;
        let terms = &publication.terms;
        if terms.opens_at.is_some_and(|opens| now < opens.0)
            || terms.closes_at.is_some_and(|closes| now + WINDOW_MARGIN_MS >= closes.0)
        {
            return None;
        }
        let gone = |stock: SkuStock| stock.available == Some(0) && stock.returning == 0;
        let line = lines.iter().find(|line| seen.stock_of(line.sku.as_str()).is_some_and(gone))?;
        let buyers = self.buyers.read().unwrap_or_else(PoisonError::into_inner);
        let may_hold =
            buyers.epoch != seen.epoch || buyers.hashes.contains(&customer_hash(customer.as_str()));
        (!may_hold).then(|| line.sku.clone())
    }

    fn bytes_known(&self, epoch: Epoch) -> u64 {
        let buyers = self.buyers.read().unwrap_or_else(PoisonError::into_inner);
        if buyers.epoch == epoch { buyers.bytes } else { 0 }
    }

    fn learn(&self, epoch: Epoch, from: u64, arrivals: &[u64]) {
        let mut buyers = self.buyers.write().unwrap_or_else(PoisonError::into_inner);
        if buyers.epoch != epoch {
            *buyers = Buyers { epoch, ..Buyers::default() };
        }
        if buyers.bytes == from {
            buyers.hashes.extend(arrivals);
            buyers.bytes = from + 8 * arrivals.len() as u64;
        }
    }
}

/// Looks at a sale's stock until the gateway stops.
pub async fn watch(
    sale_queue: Arc<crate::order::sale_queue::SaleQueue>,
    sale: contract::ids::SaleId,
    leases: Arc<Leases>,
    redis: Redis,
    stop: CancellationToken,
) {
    let watch = &sale_queue.watch;
    loop {
        sale_queue.note_depth();
        let view = leases.load().sales.get(&sale).cloned();
        let mut again = false;
        if let Some(view) = view.filter(|view| view.publication.ready) {
            again = look_once(watch, &view, &leases, &redis).await;
        }
        if again {
            continue; // more customers to read: each piece is a new look
        }
        let pause = if watch.is_hot() { LOOK_EVERY } else { LOOK_EVERY_IDLE };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = watch.woken.notified() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// One look. Whether the set of customers is still incomplete and another look is due at once.
async fn look_once(watch: &StockCache, view: &SaleView, leases: &Leases, redis: &Redis) -> bool {
    let publication = &view.publication;
    let Some(scripts) = &publication.scripts else { return false };
    let items = &publication.terms.items;
    // Customers are read only when refusals may need them.
    let sold_out = watch.seen().is_some_and(|seen| {
        seen.epoch == view.epoch() && seen.stock.iter().any(|(_, stock)| stock.available == Some(0))
    });
    let from = watch.bytes_known(view.epoch());
    let sent = Boottime::now();
    let looked = read_stock(
        redis,
        &scripts.read_stock,
        &view.keys,
        items.iter().map(|item| &item.sku),
        from,
        sold_out,
    )
    .await;
    let seen = match looked {
        Ok(Ok(seen)) => seen,
        Ok(Err(_)) | Err(lua::RedisError::NoScript) => {
            leases.found_lost(&publication.sale_id, view.epoch());
            return false;
        }
        Err(error) => {
            tracing::debug!(sale_id = %publication.sale_id, %error, "no look");
            return false;
        }
    };
    if sold_out {
        watch.learn(view.epoch(), from, &seen.arrivals);
    }
    let known = watch.bytes_known(view.epoch());
    let buyers_known = sold_out && known == seen.arrival_bytes;
    let now_sold_out = seen.stock.iter().any(|stock| stock.available == Some(0));
    let stock = items.iter().map(|item| item.sku.clone()).zip(seen.stock).collect();
    watch.seen.store(Some(Arc::new(StockSnapshot { epoch: view.epoch(), sent, stock, buyers_known })));
    now_sold_out && !buyers_known
}
