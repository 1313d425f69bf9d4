//! The lease of this gateway: it bounds how long its view of the sales may be acted on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use contract::ids::{Epoch, SaleId};
use contract::problem::Code;
use contract::publication::Position;
use parking_lot::Mutex;
use process::boottime::Boottime;
use tokio::sync::Notify;

use crate::sales::sale_view::SaleView;

/// How long a lease lasts, in milliseconds from before the heartbeat. Rebuilds wait for it.
pub const LEASE_MS: u64 = 3000;

/// All sales as read, and until when they may be acted on. Replaced as a whole, never changed.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The end of validity.
    pub until: Boottime,
    /// The sales as read.
    pub sales: Arc<HashMap<SaleId, Arc<SaleView>>>,
    /// How far each partition of the log is settled, as its owners have published.
    pub settled: Arc<BTreeMap<i32, Position>>,
}

impl Lease {
    /// Returns whether the lease may be acted on now.
    pub fn is_valid(&self) -> bool {
        Boottime::now() < self.until
    }

    /// Returns whether a response that rests on this epoch of this sale may be given now.
    pub fn covers(&self, sale: &SaleId, epoch: Epoch) -> bool {
        self.is_valid()
            && self.sales.get(sale).is_some_and(|view| view.epoch() == epoch && view.publication.ready)
    }

    /// Returns a published sale.
    pub fn sale(&self, sale: &str) -> Option<&Arc<SaleView>> {
        self.sales.get(sale)
    }
}

/// The current lease, and the sales whose state in Redis was found lost.
pub struct Leases {
    current: ArcSwap<Lease>,
    lost: Mutex<HashSet<(SaleId, Epoch)>>,
    newly_lost: Notify,
}

impl Leases {
    /// Returns an empty view under an expired lease.
    pub fn new() -> Arc<Self> {
        let none = Lease { until: Boottime(0), sales: Arc::default(), settled: Arc::default() };
        Arc::new(Self {
            current: ArcSwap::from_pointee(none),
            lost: Mutex::default(),
            newly_lost: Notify::new(),
        })
    }

    /// Returns the current lease, for a moment.
    pub fn load(&self) -> arc_swap::Guard<Arc<Lease>> {
        self.current.load()
    }

    /// Returns the current lease, to be kept across awaits.
    pub fn load_full(&self) -> Arc<Lease> {
        self.current.load_full()
    }

    /// Returns a published sale, or the refusal `unknown_sale`.
    pub fn find(&self, sale: &str) -> Result<Arc<SaleView>, Code> {
        self.load().sale(sale).cloned().ok_or(Code::UnknownSale)
    }

    /// Replaces the current lease.
    pub(crate) fn store(&self, lease: Lease) {
        self.current.store(Arc::new(lease));
    }

    /// Records that Redis has lost a sale's state. Heartbeats report it to settlement, the first one at once.
    pub fn report_lost(&self, sale: &SaleId, epoch: Epoch) {
        let new = self.lost.lock().insert((sale.clone(), epoch));
        if new {
            self.newly_lost.notify_one();
            tracing::error!(sale_id = %sale, %epoch, "Redis has lost this sale's state");
        }
    }

    /// Waits until a sale's state was found lost.
    pub(crate) async fn newly_lost(&self) {
        self.newly_lost.notified().await;
    }

    /// Returns the sales whose state is still lost: a newer epoch replaces it.
    pub(crate) fn still_lost(&self) -> Vec<(SaleId, Epoch)> {
        let lease = self.load();
        let mut lost = self.lost.lock();
        lost.retain(|(sale, epoch)| lease.sales.get(sale).is_some_and(|view| view.epoch() == *epoch));
        lost.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sales::sale_catalog::tests::message;
    use crate::sales::sale_catalog::{Changed, SaleCatalog};

    #[test]
    fn a_lease_covers_the_epoch_it_has_read_while_it_lasts() {
        let mut catalog = SaleCatalog::default();
        let (key, value) = message(2, 1, true);
        catalog.apply(key.as_bytes(), Some(&value), &mut Changed::default());
        let sale = SaleId::parse("s").unwrap();
        let sales = Arc::new(catalog.sales);
        let lease = |until| Lease { until, sales: sales.clone(), settled: Arc::default() };
        let later = Boottime::now().plus_ms(60_000);
        assert!(lease(later).covers(&sale, Epoch(2)));
        assert!(!lease(later).covers(&sale, Epoch(1)), "an epoch that has ended");
        assert!(!lease(Boottime(1)).covers(&sale, Epoch(2)), "a lease that has expired");
    }
}
