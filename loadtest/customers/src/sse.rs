//! An incremental parser of Server-Sent Events (WHATWG HTML, "Server-sent events").

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The type; empty for the default, `message`.
    pub kind: String,
    /// The data; its lines are joined by line feeds.
    pub data: String,
}

/// The state of a stream.
#[derive(Debug, Default)]
pub struct Stream {
    rest: Vec<u8>,
    event: Event,
    /// The id of the last event, for resuming after it.
    pub last_event_id: Option<String>,
}

impl Stream {
    /// Parses the bytes that have arrived and returns the events that they complete.
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

    /// Parses a line; returns the event that it completes.
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
            _ => {} // a comment, `retry`, or a field that this parser does not know
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
    fn events_do_not_depend_on_how_the_bytes_are_split() {
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
