//! A Toxiproxy between the programs and the services: connections are closed, and data is delayed or dropped.
//! Each program has its own proxies, so that two programs can be connected to different servers.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use customers::http::{Authority, Connection};

/// The longest wait for a response of its API.
const RESPONSE_LIMIT: Duration = Duration::from_secs(5);

/// The direction of the data.
#[derive(Debug, Clone, Copy)]
pub enum Direction {
    /// Data that the program sends to the service.
    ToService,
    /// Data that the service sends to the program.
    ToProgram,
}

/// The API of one Toxiproxy.
#[derive(Debug, Clone)]
pub struct Proxies(Authority);

impl Proxies {
    /// Creates a client for an API address.
    pub fn new(address: SocketAddr) -> Self {
        Self(Authority { host: address.to_string(), address })
    }

    /// Creates a proxy.
    pub async fn create(&self, name: &str, listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
        let body = json!({"name": name, "listen": listen.to_string(), "upstream": upstream.to_string()});
        self.call("POST", "/proxies", Some(body)).await
    }

    /// Changes the upstream; existing connections are closed.
    pub async fn redirect(&self, name: &str, upstream: SocketAddr) -> anyhow::Result<()> {
        self.call("POST", &format!("/proxies/{name}"), Some(json!({"upstream": upstream.to_string()}))).await
    }

    /// Closes all connections and accepts no new ones.
    pub async fn disable(&self, name: &str) -> anyhow::Result<()> {
        self.call("POST", &format!("/proxies/{name}"), Some(json!({"enabled": false}))).await
    }

    /// Accepts connections again.
    pub async fn enable(&self, name: &str) -> anyhow::Result<()> {
        self.call("POST", &format!("/proxies/{name}"), Some(json!({"enabled": true}))).await
    }

    /// Drops all data in this direction while the connections stay open.
    pub async fn blackhole(&self, name: &str, direction: Direction) -> anyhow::Result<()> {
        self.add_toxic(name, "blackhole", "timeout", direction, json!({"timeout": 0})).await
    }

    /// Delays all data in this direction.
    pub async fn add_latency(
        &self,
        name: &str,
        direction: Direction,
        latency: Duration,
        jitter: Duration,
    ) -> anyhow::Result<()> {
        let attributes = json!({"latency": latency.as_millis(), "jitter": jitter.as_millis()});
        self.add_toxic(name, "latency", "latency", direction, attributes).await
    }

    /// Enables all proxies and removes all toxics.
    pub async fn reset(&self) -> anyhow::Result<()> {
        self.call("POST", "/reset", Some(json!({}))).await
    }

    async fn add_toxic(
        &self,
        proxy: &str,
        name: &str,
        kind: &str,
        direction: Direction,
        attributes: Value,
    ) -> anyhow::Result<()> {
        let stream = match direction {
            Direction::ToService => "upstream",
            Direction::ToProgram => "downstream",
        };
        let body =
            json!({"name": name, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes});
        self.call("POST", &format!("/proxies/{proxy}/toxics"), Some(body)).await
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> anyhow::Result<()> {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            self.0.host,
            body.len()
        );
        let call = async {
            let mut connection = Connection::open(self.0.address).await?;
            let head = connection.call(request.as_bytes()).await?;
            std::io::Result::Ok((head.status, String::from_utf8_lossy(connection.body()).into_owned()))
        };
        let response = tokio::time::timeout(RESPONSE_LIMIT, call).await;
        let (status, text) = response
            .with_context(|| format!("toxiproxy did not respond to {method} {path}"))?
            .with_context(|| format!("toxiproxy: {method} {path}"))?;
        anyhow::ensure!((200..300).contains(&status), "toxiproxy: {method} {path}: {status} {text}");
        Ok(())
    }
}
