//! One sale as this gateway last read it from the topic `sales`.

use contract::ids::Epoch;
use contract::keys::SaleKeys;
use contract::publication::SalePublication;

/// A sale, and the Redis keys of its epoch.
#[derive(Debug)]
pub struct SaleView {
    /// The sale as published.
    pub publication: SalePublication,
    /// The Redis keys of its epoch.
    pub keys: SaleKeys,
}

impl SaleView {
    /// Returns the epoch.
    pub fn epoch(&self) -> Epoch {
        self.publication.epoch
    }

    /// Returns the same sale, not ready to be sold.
    pub(crate) fn not_ready(&self) -> Self {
        let publication = SalePublication { ready: false, scripts: None, ..self.publication.clone() };
        Self { publication, keys: self.keys.clone() }
    }

    /// Returns whether the number of orders per customer is limited.
    pub fn is_limited(&self) -> bool {
        self.publication.terms.max_orders_per_customer.is_some()
    }
}
