//! The payment status of an order, and ids that are derived from an order's id.

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::ids::OrderId;
use crate::order::PaymentMethod;
use crate::record::PaymentOutcome;

/// The status of an order's payment: `payment.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// The payment was requested; its outcome is not known yet.
    Requested,
    /// The money was captured.
    Captured,
    /// The payment failed; the money was not captured and never will be.
    Failed,
    /// The captured money is to be refunded.
    RefundRequested,
    /// The money was refunded.
    Refunded,
}

impl PaymentStatus {
    /// All statuses.
    pub const ALL: [Self; 5] =
        [Self::Requested, Self::Captured, Self::Failed, Self::RefundRequested, Self::Refunded];

    /// Returns the name in Postgres and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Captured => "captured",
            Self::Failed => "failed",
            Self::RefundRequested => "refund_requested",
            Self::Refunded => "refunded",
        }
    }
    /// Returns the status with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl PaymentMethod {
    /// Returns the name on the wire and in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Wallet => "wallet",
        }
    }
    /// Returns the method with this name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Card, Self::Wallet].into_iter().find(|method| method.as_str() == text)
    }
}

impl PaymentOutcome {
    /// Returns the name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// Returns the id of an order's payment. An order has one payment, so its id can be derived from the order's.
pub fn payment_id(order: OrderId) -> Uuid {
    derived(order, 0)
}

/// Returns the id of an order's delivery.
pub fn delivery_id(order: OrderId) -> Uuid {
    derived(order, 1)
}

/// Derives a UUID version 8 from the bytes of the order's id.
fn derived(order: OrderId, salt: u8) -> Uuid {
    let mut bytes = *order.0.as_bytes();
    bytes[15] ^= salt;
    Builder::from_custom_bytes(bytes).into_uuid()
}
