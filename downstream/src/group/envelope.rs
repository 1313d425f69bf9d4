//! An event with its retry history, as `<group>.retry` and `<group>.dead-letter` hold it: the record of the source
//! topic, and in further headers the number of tries, the reason of the last failure and the time of the next try.

use contract::timestamp::Timestamp;
use process::kafka::Message;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

const ATTEMPTS: &str = "attempts";
const REASON: &str = "reason";
const NOT_BEFORE: &str = "not-before";
const SOURCE: &str = "source-position";
/// Names the dead letter that was replayed, in a marker record behind it. The marker has no value.
pub const REPLAY_OF: &str = "replay-of";
/// The greatest length of a reason in bytes. People read reasons, so longer ones are truncated.
const REASON_BYTES_MAX: usize = 1000;

/// A record of the source topic, the retry topic or the dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The key of the source record.
    pub key: String,
    /// The value of the source record.
    pub value: Vec<u8>,
    /// The headers of the source record.
    pub headers: Vec<(String, String)>,
    /// The position of the source record as `topic/partition/offset`.
    pub source: String,
    /// The number of tries so far.
    pub attempts: u32,
    /// The reason why the last try failed, or why the event waits.
    pub reason: String,
    /// The earliest time of the next try.
    pub not_before: Timestamp,
}

impl Envelope {
    /// Reads a record of any of the three topics.
    pub fn from_record(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Self::from_parts(
            format!("{}/{}/{}", message.topic(), message.partition(), message.offset()),
            message.key().unwrap_or_default(),
            message.payload().unwrap_or_default(),
            headers.map(|header| (header.key, header.value.unwrap_or_default())),
        )
    }

    /// Builds an envelope from the parts of a record at `position`. Bytes that are not UTF-8 are replaced: no event
    /// contains them.
    fn from_parts<'a>(
        position: String,
        key: &[u8],
        value: &[u8],
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut envelope = Self {
            key: text(key),
            value: value.to_vec(),
            headers: Vec::new(),
            source: position,
            attempts: 0,
            reason: String::new(),
            not_before: Timestamp(0),
        };
        for (name, value) in headers {
            let value = text(value);
            match name {
                ATTEMPTS => envelope.attempts = value.parse().unwrap_or(0),
                REASON => envelope.reason = value,
                NOT_BEFORE => envelope.not_before = Timestamp::parse(&value).unwrap_or(Timestamp(0)),
                SOURCE => envelope.source = value,
                name => envelope.headers.push((name.into(), value)),
            }
        }
        envelope
    }

    /// Returns a header of the source record.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Records a failed try, and when the next one is due.
    pub fn record_failure(&mut self, reason: &str, retry_at: Timestamp) {
        self.attempts += 1;
        self.not_before = retry_at;
        self.reason = truncate(reason).into();
    }

    /// Encodes all headers: those of the source record, then the retry history.
    pub fn encode_headers(&self) -> Vec<(&str, String)> {
        let history = [
            (ATTEMPTS, self.attempts.to_string()),
            (REASON, self.reason.clone()),
            (NOT_BEFORE, self.not_before.to_string()),
            (SOURCE, self.source.clone()),
        ];
        self.headers.iter().map(|(key, value)| (key.as_str(), value.clone())).chain(history).collect()
    }

    /// Returns the message to publish, with its [encoded headers](Self::encode_headers).
    pub fn to_message<'a>(
        &'a self,
        topic: &'a str,
        partition: i32,
        headers: &'a [(&'a str, String)],
    ) -> Message<'a> {
        Message { topic, partition: Some(partition), key: &self.key, value: Some(&self.value), headers }
    }
}

fn truncate(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::{Envelope, truncate};
    use contract::timestamp::Timestamp;

    /// An envelope that an older build left in a retry or dead-letter topic is decoded, and encoded to the same bytes.
    #[test]
    fn an_envelope_keeps_its_wire_format() {
        let fixture = include_str!("../../../contract/fixtures/group-retry.v1.txt");
        let (head, value) = fixture.split_once("\n\n").expect("an empty line");
        let value = value.trim_end().as_bytes();
        let mut headers: Vec<_> = head.lines().filter_map(|line| line.split_once(": ")).collect();
        let (_, key) = headers.remove(0);
        let raw = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let envelope = Envelope::from_parts("notification.retry/3/7".into(), key.as_bytes(), value, raw);
        assert_eq!((envelope.attempts, envelope.source.as_str()), (2, "order-events/3/1042"));
        assert_eq!(envelope.reason, "webhook: the receiver answered 503 Service Unavailable");
        assert_eq!(Some(envelope.not_before), Timestamp::parse("2026-03-01T09:02:05.250Z"));
        assert_eq!((envelope.header("ce_id"), envelope.headers.len()), (Some("2-17"), 7));
        let encoded = envelope.encode_headers();
        let encoded: Vec<_> = encoded.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(encoded, headers);
        assert_eq!((envelope.key.as_bytes(), envelope.value.as_slice()), (key.as_bytes(), value));
    }

    #[test]
    fn a_record_of_the_source_topic_has_no_tries() {
        let envelope = Envelope::from_parts("order-events/3/1042".into(), b"k", b"v", std::iter::empty());
        assert_eq!((envelope.attempts, envelope.not_before), (0, Timestamp(0)));
        assert_eq!(envelope.source, "order-events/3/1042");
    }

    #[test]
    fn a_long_reason_is_truncated_between_characters() {
        assert_eq!(truncate("short"), "short");
        let long = "원".repeat(400);
        assert_eq!(truncate(&long).chars().count(), 333);
    }
}
