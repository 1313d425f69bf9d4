//! An event with what became of it so far, as `<group>.retry` and `<group>.dead-letter` carry it: the
//! record as the source had it, and in further headers the tries, the reason and when to try again.

use contract::timestamp::Timestamp;
use process::kafka::Message;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};

const ATTEMPTS: &str = "attempts";
const REASON: &str = "reason";
const NOT_BEFORE: &str = "not-before";
const SOURCE: &str = "source-position";
/// In a note behind a dead letter: it was sent back. The note has no value.
pub const REPLAY_OF: &str = "replay-of";
/// A reason is for people: longer ones are cut. In bytes.
const REASON_BYTES_MAX: usize = 1000;

/// A record of any of the three topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The source's key.
    pub key: String,
    /// The source's value.
    pub value: Vec<u8>,
    /// The source's headers.
    pub headers: Vec<(String, String)>,
    /// `topic/partition/offset` of the source.
    pub source: String,
    /// Tries so far.
    pub attempts: u32,
    /// Why the last one failed, or why it waits.
    pub reason: String,
    /// It is not tried before.
    pub not_before: Timestamp,
}

impl Envelope {
    /// From any of the three topics.
    pub fn read(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
        Self::of(
            format!("{}/{}/{}", message.topic(), message.partition(), message.offset()),
            message.key().unwrap_or_default(),
            message.payload().unwrap_or_default(),
            headers.map(|header| (header.key, header.value.unwrap_or_default())),
        )
    }

    /// From the parts of a record that stands at `place`. Bytes that are no text are replaced: they are not an
    /// event's.
    fn of<'a>(
        place: String,
        key: &[u8],
        value: &[u8],
        headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut envelope = Self {
            key: text(key),
            value: value.to_vec(),
            headers: Vec::new(),
            source: place,
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

    /// One of the source's headers.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A try has failed.
    pub fn failed(&mut self, reason: &str, again_at: Timestamp) {
        self.attempts += 1;
        self.not_before = again_at;
        self.reason = cut(reason).into();
    }

    /// All headers, ours behind the source's.
    pub fn all_headers(&self) -> Vec<(&str, String)> {
        let own = [
            (ATTEMPTS, self.attempts.to_string()),
            (REASON, self.reason.clone()),
            (NOT_BEFORE, self.not_before.to_string()),
            (SOURCE, self.source.clone()),
        ];
        self.headers.iter().map(|(key, value)| (key.as_str(), value.clone())).chain(own).collect()
    }

    /// As a message, with its [headers](Self::all_headers).
    pub fn message<'a>(
        &'a self,
        topic: &'a str,
        partition: i32,
        headers: &'a [(&'a str, String)],
    ) -> Message<'a> {
        Message { topic, partition: Some(partition), key: &self.key, value: Some(&self.value), headers }
    }
}

fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::{Envelope, cut};
    use contract::timestamp::Timestamp;

    /// What an older build has left in a retry or dead-letter topic is read, and written again the same.
    #[test]
    fn a_parcel_keeps_its_wire_format() {
        let fixture = include_str!("../../../contract/fixtures/group-retry.v1.txt");
        let (head, value) = fixture.split_once("\n\n").expect("an empty line");
        let value = value.trim_end().as_bytes();
        let mut headers: Vec<_> = head.lines().filter_map(|line| line.split_once(": ")).collect();
        let (_, key) = headers.remove(0);
        let raw = headers.iter().map(|(name, value)| (*name, value.as_bytes()));
        let envelope = Envelope::of("notification.retry/3/7".into(), key.as_bytes(), value, raw);
        assert_eq!((envelope.attempts, envelope.source.as_str()), (2, "order-events/3/1042"));
        assert_eq!(envelope.reason, "webhook: the receiver answered 503 Service Unavailable");
        assert_eq!(Some(envelope.not_before), Timestamp::parse("2026-03-01T09:02:05.250Z"));
        assert_eq!((envelope.header("ce_id"), envelope.headers.len()), (Some("2-17"), 7));
        let written = envelope.all_headers();
        let written: Vec<_> = written.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(written, headers);
        assert_eq!((envelope.key.as_bytes(), envelope.value.as_slice()), (key.as_bytes(), value));
    }

    #[test]
    fn what_comes_from_the_source_was_never_tried() {
        let envelope = Envelope::of("order-events/3/1042".into(), b"k", b"v", std::iter::empty());
        assert_eq!((envelope.attempts, envelope.not_before), (0, Timestamp(0)));
        assert_eq!(envelope.source, "order-events/3/1042");
    }

    #[test]
    fn a_long_reason_is_cut_between_letters() {
        assert_eq!(cut("short"), "short");
        let long = "원".repeat(400);
        assert_eq!(cut(&long).chars().count(), 333);
    }
}
