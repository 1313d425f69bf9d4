//! A pool of connections to one gateway, shared by all customers of a burst.
//!
//! The limit on connections limits the requests in flight. A customer who finds no free connection waits, and
//! the wait counts as latency, because latency is counted from the scheduled time of sending.

use std::io;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::{Authority, Connection, Head};

/// A bounded set of keep-alive connections to one address.
#[derive(Debug)]
pub struct Pool {
    authority: Authority,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

/// A response with its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// The status and the headers.
    pub head: Head,
    /// The body of the response.
    pub body: Vec<u8>,
}

impl Pool {
    /// Creates a pool of at most `connections_max` connections, which are opened on demand.
    pub fn new(authority: Authority, connections_max: usize) -> Self {
        Self { authority, idle: Mutex::new(Vec::new()), permits: Semaphore::new(connections_max) }
    }

    /// Creates a pool for each gateway with `warm` connections already open.
    pub async fn open_all(
        gateways: Vec<Authority>,
        connections_max: usize,
        warm: usize,
    ) -> anyhow::Result<Vec<Self>> {
        let mut pools = Vec::with_capacity(gateways.len());
        for gateway in gateways {
            let pool = Self::new(gateway, connections_max);
            pool.warm_up(warm.min(connections_max))
                .await
                .with_context(|| format!("connecting to {}", pool.host()))?;
            pools.push(pool);
        }
        Ok(pools)
    }

    /// Returns the value of the `Host` header.
    pub fn host(&self) -> &str {
        &self.authority.host
    }

    /// Opens connections before the load begins, so that no customer's latency includes it.
    pub async fn warm_up(&self, connections: usize) -> io::Result<()> {
        for _ in 0..connections {
            let connection = Connection::open(self.authority.address).await?;
            self.put_back(connection);
        }
        Ok(())
    }

    /// Sends a request and reads its response. An error means that the outcome is unknown. A connection that
    /// the server closed while it was idle fails at the first byte; the client cannot distinguish this from a
    /// lost response, so it is reported as one.
    pub async fn call(&self, request: &[u8]) -> io::Result<HttpResponse> {
        let _permit = self.permit().await?;
        let mut connection = self.take().await?;
        let head = connection.call(request).await?;
        let body = connection.body().to_vec();
        if !head.close {
            self.put_back(connection);
        }
        Ok(HttpResponse { head, body })
    }

    /// Sends a request and closes the connection without reading the response.
    pub async fn send_and_hang_up(&self, request: &[u8]) -> io::Result<()> {
        let _permit = self.permit().await?;
        let mut connection = self.take().await?;
        connection.send(request).await
    }

    async fn permit(&self) -> io::Result<SemaphorePermit<'_>> {
        self.permits.acquire().await.map_err(io::Error::other)
    }

    async fn take(&self) -> io::Result<Connection> {
        let idle = self.idle.lock().pop();
        match idle {
            Some(connection) => Ok(connection),
            None => Connection::open(self.authority.address).await,
        }
    }

    fn put_back(&self, connection: Connection) {
        self.idle.lock().push(connection);
    }
}
