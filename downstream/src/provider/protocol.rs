//! The JSON bodies of the provider's API, which the provider and its clients share.

use contract::ids::{OrderId, SaleId};
use contract::money::Currency;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A request to charge a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // the names of the API say it
pub struct Charge {
    pub payment_id: Uuid,
    pub order_id: OrderId,
    pub sale_id: SaleId,
    /// The amount in the currency's minor unit.
    pub amount: u64,
    pub currency: Currency,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback_url: Option<String>,
}

impl Charge {
    /// Returns whether the other charge is for the same order and amount.
    pub fn has_same_terms(&self, other: &Self) -> bool {
        (self.order_id, &self.sale_id, self.amount, self.currency)
            == (other.order_id, &other.sale_id, other.amount, other.currency)
    }
}

/// The status of a payment at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChargeStatus {
    /// The payment is not decided yet.
    Pending,
    /// The provider has captured the money.
    Succeeded,
    /// The provider has captured no money, and never will.
    Failed,
}

/// A payment in a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names of the API say it
pub struct PaymentView {
    pub payment_id: Uuid,
    pub order_id: OrderId,
    pub sale_id: SaleId,
    pub status: ChargeStatus,
    pub amount: u64,
    pub refunded_amount: u64,
    pub currency: Currency,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A request to refund a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefundRequest {
    /// The amount in the currency's minor unit.
    pub amount: u64,
}

/// A refund in a response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names of the API say it
pub struct RefundView {
    pub refund_id: Uuid,
    pub payment_id: Uuid,
    pub amount: u64,
    pub currency: Currency,
}

/// A payment in the ledger: the part of the customer's money that the provider holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names of the API say it
pub struct LedgerEntry {
    pub payment_id: Uuid,
    pub order_id: OrderId,
    pub sale_id: SaleId,
    pub captured: u64,
    pub refunded: u64,
    pub currency: Currency,
}
