//! The receiver of notifications: it verifies the signatures of webhooks and counts each message.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use contract::timestamp::Timestamp;
use contract::webhook::{self, Secret, SignatureHeaders};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use parking_lot::Mutex;
use tokio::net::TcpListener;

use customers::journal::now_us;

/// The secret with which messages are signed.
pub const SECRET: &str = "whsec_Y2hhb3MtbWVzc2FnZXMtYXJlLXNpZ25lZA==";

/// The number of times that each message was received, by its id. Clones share the counts.
#[derive(Debug, Clone, Default)]
pub struct Receiver(Arc<Mutex<Received>>);

#[derive(Debug, Default)]
struct Received {
    messages: BTreeMap<String, u64>,
    rejected: u64,
}

impl Receiver {
    /// Listens until the process ends.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
        let this = Self::default();
        tokio::spawn(this.clone().serve(listener));
        Ok(this)
    }

    async fn serve(self, listener: TcpListener) {
        // An accept that fails loses its connection, and the sender retries.
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let this = self.clone();
            tokio::spawn(async move {
                let respond = |request| {
                    let this = this.clone();
                    async move { Ok::<_, Infallible>(this.receive(request).await) }
                };
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service_fn(respond)).await;
            });
        }
    }

    async fn receive(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        match verified_id(request).await {
            Some(id) => *self.0.lock().messages.entry(id).or_default() += 1,
            None => {
                self.0.lock().rejected += 1;
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            }
        }
        response
    }

    /// Clears the counts for a new environment.
    pub fn clear(&self) {
        *self.0.lock() = Received::default();
    }

    /// Returns the number of times that each message was received.
    pub fn messages(&self) -> BTreeMap<String, u64> {
        self.0.lock().messages.clone()
    }

    /// Returns whether a message was received.
    pub fn contains(&self, id: &str) -> bool {
        self.0.lock().messages.contains_key(id)
    }

    /// Returns the number of messages with a wrong signature.
    pub fn rejected(&self) -> u64 {
        self.0.lock().rejected
    }
}

/// Returns the id of a message with a valid signature.
async fn verified_id(request: Request<Incoming>) -> Option<String> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name)?.to_str().ok();
    let headers = SignatureHeaders {
        id: header(webhook::ID)?,
        timestamp: header(webhook::TIMESTAMP)?,
        signature: header(webhook::SIGNATURE)?,
    };
    let body = body.collect().await.ok()?.to_bytes();
    Secret::parse(SECRET).ok()?.verify(headers, &body, Timestamp(now_us() / 1000)).ok()?;
    Some(headers.id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use customers::http::Connection;

    #[tokio::test]
    async fn signed_messages_are_counted_and_others_rejected() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let receiver = Receiver::default();
        tokio::spawn(receiver.clone().serve(listener));
        let mut connection = Connection::open(address).await.unwrap();
        let now = now_us() / 1_000_000;
        for (signed, status) in [("{}", 200), ("{}", 200), ("{ }", 401)] {
            let signature = Secret::parse(SECRET).unwrap().sign("order_1-2", now, signed.as_bytes());
            let request = format!(
                "POST / HTTP/1.1\r\nHost: h\r\nwebhook-id: order_1-2\r\nwebhook-timestamp: {now}\r\n\
                 webhook-signature: {signature}\r\nContent-Length: 2\r\n\r\n{{}}"
            );
            assert_eq!(connection.call(request.as_bytes()).await.unwrap().status, status);
        }
        assert_eq!(receiver.messages(), [("order_1-2".to_owned(), 2)].into());
        assert_eq!((receiver.rejected(), receiver.contains("order_1-2")), (1, true));
        receiver.clear();
        assert!(receiver.messages().is_empty());
    }
}
