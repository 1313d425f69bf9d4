//! Reads Server-Sent Events (WHATWG HTML, "Server-sent events") as they arrive, however they are cut.

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// Its type; empty: `message`.
    pub kind: String,
    /// Its data, lines joined.
    pub data: String,
}

/// A stream so far.
#[derive(Debug, Default)]
pub struct Stream {
    rest: Vec<u8>,
    event: Event,
    /// The id of the last event, to resume after it.
    pub last_event_id: Option<String>,
}

impl Stream {
    /// Takes what has arrived, and returns the events that it completes.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.rest.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            events.extend(self.line(line.trim_end_matches(['\n', '\r'])));
        }
        events
    }

    /// One line; the event that it ends.
    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event.kind = value.to_owned(),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" => self.last_event_id = Some(value.to_owned()),
            _ => {} // a comment, `retry`, or what a later version has
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "retry: 1200\n\nid: 2-7\nevent: order.created\ndata: {\"status\":\"created\"}\n\n:\n\n\
                        id: 2-9\r\ndata: one\r\ndata: two\r\n\r\nevent: half";

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        for size in [1, 2, 7, TEXT.len()] {
            let mut stream = Stream::default();
            let events: Vec<_> = TEXT.as_bytes().chunks(size).flat_map(|bytes| stream.push(bytes)).collect();
            let expected = [("order.created", "{\"status\":\"created\"}"), ("", "one\ntwo")];
            let expected = expected.map(|(kind, data)| Event { kind: kind.into(), data: data.into() });
            assert_eq!(events, expected, "pieces of {size}");
            assert_eq!(stream.last_event_id.as_deref(), Some("2-9"));
        }
    }
}
