//! The lease of this gateway: it bounds how long its view of the sales may be acted on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arc_swap::ArcSwap;
use contract::ids::{Epoch, SaleId};
use contract::problem::Code;
use parking_lot::Mutex;
use process::boottime::Boottime;
use tokio::sync::Notify;

use crate::sales::sale_catalog::SettledPosition;
use crate::sales::sale_view::SaleView;

/// How long a lease lasts, in milliseconds from before the heartbeat. Rebuilds wait for it.
pub const LEASE_MS: u64 = 3000;

/// All sales as read, and until when they may be acted on. Replaced as a whole, never changed.
#[derive(Debug, Clone, Default)]
pub struct Lease {
    /// The end of validity.
    pub until: Boottime,
    /// The sales as read.
    pub sales: Arc<HashMap<SaleId, Arc<SaleView>>>,
    /// The sales of which no publication could be read: they exist, and this version cannot sell them.
    pub unreadable: Arc<HashSet<SaleId>>,
    /// How far each partition of the log is settled, as its owners have published.
    pub settled: Arc<BTreeMap<i32, SettledPosition>>,
}

impl Lease {
    /// Returns whether there was a lease since the gateway's start: all sales that were published before it are known.
    pub fn has_begun(&self) -> bool {
        self.until > Boottime::default()
    }

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
        Arc::new(Self {
            current: ArcSwap::from_pointee(Lease::default()),
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

    /// Returns a published sale. `unknown_sale` is definite, so only a valid lease allows it: without one, another
    /// gateway may already sell what this one has not read.
    pub fn find(&self, sale: &str) -> Result<Arc<SaleView>, Code> {
        let lease = self.load();
        if !lease.has_begun() {
            return Err(Code::Starting);
        }
        lease.sale(sale).cloned().ok_or_else(|| {
            if lease.unreadable.contains(sale) {
                Code::SaleRebuilding
            } else if lease.is_valid() {
                Code::UnknownSale
            } else {
                Code::LogUnavailable
            }
        })
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
        catalog.apply(key.as_bytes(), Some(&value), None, &mut Changed::default());
        let sale = SaleId::parse("s").unwrap();
        let sales = Arc::new(catalog.sales);
        let lease = |until| Lease { until, sales: sales.clone(), ..Lease::default() };
        let later = Boottime::now().plus_ms(60_000);
        assert!(lease(later).covers(&sale, Epoch(2)));
        assert!(!lease(later).covers(&sale, Epoch(1)), "an epoch that has ended");
        assert!(!lease(Boottime(1)).covers(&sale, Epoch(2)), "a lease that has expired");
    }

    #[test]
    fn only_a_valid_lease_denies_a_sale() {
        let mut catalog = SaleCatalog::default();
        let (key, value) = message(1, 1, true);
        catalog.apply(key.as_bytes(), Some(&value), None, &mut Changed::default());
        let sales = Arc::new(catalog.sales);
        let leases = Leases::new();
        let refusals = |until| {
            let unreadable = Arc::new(HashSet::from([SaleId::parse("newer").unwrap()]));
            leases.store(Lease { until, sales: sales.clone(), unreadable, ..Lease::default() });
            ["s", "other", "newer"].map(|sale| leases.find(sale).err())
        };
        let valid = Boottime::now().plus_ms(60_000);
        assert_eq!(refusals(Boottime::default()), [Some(Code::Starting); 3], "the topic may be half read");
        assert_eq!(refusals(valid), [None, Some(Code::UnknownSale), Some(Code::SaleRebuilding)]);
        let expired = [None, Some(Code::LogUnavailable), Some(Code::SaleRebuilding)];
        assert_eq!(refusals(Boottime(1)), expired);
    }
}
