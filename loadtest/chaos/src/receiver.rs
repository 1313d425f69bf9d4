//! Whom notification tells: a receiver of signed webhooks that writes down every message that it takes, as
//! often as it comes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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
use tokio::net::TcpListener;

use customers::journal::now_us;

/// What messages are signed with.
pub const SECRET: &str = "whsec_Y2hhb3MtbWVzc2FnZXMtYXJlLXNpZ25lZA==";

/// What came, by the id of the message: how often. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Receiver(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    messages: BTreeMap<String, u64>,
    unbelieved: u64,
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
        // An accept that fails lost its connection: the sender tries again.
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let this = self.clone();
            tokio::spawn(async move {
                let answer = |request| {
                    let this = this.clone();
                    async move { Ok::<_, Infallible>(this.take(request).await) }
                };
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await;
            });
        }
    }

    async fn take(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::default());
        match believed(request).await {
            Some(id) => *self.taken().messages.entry(id).or_default() += 1,
            None => {
                self.taken().unbelieved += 1;
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            }
        }
        response
    }

    /// Forgets everything: a new world.
    pub fn forget(&self) {
        *self.taken() = Taken::default();
    }

    /// How often each message came.
    pub fn messages(&self) -> BTreeMap<String, u64> {
        self.taken().messages.clone()
    }

    /// Whether a message came.
    pub fn has(&self, id: &str) -> bool {
        self.taken().messages.contains_key(id)
    }

    /// Messages with a wrong signature.
    pub fn unbelieved(&self) -> u64 {
        self.taken().unbelieved
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id of a message that is signed as it must be.
async fn believed(request: Request<Incoming>) -> Option<String> {
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
    async fn what_is_signed_is_written_down_as_often_as_it_comes() {
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
        assert_eq!((receiver.unbelieved(), receiver.has("order_1-2")), (1, true));
        receiver.forget();
        assert!(receiver.messages().is_empty());
    }
}
