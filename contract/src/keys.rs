//! The names of Redis keys: `fs:{<sale>}:<epoch>:…`. One hash slot a sale; a new epoch is new keys,
//! so that what an older one left behind can neither be read nor written by mistake.

use crate::ids::{CustomerId, Epoch, RequestFingerprint, SaleId};

/// The keys of one sale in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleKeys {
    /// Hash: SKU → units available (`u`: unlimited), `=`SKU → total, and the sale's counters
    /// (see [`stock_fields`]).
    pub stock: String,
    /// Hash: [`buyer_field`] → the remembered orders of that customer, oldest first.
    pub buyers: String,
    /// String: eight bytes ([`crate::ids::customer_hash`], big endian) per accepted order, in order.
    pub arrivals: String,
    /// Stream: accepted batches and changes whose hand-off is not acknowledged.
    pub outbox: String,
    /// List: `<ready ms> <units> <sku>` of units on their way back.
    pub returning: String,
}

/// The names of fields in the stock hash that are not SKUs; no SKU contains `:` or `=`.
pub mod stock_fields {
    /// The random id of the rebuild that wrote this state.
    pub const MARK: &str = ":mark";
    /// The next sequence number.
    pub const NEXT: &str = ":next";
    /// The release watermark: event sequences up to it have been applied.
    pub const RELEASED: &str = ":released";
    /// The change of totals that is not settled yet.
    pub const CHANGE: &str = ":change";
    /// The prefix of totals.
    pub const TOTAL: &str = "=";
}

impl SaleKeys {
    /// Of a sale in an epoch.
    pub fn new(sale: &SaleId, epoch: Epoch) -> Self {
        let key = |part: &str| format!("fs:{{{sale}}}:{epoch}:{part}");
        Self {
            stock: key("stock"),
            buyers: key("buyers"),
            arrivals: key("arrivals"),
            outbox: key("outbox"),
            returning: key("returning"),
        }
    }
    /// All of them.
    pub fn all(&self) -> [&str; 5] {
        [&self.stock, &self.buyers, &self.arrivals, &self.outbox, &self.returning]
    }
}

/// Where a customer's orders are remembered. With a limit per customer all of them share a field, so
/// that they are counted by one look; without one, each has its own, found by its order id, so that
/// nothing grows with a customer's orders.
pub fn buyer_field(customer: &CustomerId, request: RequestFingerprint, limited: bool) -> Vec<u8> {
    let mut field = customer.as_str().as_bytes().to_vec();
    if !limited {
        field.push(0);
        field.extend_from_slice(&request.0);
    }
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys_of_a_sale_share_its_hash_tag_and_name_the_epoch() {
        let keys = SaleKeys::new(&SaleId::parse("s1").unwrap(), Epoch(7));
        for key in keys.all() {
            assert!(key.starts_with("fs:{s1}:7:"), "{key}");
        }
    }
}
