//! Refuses sold-out items from memory. Once an item has reached 0, the gateway has the set of all customers
//! who may hold an order; every other customer is refused without a script call. A customer who may hold an
//! order always goes to the script: a retry must never get "sold out" for an order that exists.
//!
//! A refusal rests on one snapshot of the stock, requested at most 250 ms before, which showed 0 units and
//! none returning. Returning units are announced 300 ms before they can be reserved, so no gateway refuses
//! from memory while another sells (ARCHITECTURE.md, "Fast refusals").

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use contract::ids::{CustomerId, Epoch, Sku, customer_hash};
use contract::order::Line;
use contract::sale::SaleState;
use lua::read_stock::SkuStock;
use parking_lot::RwLock;
use process::boottime::Boottime;
use rustc_hash::FxHashSet;
use tokio::sync::Notify;

use crate::sales::lease::Lease;
use crate::sales::sale_view::SaleView;

/// How long a snapshot may be the reason of a refusal, in milliseconds from when it was requested.
const REFUSAL_MS_MAX: u64 = 250;
/// How long a snapshot may be shown as the remaining stock, in milliseconds from when it was requested.
const SHOWN_MS_MAX: u64 = 1000;
/// How long a sale counts as requested after a request, in milliseconds.
const REQUESTED_MS: u64 = 5000;
/// The end of a sale's window, in milliseconds, in which only the script decides, by its own clock.
const WINDOW_MARGIN_MS: u64 = 1000;

/// The stock of a sale at one moment.
#[derive(Debug)]
pub struct StockSnapshot {
    /// The epoch that was read.
    pub epoch: Epoch,
    /// When the snapshot was requested.
    pub requested: Boottime,
    /// The stock of each item, in the order of the terms.
    pub stock: Vec<(Sku, SkuStock)>,
    /// Whether the set of buyers holds every customer who had ordered by then.
    pub buyers_complete: bool,
}

impl StockSnapshot {
    /// Returns the milliseconds since the snapshot was requested.
    fn age_ms(&self) -> u64 {
        Boottime::now().since_ms(self.requested)
    }

    /// Returns the stock of a SKU.
    fn stock_of(&self, sku: &str) -> Option<SkuStock> {
        self.stock.iter().find(|(item, _)| item.as_str() == sku).map(|(_, stock)| *stock)
    }

    /// Returns whether an item of the sale is sold out.
    pub fn any_sold_out(&self) -> bool {
        self.stock.iter().any(|(_, stock)| stock.available == Some(0))
    }

    /// Returns the units of each limited item that are left, units on their way back included.
    pub fn units_left(&self) -> impl Iterator<Item = (&Sku, u64)> {
        self.stock.iter().filter_map(|(sku, stock)| Some((sku, stock.available? + stock.returning)))
    }
}

/// The hashes of customers with a remembered order.
#[derive(Default)]
struct Buyers {
    epoch: Epoch,
    /// How many bytes of the epoch's list of arrivals have been read.
    arrival_bytes: u64,
    hashes: FxHashSet<u64>,
}

/// The cached stock of one sale.
#[derive(Default)]
pub struct StockCache {
    snapshot: ArcSwapOption<StockSnapshot>,
    buyers: RwLock<Buyers>,
    requested_ms: AtomicU64,
    /// Wakes the refresh when a sale is requested again after a pause.
    pub woken: Notify,
}

impl StockCache {
    /// Returns the last snapshot.
    pub fn snapshot(&self) -> Option<Arc<StockSnapshot>> {
        self.snapshot.load_full()
    }

    /// Returns the last snapshot if it is of this epoch and recent enough to be shown.
    pub fn recent_snapshot(&self, epoch: Epoch) -> Option<Arc<StockSnapshot>> {
        self.snapshot().filter(|snapshot| snapshot.epoch == epoch && snapshot.age_ms() <= SHOWN_MS_MAX)
    }

    /// Replaces the snapshot.
    pub fn store(&self, snapshot: StockSnapshot) {
        self.snapshot.store(Some(Arc::new(snapshot)));
    }

    /// Records that a client requested this sale: the stock is refreshed more often from now on.
    pub fn note_request(&self) {
        let now = Boottime::now();
        let before = self.requested_ms.swap(now.0, Ordering::Relaxed);
        if now.since_ms(Boottime(before)) >= REQUESTED_MS {
            self.woken.notify_one();
        }
    }

    /// Returns whether a client requested the sale in the last 5 s.
    pub fn is_requested(&self) -> bool {
        Boottime::now().since_ms(Boottime(self.requested_ms.load(Ordering::Relaxed))) < REQUESTED_MS
    }

    /// Returns the SKU because of which this customer can be refused from memory now, if there is one.
    pub fn sold_out(
        &self,
        lease: &Lease,
        view: &SaleView,
        customer: &CustomerId,
        lines: &[Line],
        redis_now_ms: Option<u64>,
    ) -> Option<Sku> {
        let snapshot = self.snapshot.load();
        let snapshot = snapshot.as_ref()?;
        let publication = &view.publication;
        let current = snapshot.buyers_complete
            && snapshot.epoch == view.epoch()
            && lease.covers(&publication.sale_id, snapshot.epoch)
            && publication.state == SaleState::Open
            && snapshot.age_ms() < REFUSAL_MS_MAX;
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
        let line = lines.iter().find(|line| snapshot.stock_of(line.sku.as_str()).is_some_and(gone))?;
        let buyers = self.buyers.read();
        let may_hold_order =
            buyers.epoch != snapshot.epoch || buyers.hashes.contains(&customer_hash(customer.as_str()));
        (!may_hold_order).then(|| line.sku.clone())
    }

    /// Returns how many bytes of the epoch's arrivals have been read.
    pub fn arrival_bytes_read(&self, epoch: Epoch) -> u64 {
        let buyers = self.buyers.read();
        if buyers.epoch == epoch { buyers.arrival_bytes } else { 0 }
    }

    /// Adds arrivals that were read from the byte `from` on.
    pub fn add_arrivals(&self, epoch: Epoch, from: u64, arrivals: &[u64]) {
        let mut buyers = self.buyers.write();
        if buyers.epoch != epoch {
            *buyers = Buyers { epoch, ..Buyers::default() };
        }
        if buyers.arrival_bytes == from {
            buyers.hashes.extend(arrivals);
            buyers.arrival_bytes = from + 8 * arrivals.len() as u64;
        }
    }
}
