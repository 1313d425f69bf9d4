//! `GET …/orders/{order}/ws`: an order's changes as messages of a WebSocket (RFC 6455), one a change.
//!
//! A stream is one task, which owns the upgraded connection. What the client sends is read, so that pings
//! are answered and a close is seen, and otherwise ignored, within limits.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use contract::lifecycle::Language;
use contract::problem::Code;
use futures_util::{SinkExt, StreamExt};
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::Error;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};

use super::follower::{Follower, Next};
use super::registry::Over;
use super::{HEARTBEAT, Streams};
use crate::http::problem::Problem;
use crate::http::request_context::RequestContext;
use crate::http::response::{Response, full};

/// Longest message from a client; nothing it says matters here.
const HEARD_BYTES_MAX: usize = 1024;
/// Messages from a client between two heartbeats.
const HEARD_MAX: u32 = 64;
/// What is read at once: a stream reads little but pongs.
const READ_BUFFER_BYTES: usize = 256;
/// A message that is not taken for so long ends the stream.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// A client may take so long to return our close, and to complete the upgrade.
const PATIENCE: Duration = Duration::from_secs(2);
/// Pings without an answer after which the client is gone.
const UNANSWERED_MAX: u32 = 2;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Answers with the upgrade.
pub(crate) async fn answer(
    streams: Streams<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
    upgrade: Option<OnUpgrade>,
) -> Result<Response, Problem> {
    let (Some(key), Some(upgrade)) = (key(&context.head.headers), upgrade) else {
        let why = "This is a WebSocket: ask for the upgrade to it, in version 13 of the protocol.";
        return Err(Problem::because(Code::MalformedRequest, why));
    };
    let accept = HeaderValue::from_str(&derive_accept_key(key)).map_err(|_| Problem::from(Code::Internal))?;
    let follower = super::open(streams, context, sale, order).await?;
    let language = context.language;
    streams.registry.tasks.spawn(async move {
        let Ok(Ok(connection)) = timeout(PATIENCE, upgrade).await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(limits()));
        tell(&mut socket.await, follower, language).await;
    });
    let mut answer = Response::new(full(Bytes::new()));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(answer)
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(64 * 1024)
        .max_message_size(Some(HEARD_BYTES_MAX))
        .max_frame_size(Some(HEARD_BYTES_MAX))
}

/// The key of a request for this upgrade.
fn key(headers: &HeaderMap) -> Option<&[u8]> {
    let names = |name, value: &str| {
        let listed = headers.get_all(name).iter().filter_map(|listed| listed.to_str().ok());
        listed.flat_map(|listed| listed.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(value))
    };
    let asked =
        names(CONNECTION, "upgrade") && names(UPGRADE, "websocket") && names(SEC_WEBSOCKET_VERSION, "13");
    headers.get(SEC_WEBSOCKET_KEY).filter(|_| asked).map(HeaderValue::as_bytes)
}

/// Tells changes until the last one, or until nobody listens.
async fn tell(socket: &mut Socket, mut follower: Follower, language: Language) {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    let (mut unanswered, mut heard) = (0, 0);
    loop {
        let message = tokio::select! {
            next = poll_fn(|context| follower.poll_next(context)) => match next {
                Next::Change(change) => Message::text(change.message(language)),
                Next::Over(over) => return close(socket, farewell(over, &follower)).await,
            },
            message = socket.next() => match message {
                // A close is answered by the next read, which then ends.
                Some(Ok(Message::Pong(_) | Message::Close(_))) => { unanswered = 0; continue }
                Some(Ok(_)) if heard < HEARD_MAX => { heard += 1; continue }
                Some(Ok(_)) => return close(socket, (CloseCode::Policy, "too many messages".into())).await,
                Some(Err(Error::Capacity(_))) => {
                    return close(socket, (CloseCode::Size, "too long a message".into())).await;
                }
                Some(Err(_)) | None => return,
            },
            _ = heartbeat.tick() => {
                if unanswered == UNANSWERED_MAX {
                    return;
                }
                (unanswered, heard) = (unanswered + 1, 0);
                Message::Ping(Bytes::new())
            }
        };
        if !matches!(timeout(WRITE_MAX, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn farewell(over: Over, follower: &Follower) -> (CloseCode, String) {
    let resume = follower.resume_from().map(|id| format!(", last_event_id={id}")).unwrap_or_default();
    match over {
        Over::Final => (CloseCode::Normal, "the order is complete".into()),
        Over::Behind => (CloseCode::Again, format!("fell behind{resume}")),
        Over::Stopping => (CloseCode::Away, format!("this gateway stops{resume}")),
    }
}

/// Says goodbye, and waits a moment for the client to say it too.
async fn close(socket: &mut Socket, (code, reason): (CloseCode, String)) {
    let goodbye = async {
        socket.close(Some(CloseFrame { code, reason: reason.into() })).await?;
        while let Some(message) = socket.next().await {
            message?;
        }
        Ok::<_, Error>(())
    };
    drop(timeout(PATIENCE, goodbye).await); // the client may be gone
}
