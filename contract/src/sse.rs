//! An incremental parser of Server-Sent Events (WHATWG HTML, "Server-sent events"), for clients of live updates.

/// An event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The id of this event, without that of an earlier one.
    pub id: Option<String>,
    /// The type; empty for the default, `message`.
    pub kind: String,
    /// The data; its lines are joined by line feeds.
    pub data: String,
}

/// The state of a stream.
#[derive(Debug, Default)]
pub struct Parser {
    buffer: Vec<u8>,
    event: Event,
    /// The id of the last event, for resuming after it.
    pub last_event_id: Option<String>,
    /// The pause before a reconnection, in milliseconds, if the server has sent one.
    pub retry_ms: Option<u64>,
    /// The lines that are neither a known field nor a comment. A client ignores them; tests expect none.
    pub unknown_lines: Vec<String>,
}

impl Parser {
    /// The number of unknown lines kept.
    const UNKNOWN_LINES_MAX: usize = 10;

    /// Parses the bytes that have arrived and returns the events that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            events.extend(self.line(line.trim_end_matches(['\n', '\r'])));
        }
        events
    }

    /// Parses a line; returns the event that it completes.
    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            self.last_event_id = event.id.clone().or(self.last_event_id.take());
            return (!event.data.is_empty()).then_some(event);
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" => {} // a comment
            "event" => self.event.kind = value.to_owned(),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "id" => self.event.id = Some(value.to_owned()),
            "retry" if value.parse::<u64>().is_ok() => self.retry_ms = value.parse().ok(),
            _ if self.unknown_lines.len() < Self::UNKNOWN_LINES_MAX => {
                self.unknown_lines.push(line.to_owned());
            }
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "retry: 1200\n\nid: 2-7\nevent: order.created\ndata: {\"status\":\"created\"}\n\n:\n\n\
                        data: one\r\ndata: two\r\n\r\nid: 2-9\ndata: x\n\nretry: soon\nevent: half";

    #[test]
    fn events_do_not_depend_on_how_the_bytes_are_split() {
        let event = |id: Option<&str>, kind: &str, data: &str| Event {
            id: id.map(str::to_owned),
            kind: kind.into(),
            data: data.into(),
        };
        let expected = [
            event(Some("2-7"), "order.created", "{\"status\":\"created\"}"),
            event(None, "", "one\ntwo"),
            event(Some("2-9"), "", "x"),
        ];
        for size in [1, 2, 7, TEXT.len()] {
            let mut parser = Parser::default();
            let events: Vec<_> = TEXT.as_bytes().chunks(size).flat_map(|bytes| parser.push(bytes)).collect();
            assert_eq!(events, expected, "pieces of {size}");
            assert_eq!(parser.last_event_id.as_deref(), Some("2-9"));
            assert_eq!(parser.retry_ms, Some(1200));
            assert_eq!(parser.unknown_lines, ["retry: soon"]);
        }
    }
}
