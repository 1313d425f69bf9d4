//! The topics `order-events` and `inventory-events`: CloudEvents 1.0 in the Kafka binding's binary
//! mode (attributes in headers `ce_…`, the data alone in the value).
//!
//! An event's id is its place in settlement's one sequence of events, `partition-seq`, with the SKU
//! behind it for a stock movement: the same at every delivery, so that a consumer skips what it has seen.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{CustomerId, OrderId, SaleId, Sequence, Sku};
use crate::lifecycle::{CancelReason, OrderStatus};
use crate::money::Currency;
use crate::timestamp::Timestamp;

/// The attribute `source`.
pub const SOURCE: &str = "/settlement";

/// The data of an order event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the names say it
pub struct OrderEvent {
    pub order_id: OrderId,
    pub customer_id: CustomerId,
    pub sale_id: SaleId,
    pub status: OrderStatus,
    pub description: String,
    pub time: Timestamp,
    pub sequence: Sequence,
    pub subtotal: u64,
    pub discount: u64,
    pub delivery_fee: u64,
    pub total: u64,
    pub currency: Currency,
    /// Only where it was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<CancelReason>,
}

/// The data of a stock movement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct InventoryEvent {
    pub sale_id: SaleId,
    pub order_id: Option<Uuid>,
    pub sku: Sku,
    pub quantity: u64,
    pub time: Timestamp,
}

/// What happened to stock: the attribute `type` of an inventory event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    /// Units are held for an order.
    Reserved,
    /// Units that were held are sold.
    Confirmed,
    /// Units are free again.
    Released,
}

impl Movement {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "STOCK_RESERVED",
            Self::Confirmed => "STOCK_CONFIRMED",
            Self::Released => "STOCK_RELEASED",
        }
    }
}

/// The headers of one event. `event_type` is `order.<status>` or a [`Movement`].
pub fn headers(id: &str, event_type: &str, subject: &str, time: Timestamp) -> [(&'static str, String); 7] {
    [
        ("ce_specversion", "1.0".into()),
        ("ce_id", id.into()),
        ("ce_source", SOURCE.into()),
        ("ce_type", event_type.into()),
        ("ce_subject", subject.into()),
        ("ce_time", time.to_string()),
        ("content-type", "application/json".into()),
    ]
}

/// The type of an order event.
pub fn order_event_type(status: OrderStatus) -> String {
    format!("order.{}", status.as_str())
}
