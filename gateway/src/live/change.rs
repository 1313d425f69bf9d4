//! A change of an order and its encoding for streams.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use contract::event::order_event_type;
use contract::ids::OrderId;
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::timestamp::Timestamp;
use contract::wire;
use schemars::JsonSchema;
use serde::Serialize;

use crate::read::order_response::StatusBody;

/// The ID of an event, `partition-seq`. All events of one order have the same partition, and their sequences
/// increase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    /// The order's partition of the log.
    pub partition: i32,
    /// The event's sequence in that partition.
    pub seq: i64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.partition, self.seq)
    }
}

/// The error for a text that is not `partition-seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidEventId;

impl FromStr for EventId {
    type Err = InvalidEventId;
    fn from_str(text: &str) -> Result<Self, InvalidEventId> {
        let (partition, seq) = text.split_once('-').ok_or(InvalidEventId)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(partition) || !digits(seq) {
            return Err(InvalidEventId);
        }
        Ok(Self {
            partition: partition.parse().map_err(|_| InvalidEventId)?,
            seq: seq.parse().map_err(|_| InvalidEventId)?,
        })
    }
}

/// A change of an order, shared by all streams that send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// The changed order.
    pub order_id: OrderId,
    /// The event's ID; `None` before settlement or for a status from Redis, from which no client can resume.
    pub id: Option<EventId>,
    /// The new status.
    pub status: OrderStatus,
    /// The reason of a cancellation.
    pub cancel_reason: Option<CancelReason>,
    /// The time of the change.
    pub at: Timestamp,
}

/// A change of an order, as streams send it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderChange")]
pub(crate) struct ChangeBody<'a> {
    #[serde(flatten)]
    status: StatusBody,
    /// The reason of the cancellation; absent unless the order is cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CancelReason")]
    cancel_reason: Option<CancelReason>,
    #[serde(flatten)]
    event: Option<EventFields<'a>>,
}

/// The members for which Server-Sent Events have fields of their own; only WebSocket messages contain them.
#[derive(Serialize, JsonSchema)]
struct EventFields<'a> {
    /// The `last_event_id` to resume from; `null` if a client cannot resume from this message.
    id: Option<String>,
    /// The type of the event: `order.` and the status.
    event: &'a str,
}

impl Change {
    /// Encodes the change as a Server-Sent Event.
    pub(crate) fn sse_event(&self, language: Language) -> Bytes {
        let id = self.id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        let event = order_event_type(self.status);
        format!("{id}event: {event}\ndata: {}\n\n", self.json(None, language)).into()
    }

    /// Encodes the change as a WebSocket message.
    pub(crate) fn ws_message(&self, language: Language) -> String {
        let id = self.id.map(|id| id.to_string());
        self.json(Some(EventFields { id, event: &order_event_type(self.status) }), language)
    }

    fn json(&self, event: Option<EventFields<'_>>, language: Language) -> String {
        let status = StatusBody::new(self.order_id, self.status, self.at, language);
        let body = ChangeBody { status, cancel_reason: self.cancel_reason, event };
        wire::encode_text(&body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_has_exactly_one_spelling() {
        let id = EventId { partition: 3, seq: 17 };
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "3",
            "3-",
            "-17",
            "3--17",
            "+3-17",
            "3-+17",
            " 3-17",
            "3-17-A",
            "x-1",
            "3-99999999999999999999",
        ] {
            assert_eq!(bad.parse::<EventId>(), Err(InvalidEventId), "{bad}");
        }
    }

    #[test]
    fn a_change_is_encoded_on_one_line_and_has_no_id_before_settlement() {
        let order_id: OrderId = "019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9".parse().unwrap();
        let at = Timestamp(1_790_000_000_000);
        let id = Some(EventId { partition: 3, seq: 17 });
        let (status, cancel_reason) = (OrderStatus::Cancelled, Some(CancelReason::Expired));
        let cancelled = Change { order_id, id, status, cancel_reason, at };
        let event = String::from_utf8(cancelled.sse_event(Language::Korean).to_vec()).unwrap();
        let data = event.strip_prefix("id: 3-17\nevent: order.cancelled\ndata: ").unwrap();
        let data: serde_json::Value = serde_json::from_str(data.strip_suffix("\n\n").unwrap()).unwrap();
        assert_eq!(
            data,
            serde_json::json!({"order_id": order_id, "status": "cancelled", "cancel_reason": "expired",
                "status_description": status.description(Language::Korean), "can_cancel": false,
                "progress_percentage": status.progress_percentage(), "last_updated": at})
        );
        let processing =
            Change { id: None, status: OrderStatus::Processing, cancel_reason: None, ..cancelled };
        assert!(processing.sse_event(Language::English).starts_with(b"event: order.processing\ndata: {"));
        let message: serde_json::Value =
            serde_json::from_str(&processing.ws_message(Language::English)).unwrap();
        assert_eq!(
            (&message["id"], &message["event"]),
            (&serde_json::Value::Null, &"order.processing".into())
        );
        assert!(message.get("cancel_reason").is_none());
    }
}
