//! `GET …/orders/{order}/ws`: an order's changes over a WebSocket (RFC 6455), one message per change.
//!
//! Each stream has one task, which owns the upgraded connection. It reads the client's messages to answer pings and to
//! detect a close. Other messages are ignored, within limits.

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
use super::registry::StreamEnd;
use super::{HEARTBEAT, Streams};
use crate::http::problem::Problem;
use crate::http::request_context::RequestContext;
use crate::http::response::{Response, full};

/// The maximum size of a message from a client, whose content is ignored.
const RECEIVED_BYTES_MAX: usize = 1024;
/// The maximum number of messages from a client between two heartbeats.
const RECEIVED_MAX: u32 = 64;
/// The size of the read buffer: a stream receives little more than pongs.
const READ_BUFFER_BYTES: usize = 256;
/// The write timeout, after which the stream ends.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// The time limit for the client to answer a close frame and to complete the upgrade.
const HANDSHAKE_MAX: Duration = Duration::from_secs(2);
/// The number of unanswered pings after which the client counts as disconnected.
const UNANSWERED_MAX: u32 = 2;

type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// Responds with the upgrade.
pub(crate) async fn answer(
    streams: Streams<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
    upgrade: Option<OnUpgrade>,
) -> Result<Response, Problem> {
    let (Some(key), Some(upgrade)) = (key(&context.head.headers), upgrade) else {
        let why = "This endpoint is a WebSocket: request the upgrade with version 13 of the protocol.";
        return Err(Problem::because(Code::MalformedRequest, why));
    };
    let accept = HeaderValue::from_str(&derive_accept_key(key)).map_err(|_| Problem::from(Code::Internal))?;
    let follower = super::open(streams, context, sale, order).await?;
    let language = context.language;
    streams.registry.tasks.spawn(async move {
        let Ok(Ok(connection)) = timeout(HANDSHAKE_MAX, upgrade).await else { return };
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(connection), Role::Server, Some(limits()));
        send_changes(&mut socket.await, follower, language).await;
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
        .max_message_size(Some(RECEIVED_BYTES_MAX))
        .max_frame_size(Some(RECEIVED_BYTES_MAX))
}

/// Returns the key of a valid upgrade request.
fn key(headers: &HeaderMap) -> Option<&[u8]> {
    let names = |name, value: &str| {
        let listed = headers.get_all(name).iter().filter_map(|listed| listed.to_str().ok());
        listed.flat_map(|listed| listed.split(',')).any(|listed| listed.trim().eq_ignore_ascii_case(value))
    };
    let is_upgrade =
        names(CONNECTION, "upgrade") && names(UPGRADE, "websocket") && names(SEC_WEBSOCKET_VERSION, "13");
    headers.get(SEC_WEBSOCKET_KEY).filter(|_| is_upgrade).map(HeaderValue::as_bytes)
}

/// Sends changes until the stream ends or the client disconnects.
async fn send_changes(socket: &mut Socket, mut follower: Follower, language: Language) {
    let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    let (mut unanswered, mut received) = (0, 0);
    loop {
        let message = tokio::select! {
            next = poll_fn(|context| follower.poll_next(context)) => match next {
                Next::Change(change) => Message::text(change.ws_message(language)),
                Next::End(end) => return close(socket, close_frame(end, &follower)).await,
            },
            message = socket.next() => match message {
                // The next read answers a close frame and then ends.
                Some(Ok(Message::Pong(_) | Message::Close(_))) => { unanswered = 0; continue }
                Some(Ok(_)) if received < RECEIVED_MAX => { received += 1; continue }
                Some(Ok(_)) => return close(socket, (CloseCode::Policy, "too many messages".into())).await,
                Some(Err(Error::Capacity(_))) => {
                    return close(socket, (CloseCode::Size, "message is too long".into())).await;
                }
                Some(Err(_)) | None => return,
            },
            _ = heartbeat.tick() => {
                if unanswered == UNANSWERED_MAX {
                    return;
                }
                (unanswered, received) = (unanswered + 1, 0);
                Message::Ping(Bytes::new())
            }
        };
        if !matches!(timeout(WRITE_MAX, socket.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn close_frame(end: StreamEnd, follower: &Follower) -> (CloseCode, String) {
    let resume = follower.resume_from().map(|id| format!(", last_event_id={id}")).unwrap_or_default();
    match end {
        StreamEnd::Final => (CloseCode::Normal, "the order is complete".into()),
        StreamEnd::Behind => (CloseCode::Again, format!("fell behind{resume}")),
        StreamEnd::Stopping => (CloseCode::Away, format!("this gateway is shutting down{resume}")),
    }
}

/// Sends a close frame, and waits a moment for the client's close frame.
async fn close(socket: &mut Socket, (code, reason): (CloseCode, String)) {
    let handshake = async {
        socket.close(Some(CloseFrame { code, reason: reason.into() })).await?;
        while let Some(message) = socket.next().await {
            message?;
        }
        Ok::<_, Error>(())
    };
    drop(timeout(HANDSHAKE_MAX, handshake).await); // the client may have disconnected
}
