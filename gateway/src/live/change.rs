//! One change of an order, and how streams tell it.

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use contract::event::order_event_type;
use contract::ids::OrderId;
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::read::order_response::StatusBody;

/// An event's place among those of settlement: `partition-seq`. All events of one order have the same
/// partition, and their sequences grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    /// The order's partition of the log.
    pub partition: i32,
    /// Its place there.
    pub seq: i64,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.partition, self.seq)
    }
}

/// Not `partition-seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoEventId;

impl FromStr for EventId {
    type Err = NoEventId;
    fn from_str(text: &str) -> Result<Self, NoEventId> {
        let (partition, seq) = text.split_once('-').ok_or(NoEventId)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(partition) || !digits(seq) {
            return Err(NoEventId);
        }
        Ok(Self {
            partition: partition.parse().map_err(|_| NoEventId)?,
            seq: seq.parse().map_err(|_| NoEventId)?,
        })
    }
}

/// What an order has become. Shared by all streams that tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Whose.
    pub order_id: OrderId,
    /// `None`: before settlement, or as Redis remembers it; nobody can resume from there.
    pub id: Option<EventId>,
    /// What it has become.
    pub status: OrderStatus,
    /// Where it is cancelled.
    pub cancel_reason: Option<CancelReason>,
    /// When.
    pub at: Timestamp,
}

/// A change of an order, as its streams tell it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "OrderChange")]
pub(crate) struct Told<'a> {
    #[serde(flatten)]
    status: StatusBody,
    /// Where it is cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "CancelReason")]
    cancel_reason: Option<CancelReason>,
    #[serde(flatten)]
    place: Option<Place<'a>>,
}

/// What Server-Sent Events have fields of their own for; in the messages of a WebSocket alone.
#[derive(Serialize, JsonSchema)]
struct Place<'a> {
    /// What to come back with as `last_event_id`; `null`: nobody can resume from here.
    id: Option<String>,
    /// `order.` and the status.
    event: &'a str,
}

impl Change {
    /// As a Server-Sent Event.
    pub(crate) fn event(&self, language: Language) -> Bytes {
        let id = self.id.map(|id| format!("id: {id}\n")).unwrap_or_default();
        let event = order_event_type(self.status);
        format!("{id}event: {event}\ndata: {}\n\n", self.json(None, language)).into()
    }

    /// As a message of a WebSocket.
    pub(crate) fn message(&self, language: Language) -> String {
        let id = self.id.map(|id| id.to_string());
        self.json(Some(Place { id, event: &order_event_type(self.status) }), language)
    }

    fn json(&self, place: Option<Place<'_>>, language: Language) -> String {
        let status = StatusBody::new(self.order_id, self.status, self.at, language);
        let told = Told { status, cancel_reason: self.cancel_reason, place };
        serde_json::to_string(&told).unwrap_or_default() // names, texts and numbers always serialize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_has_one_spelling() {
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
            assert_eq!(bad.parse::<EventId>(), Err(NoEventId), "{bad}");
        }
    }

    #[test]
    fn a_change_is_told_on_one_line_and_without_an_id_nobody_resumes_from_it() {
        let order_id: OrderId = "019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9".parse().unwrap();
        let at = Timestamp(1_790_000_000_000);
        let id = Some(EventId { partition: 3, seq: 17 });
        let (status, cancel_reason) = (OrderStatus::Cancelled, Some(CancelReason::Expired));
        let cancelled = Change { order_id, id, status, cancel_reason, at };
        let event = String::from_utf8(cancelled.event(Language::Korean).to_vec()).unwrap();
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
        assert!(processing.event(Language::English).starts_with(b"event: order.processing\ndata: {"));
        let message: serde_json::Value =
            serde_json::from_str(&processing.message(Language::English)).unwrap();
        assert_eq!(
            (&message["id"], &message["event"]),
            (&serde_json::Value::Null, &"order.processing".into())
        );
        assert!(message.get("cancel_reason").is_none());
    }
}
