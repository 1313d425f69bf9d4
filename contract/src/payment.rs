//! An order's money: where it stands, and the ids of what belongs to an order.

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::ids::OrderId;
use crate::order::PaymentMethod;
use crate::record::PaymentOutcome;

/// Where the money of an order stands: `payment.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// Asked for; whether it was taken is not known.
    Requested,
    /// With us.
    Captured,
    /// Not taken, and will not be.
    Failed,
    /// With us, and to be sent back.
    RefundRequested,
    /// Sent back.
    Refunded,
}

impl PaymentStatus {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Requested, Self::Captured, Self::Failed, Self::RefundRequested, Self::Refunded];

    /// The name in Postgres and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Captured => "captured",
            Self::Failed => "failed",
            Self::RefundRequested => "refund_requested",
            Self::Refunded => "refunded",
        }
    }
    /// By its name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl PaymentMethod {
    /// The name on the wire and in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Wallet => "wallet",
        }
    }
    /// By its name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Card, Self::Wallet].into_iter().find(|method| method.as_str() == text)
    }
}

impl PaymentOutcome {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

/// The id of an order's payment. An order has one, so everyone can tell its id.
pub fn payment_id(order: OrderId) -> Uuid {
    derived(order, 0)
}

/// The id of an order's delivery.
pub fn delivery_id(order: OrderId) -> Uuid {
    derived(order, 1)
}

/// A UUID of version 8 with the order's own digits.
fn derived(order: OrderId, salt: u8) -> Uuid {
    let mut bytes = *order.0.as_bytes();
    bytes[15] ^= salt;
    Builder::from_custom_bytes(bytes).into_uuid()
}
