//! Clients of live updates, over Server-Sent Events and WebSocket.

use futures_util::StreamExt;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::wait::PATIENCE;

/// A stream of Server-Sent Events, which is parsed like in a browser.
pub struct EventStream {
    answer: reqwest::Response,
    read: String,
    /// The id that a browser would send when it reconnects.
    pub last_event_id: Option<String>,
    /// The delay before a browser would reconnect, in milliseconds.
    pub retry_ms: Option<u64>,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The event's own id; `None` if it has none, even after an earlier event with an id.
    pub id: Option<String>,
    /// The event's type.
    pub name: String,
    /// The event's data.
    pub data: Value,
}

impl EventStream {
    /// Opens a stream. Returns the status if the request is refused.
    pub async fn open(request: reqwest::RequestBuilder) -> Result<Self, StatusCode> {
        let answer = tokio::time::timeout(PATIENCE, request.send()).await.expect("an answer in time");
        let answer = answer.expect("an answer");
        if answer.status() != StatusCode::OK {
            return Err(answer.status());
        }
        let expected = [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
        ];
        for (name, value) in expected {
            assert_eq!(answer.headers()[name], value);
        }
        Ok(Self { answer, read: String::new(), last_event_id: None, retry_ms: None })
    }

    /// Returns the next event, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        let read = tokio::time::timeout(PATIENCE, self.read_event()).await;
        read.expect("an event, or the end, in time")
    }

    async fn read_event(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.read.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.read = rest;
                if let Some(event) = self.parse(&block) {
                    return Some(event);
                }
            }
            let bytes = self.answer.chunk().await.expect("an unbroken stream")?;
            self.read.push_str(std::str::from_utf8(&bytes).expect("UTF-8"));
        }
    }

    /// Parses a block like a browser: comments are skipped, and a block without data is not an event.
    fn parse(&mut self, block: &str) -> Option<Event> {
        let (mut id, mut name, mut data) = (None, "message", None);
        for line in block.lines() {
            match line.split_once(": ").unwrap_or((line, "")) {
                ("id", value) => id = Some(value.to_owned()),
                ("event", value) => name = value,
                ("data", value) => data = Some(serde_json::from_str(value).expect("JSON")),
                ("retry", value) => self.retry_ms = Some(value.parse().expect("milliseconds")),
                _ => assert!(line.starts_with(':'), "{line}"),
            }
        }
        let event = Event { id, name: name.to_owned(), data: data? };
        self.last_event_id = event.id.clone().or(self.last_event_id.take());
        Some(event)
    }
}

/// A WebSocket connection.
pub struct LiveSocket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl LiveSocket {
    /// Opens a connection. Returns the status if the request is refused.
    pub async fn open(url: &str) -> Result<Self, StatusCode> {
        match tokio::time::timeout(PATIENCE, connect_async(url)).await.expect("an answer in time") {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(Error::Http(answer)) => Err(answer.status()),
            Err(error) => panic!("{url}: {error}"),
        }
    }

    /// Returns the next message, or the code and reason with which the server closes the connection.
    pub async fn next(&mut self) -> Result<Value, (u16, String)> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a message in time");
            match message.expect("a close before the end").expect("an unbroken connection") {
                Message::Text(text) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Message::Close(Some(frame)) => return Err((frame.code.into(), frame.reason.to_string())),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
