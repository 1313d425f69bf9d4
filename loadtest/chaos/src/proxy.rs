//! Toxiproxy between the programs and the services: connections are cut, and what flows is held back or
//! swallowed. Each program has proxies of its own, so that two of them can see two different worlds.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use customers::http::{Authority, Connection};

/// Longest wait for an answer of its API.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Which way data flows.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    /// From the program to the service.
    Up,
    /// From the service to the program.
    Down,
}

/// The API of one Toxiproxy.
#[derive(Debug, Clone)]
pub struct Proxies(Authority);

impl Proxies {
    /// At an address.
    pub fn at(address: SocketAddr) -> Self {
        Self(Authority { host: address.to_string(), address })
    }

    /// Whether it answers.
    pub async fn answer(&self) -> bool {
        self.call("GET", "/version", None).await.is_ok()
    }

    /// A new proxy.
    pub async fn create(&self, name: &str, listen: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
        let body = json!({"name": name, "listen": listen.to_string(), "upstream": upstream.to_string()});
        self.call("POST", "/proxies", Some(body)).await
    }

    /// Leads somewhere else from now on; what was connected is cut.
    pub async fn lead(&self, name: &str, upstream: SocketAddr) -> anyhow::Result<()> {
        self.call("POST", &format!("/proxies/{name}"), Some(json!({"upstream": upstream.to_string()}))).await
    }

    /// Cuts all connections and accepts no new one.
    pub async fn cut(&self, name: &str) -> anyhow::Result<()> {
        self.call("POST", &format!("/proxies/{name}"), Some(json!({"enabled": false}))).await
    }

    /// Accepts connections again.
    pub async fn mend(&self, name: &str) -> anyhow::Result<()> {
        self.call("POST", &format!("/proxies/{name}"), Some(json!({"enabled": true}))).await
    }

    /// Swallows everything that flows this way, on connections that stay open.
    pub async fn swallow(&self, name: &str, way: Way) -> anyhow::Result<()> {
        self.toxic(name, "swallow", "timeout", way, json!({"timeout": 0})).await
    }

    /// Lets everything that flows this way arrive later.
    pub async fn delay(
        &self,
        name: &str,
        way: Way,
        latency: Duration,
        jitter: Duration,
    ) -> anyhow::Result<()> {
        let attributes = json!({"latency": latency.as_millis(), "jitter": jitter.as_millis()});
        self.toxic(name, "delay", "latency", way, attributes).await
    }

    /// Everything flows again, everywhere.
    pub async fn reset(&self) -> anyhow::Result<()> {
        self.call("POST", "/reset", Some(json!({}))).await
    }

    async fn toxic(
        &self,
        proxy: &str,
        name: &str,
        kind: &str,
        way: Way,
        attributes: Value,
    ) -> anyhow::Result<()> {
        let stream = match way {
            Way::Up => "upstream",
            Way::Down => "downstream",
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
        let answered = async {
            let mut connection = Connection::open(self.0.address).await?;
            let head = connection.call(request.as_bytes()).await?;
            std::io::Result::Ok((head.status, String::from_utf8_lossy(connection.body()).into_owned()))
        };
        let answered = tokio::time::timeout(ANSWER_LIMIT, answered).await;
        let (status, text) = answered
            .with_context(|| format!("toxiproxy did not answer {method} {path}"))?
            .with_context(|| format!("toxiproxy: {method} {path}"))?;
        anyhow::ensure!((200..300).contains(&status), "toxiproxy: {method} {path}: {status} {text}");
        Ok(())
    }
}
