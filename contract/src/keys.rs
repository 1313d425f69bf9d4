//! The names of Redis keys: `fs:{<sale>}:<epoch>:…`. All keys of a sale share one hash slot. Each epoch has keys
//! of its own, so that the keys of an earlier epoch can neither be read nor written by mistake.

use crate::ids::{CustomerId, Epoch, RequestFingerprint, SaleId};

/// The keys of one sale in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaleKeys {
    /// Hash: SKU → units available (`u`: unlimited), `=`SKU → total, and the sale's counters
    /// (see [`stock_fields`]).
    pub stock: String,
    /// Hash: [`buyer_field`] → the [order receipts](crate::order_receipt) of that customer, oldest first.
    pub buyers: String,
    /// String: eight bytes ([`crate::ids::customer_hash`], big endian) per accepted order, in order.
    pub arrivals: String,
    /// Stream: accepted batches and changes of totals that the log has not acknowledged yet.
    pub outbox: String,
    /// List: `<ready ms> <units> <sku>` of released units that cannot be reserved yet.
    pub returning: String,
}

/// The names of fields in the stock hash that are not SKUs. No SKU contains `:` or `=`.
pub mod stock_fields {
    /// The random id (the mark) of the rebuild that wrote this state.
    pub const MARK: &str = ":mark";
    /// The next sequence number.
    pub const NEXT: &str = ":next";
    /// The release watermark: the event sequence up to which releases have been applied.
    pub const RELEASED: &str = ":released";
    /// The id of the change of totals that is not settled yet.
    pub const CHANGE: &str = ":change";
    /// The prefix of the fields that hold totals.
    pub const TOTAL: &str = "=";
}

impl SaleKeys {
    /// Builds the keys of a sale in an epoch.
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
    /// Returns all keys, in the order in which the scripts take them.
    pub fn all(&self) -> [&str; 5] {
        [&self.stock, &self.buyers, &self.arrivals, &self.outbox, &self.returning]
    }
}

/// Returns the field of the hash `buyers` that holds a customer's order receipts. If the sale limits orders per
/// customer, all receipts of a customer share one field, so that one read counts them. Otherwise each order has a
/// field of its own, found by the order id, so that no field grows with the number of orders.
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
    fn all_keys_of_a_sale_contain_its_hash_tag_and_the_epoch() {
        let keys = SaleKeys::new(&SaleId::parse("s1").unwrap(), Epoch(7));
        for key in keys.all() {
            assert!(key.starts_with("fs:{s1}:7:"), "{key}");
        }
    }
}
