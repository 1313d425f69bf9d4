//! A receiver of webhooks that verifies their signatures.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use contract::webhook::{self, Secret, SignatureHeaders};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use parking_lot::Mutex;
use process::walltime;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A webhook with a valid signature.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) body: Value,
}

/// A running receiver, which stops when the value is dropped.
pub(crate) struct Receiver {
    address: SocketAddr,
    /// The status of further responses.
    status: Arc<AtomicU16>,
    received: Arc<Mutex<Vec<Received>>>,
    rejected: Arc<AtomicU16>,
    unverified: Arc<AtomicU16>,
    stop: CancellationToken,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let this = Self {
            address: listener.local_addr().expect("its address"),
            status: Arc::new(AtomicU16::new(204)),
            received: Arc::default(),
            rejected: Arc::default(),
            unverified: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (status, received) = (this.status.clone(), this.received.clone());
        let (rejected, unverified) = (this.rejected.clone(), this.unverified.clone());
        let handler = move |request: Request<Incoming>| {
            let (status, received) = (status.clone(), received.clone());
            let (rejected, unverified) = (rejected.clone(), unverified.clone());
            async move {
                let mut response = Response::new(Full::new(Bytes::new()));
                let status = status.load(Ordering::SeqCst);
                match verify(request).await {
                    Some(webhook) if status < 300 => received.lock().push(webhook),
                    Some(_) => _ = rejected.fetch_add(1, Ordering::SeqCst),
                    None => _ = unverified.fetch_add(1, Ordering::SeqCst),
                }
                *response.status_mut() = status.try_into().expect("a status");
                response
            }
        };
        tokio::spawn(process::http::serve(listener, 16, handler, this.stop.clone()));
        this
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Responds with this status from now on.
    pub(crate) fn respond_with(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().clone()
    }

    /// Returns the number of webhooks with a valid signature that were rejected.
    pub(crate) fn rejected(&self) -> u16 {
        self.rejected.load(Ordering::SeqCst)
    }

    /// Returns the number of webhooks with an invalid signature.
    pub(crate) fn unverified(&self) -> u16 {
        self.unverified.load(Ordering::SeqCst)
    }
}

async fn verify(request: Request<Incoming>) -> Option<Received> {
    let (head, body) = request.into_parts();
    let header = |name: &str| head.headers.get(name)?.to_str().ok().map(str::to_string);
    let id = header(webhook::ID)?;
    let (timestamp, signature) = (header(webhook::TIMESTAMP)?, header(webhook::SIGNATURE)?);
    let body = body.collect().await.ok()?.to_bytes();
    let headers = SignatureHeaders { id: &id, timestamp: &timestamp, signature: &signature };
    Secret::parse(SECRET).ok()?.verify(headers, &body, walltime::now()).ok()?;
    Some(Received { body: serde_json::from_slice(&body).ok()?, id })
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
