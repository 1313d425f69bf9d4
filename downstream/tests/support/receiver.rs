//! A receiver of webhooks that believes only what is signed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use contract::webhook::{self, Secret, SignatureHeaders};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use process::walltime;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A webhook that was believed.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) body: Value,
}

/// A running receiver; ended with the value.
pub(crate) struct Receiver {
    address: SocketAddr,
    /// What it answers from now on.
    answers: Arc<AtomicU16>,
    received: Arc<Mutex<Vec<Received>>>,
    put_off: Arc<AtomicU16>,
    refused: Arc<AtomicU16>,
    stop: CancellationToken,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let this = Self {
            address: listener.local_addr().expect("its address"),
            answers: Arc::new(AtomicU16::new(204)),
            received: Arc::default(),
            put_off: Arc::default(),
            refused: Arc::default(),
            stop: CancellationToken::new(),
        };
        let (answers, received) = (this.answers.clone(), this.received.clone());
        let (put_off, refused) = (this.put_off.clone(), this.refused.clone());
        let handler = move |request: Request<Incoming>| {
            let (answers, received) = (answers.clone(), received.clone());
            let (put_off, refused) = (put_off.clone(), refused.clone());
            async move {
                let mut response = Response::new(Full::new(Bytes::new()));
                let status = answers.load(Ordering::SeqCst);
                match believe(request).await {
                    Some(one) if status < 300 => received.lock().expect("no panic").push(one),
                    Some(_) => _ = put_off.fetch_add(1, Ordering::SeqCst),
                    None => _ = refused.fetch_add(1, Ordering::SeqCst),
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

    pub(crate) fn answer(&self, status: u16) {
        self.answers.store(status, Ordering::SeqCst);
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().expect("no panic").clone()
    }

    /// Webhooks that were believed and not taken.
    pub(crate) fn put_off(&self) -> u16 {
        self.put_off.load(Ordering::SeqCst)
    }

    /// Webhooks whose signature was wrong.
    pub(crate) fn refused(&self) -> u16 {
        self.refused.load(Ordering::SeqCst)
    }
}

async fn believe(request: Request<Incoming>) -> Option<Received> {
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
