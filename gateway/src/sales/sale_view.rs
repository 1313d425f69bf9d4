//! One sale as this gateway last read it from the topic `sales`.

use contract::ids::Epoch;
use contract::keys::SaleKeys;
use contract::publication::SalePublication;

/// A sale as this gateway last read it.
#[derive(Debug)]
pub struct SaleView {
    /// As published.
    pub publication: SalePublication,
    /// The keys of its epoch.
    pub keys: SaleKeys,
}

impl SaleView {
    /// Its epoch.
    pub fn epoch(&self) -> Epoch {
        self.publication.epoch
    }
    /// Whether orders are limited per customer.
    pub fn limited(&self) -> bool {
        self.publication.terms.max_orders_per_customer.is_some()
    }
}
