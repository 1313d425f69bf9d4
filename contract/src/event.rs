//! The topics `order-events` and `inventory-events`: CloudEvents 1.0 in the Kafka binding's binary
//! mode (attributes in headers `ce_…`, the data alone in the value).
//!
//! An event's id is its position in settlement's sequence of events, `partition-seq`, followed by the SKU
//! for a stock movement. Every delivery of an event has the same id, so that a consumer can skip duplicates.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::ids::{CustomerId, OrderId, SaleId, Sequence, Sku};
use crate::lifecycle::{CancelReason, OrderStatus};
use crate::money::Currency;
use crate::timestamp::Timestamp;

/// The value of the attribute `source`.
pub const SOURCE: &str = "/settlement";

/// The data of an order event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the field names are self-explanatory
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
    /// Why the order was cancelled; absent for any other status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_reason: Option<CancelReason>,
}

/// The data of a stock movement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)] // the field names are self-explanatory
pub struct InventoryEvent {
    pub sale_id: SaleId,
    pub order_id: Option<Uuid>,
    pub sku: Sku,
    pub quantity: u64,
    pub time: Timestamp,
}

/// A stock movement: the attribute `type` of an inventory event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    /// Units were reserved for an order.
    Reserved,
    /// Reserved units were sold.
    Confirmed,
    /// Units were returned to stock.
    Released,
}

impl Movement {
    /// Returns the name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reserved => "STOCK_RESERVED",
            Self::Confirmed => "STOCK_CONFIRMED",
            Self::Released => "STOCK_RELEASED",
        }
    }
}

/// Returns the headers of one event. `event_type` is `order.<status>` or the name of a [`Movement`].
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

/// Returns the attribute `type` of an order event with this status.
pub fn order_event_type(status: OrderStatus) -> String {
    format!("order.{}", status.as_str())
}
