//! An order event as a handler receives it: CloudEvents 1.0 in binary mode, decoded.

use contract::event::{OrderEvent, order_event_type};

use super::envelope::Envelope;

/// An order event and the number of its delivery attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedEvent {
    /// The event's id, which is the same in every delivery.
    pub id: String,
    /// The change of the order.
    pub event: OrderEvent,
    /// The number of this try, counted from 1.
    pub attempt: u32,
}

/// The reason why a record is not a valid order event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A header is missing or has an unexpected value.
    #[error("the header {0} is not that of an order event")]
    Header(&'static str),
    /// The value cannot be decoded.
    #[error("the value is not that of an order event: {0}")]
    Value(String),
    /// The key differs from the order's id, so the events of one order would not stay in order.
    #[error("the key is not the order's id")]
    Key,
}

impl ReceivedEvent {
    /// Decodes a record.
    pub fn decode(envelope: &Envelope) -> Result<Self, DecodeError> {
        let header = |name: &'static str| envelope.header(name).ok_or(DecodeError::Header(name));
        if header("ce_specversion")? != "1.0" {
            return Err(DecodeError::Header("ce_specversion"));
        }
        let id = header("ce_id")?.to_string();
        let event: OrderEvent =
            serde_json::from_slice(&envelope.value).map_err(|error| DecodeError::Value(error.to_string()))?;
        if header("ce_type")? != order_event_type(event.status) {
            return Err(DecodeError::Header("ce_type"));
        }
        if event.order_id.to_string() != envelope.key {
            return Err(DecodeError::Key);
        }
        Ok(Self { id, event, attempt: envelope.attempts + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::timestamp::Timestamp;

    fn fixture() -> Envelope {
        let text = include_str!("../../../contract/fixtures/order-event.v1.txt");
        let (head, value) = text.split_once("\n\n").unwrap();
        let mut headers: Vec<(String, String)> = head
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let (_, key) = headers.remove(0);
        Envelope {
            key,
            value: value.trim_end().into(),
            headers,
            source: "order-events/0/0".into(),
            attempts: 1,
            reason: String::new(),
            not_before: Timestamp(0),
        }
    }

    #[test]
    fn the_published_format_is_decoded() {
        let received = ReceivedEvent::decode(&fixture()).unwrap();
        assert_eq!((received.id.as_str(), received.attempt), ("2-17", 2));
        assert_eq!(received.event.total, 84_000);
    }

    #[test]
    fn each_fault_of_a_record_has_its_own_error() {
        let broken = |change: fn(&mut Envelope)| {
            let mut envelope = fixture();
            change(&mut envelope);
            ReceivedEvent::decode(&envelope).unwrap_err()
        };
        assert_eq!(broken(|envelope| envelope.key = "other".into()), DecodeError::Key);
        assert!(matches!(broken(|envelope| envelope.value = b"{".to_vec()), DecodeError::Value(_)));
        assert_eq!(
            broken(|envelope| envelope.headers.retain(|(name, _)| name != "ce_id")),
            DecodeError::Header("ce_id")
        );
        let other = broken(|envelope| {
            let kind = envelope.headers.iter_mut().find(|(name, _)| name == "ce_type").unwrap();
            kind.1 = "order.shipped".into();
        });
        assert_eq!(other, DecodeError::Header("ce_type"));
    }
}
