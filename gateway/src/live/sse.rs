//! `GET …/orders/{order}/events`: an order's changes as Server-Sent Events (WHATWG HTML, "Server-sent events").
//!
//! The body has no task of its own. The connection polls it for the next bytes when it has capacity (backpressure), so
//! that a client that does not read occupies no memory beyond its short queue.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use contract::lifecycle::Language;
use http_body_util::Either;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::StatusCode;
use hyper::body::{Body, Frame};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use tokio::time::{Instant, Interval, interval_at};

use super::follower::{Follower, Next};
use super::registry::StreamEnd;
use super::{HEARTBEAT, Streams};
use crate::http::problem::Problem;
use crate::http::request_context::RequestContext;
use crate::http::response::{Response, full};

/// Requests that nginx and similar proxies do not buffer events.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// The time after which a client reconnects, plus a jitter of up to [`RETRY_JITTER_MS`].
const RETRY_MS: u64 = 1000;
const RETRY_JITTER_MS: u64 = 2000;

/// Responds with the stream, or with 204 to a client that has received the final event, after which browsers stop.
pub(crate) async fn answer(
    streams: Streams<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
) -> Result<Response, Problem> {
    let follower = super::open(streams, context, sale, order).await?;
    if follower.has_ended() {
        let mut answer = Response::new(full(Bytes::new()));
        *answer.status_mut() = StatusCode::NO_CONTENT;
        return Ok(answer);
    }
    let events = Events {
        opening: Some(format!("retry: {}\n\n", retry_ms(&follower)).into()),
        follower,
        language: context.language,
        heartbeat: interval_at(Instant::now() + HEARTBEAT, HEARTBEAT),
        ended: false,
    };
    let mut answer = Response::new(Either::Right(UnsyncBoxBody::new(events)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(answer)
}

fn retry_ms(follower: &Follower) -> u64 {
    RETRY_MS + follower.jitter() % RETRY_JITTER_MS
}

/// The response body.
struct Events {
    opening: Option<Bytes>,
    follower: Follower,
    language: Language,
    heartbeat: Interval,
    ended: bool,
}

impl Events {
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(opening) = self.opening.take() {
            return Poll::Ready(Some(opening));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        if let Poll::Ready(next) = self.follower.poll_next(context) {
            let bytes = match next {
                Next::Change(change) => change.sse_event(self.language),
                Next::End(end) => {
                    self.ended = true;
                    match self.closing_event(end) {
                        Some(event) => event.into(),
                        None => return Poll::Ready(None),
                    }
                }
            };
            self.heartbeat.reset();
            return Poll::Ready(Some(bytes));
        }
        ready!(self.heartbeat.poll_tick(context));
        Poll::Ready(Some(Bytes::from_static(b":\n\n")))
    }

    /// Returns the last event of a stream. Browsers reconnect automatically with the ID of the last event that they
    /// received; other clients find it in this event.
    fn closing_event(&self, end: StreamEnd) -> Option<String> {
        let resume =
            serde_json::json!({ "last_event_id": self.follower.resume_from().map(|id| id.to_string()) });
        match end {
            StreamEnd::Final => None,
            StreamEnd::Behind => Some(format!("event: reset\ndata: {resume}\n\n")),
            StreamEnd::Stopping => {
                Some(format!("retry: {}\n: this gateway is shutting down\n\n", retry_ms(&self.follower)))
            }
        }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.next(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
