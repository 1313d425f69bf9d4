//! Clients of live updates, over Server-Sent Events and WebSocket.

use std::collections::VecDeque;

use contract::sse::{self, Parser};
use futures_util::StreamExt;
use reqwest::StatusCode;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::wait::PATIENCE;

/// A stream of Server-Sent Events, which is parsed like in a browser.
pub struct EventStream {
    response: reqwest::Response,
    parser: Parser,
    events: VecDeque<sse::Event>,
    /// The id that a browser would send when it reconnects.
    pub last_event_id: Option<String>,
    /// The delay before a browser would reconnect, in milliseconds.
    pub retry_ms: Option<u64>,
}

/// One event of the stream.
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
        let response = tokio::time::timeout(PATIENCE, request.send()).await.expect("a response in time");
        let response = response.expect("a response");
        if response.status() != StatusCode::OK {
            return Err(response.status());
        }
        let expected = [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
        ];
        for (name, value) in expected {
            assert_eq!(response.headers()[name], value);
        }
        let (parser, events) = (Parser::default(), VecDeque::new());
        Ok(Self { response, parser, events, last_event_id: None, retry_ms: None })
    }

    /// Returns the next event, or `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Event> {
        let read = tokio::time::timeout(PATIENCE, self.read_event()).await;
        read.expect("an event, or the end, in time")
    }

    async fn read_event(&mut self) -> Option<Event> {
        while self.events.is_empty() {
            let bytes = self.response.chunk().await.expect("an unbroken stream")?;
            self.events.extend(self.parser.push(&bytes));
            self.retry_ms = self.parser.retry_ms;
            assert!(self.parser.unknown_lines.is_empty(), "{:?}", self.parser.unknown_lines);
        }
        let event = self.events.pop_front()?;
        let name = if event.kind.is_empty() { "message".to_owned() } else { event.kind };
        self.last_event_id = event.id.clone().or(self.last_event_id.take());
        Some(Event { id: event.id, name, data: serde_json::from_str(&event.data).expect("JSON") })
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
