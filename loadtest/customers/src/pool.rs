//! Connections to one gateway, shared by all the customers of a burst.
//!
//! A bound on connections is a bound on what the load may have in flight; a customer who finds none
//! free waits, and the wait counts as latency, because it is counted from the intended time of sending.

use std::io;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::http::{Authority, Connection, Head};

/// A bounded set of keep-alive connections to one address.
#[derive(Debug)]
pub struct Pool {
    authority: Authority,
    idle: Mutex<Vec<Connection>>,
    room: Semaphore,
}

/// An answer with its body, for callers that look into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Status and headers.
    pub head: Head,
    /// The body.
    pub body: Vec<u8>,
}

impl Pool {
    /// At most `connections_max` at once; opened when they are needed.
    pub fn new(authority: Authority, connections_max: usize) -> Self {
        Self { authority, idle: Mutex::new(Vec::new()), room: Semaphore::new(connections_max) }
    }

    /// The `Host` header's value.
    pub fn host(&self) -> &str {
        &self.authority.host
    }

    /// Opens connections before the load begins, so that no customer pays for it.
    pub async fn warm_up(&self, connections: usize) -> io::Result<()> {
        for _ in 0..connections {
            let connection = Connection::open(self.authority.address).await?;
            self.put_back(connection);
        }
        Ok(())
    }

    /// Sends one request and reads its answer. An error means that the outcome is unknown. A
    /// connection that the server ended while it was idle fails at the first byte; since nobody can
    /// tell that from a lost answer, it is reported like one.
    pub async fn call(&self, request: &[u8]) -> io::Result<Answered> {
        let _room = self.enter().await?;
        let mut connection = self.take().await?;
        let head = connection.call(request).await?;
        let body = connection.body().to_vec();
        if !head.close {
            self.put_back(connection);
        }
        Ok(Answered { head, body })
    }

    /// Sends a request and hangs up at once.
    pub async fn send_and_hang_up(&self, request: &[u8]) -> io::Result<()> {
        let _room = self.enter().await?;
        let mut connection = self.take().await?;
        connection.send(request).await
    }

    async fn enter(&self) -> io::Result<SemaphorePermit<'_>> {
        self.room.acquire().await.map_err(io::Error::other)
    }

    async fn take(&self) -> io::Result<Connection> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => Connection::open(self.authority.address).await,
        }
    }

    fn put_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

/// One pool a gateway, with some connections open already.
pub async fn open_all(
    gateways: Vec<Authority>,
    connections: usize,
    warm: usize,
) -> anyhow::Result<Vec<Pool>> {
    let mut pools = Vec::with_capacity(gateways.len());
    for gateway in gateways {
        let pool = Pool::new(gateway, connections);
        pool.warm_up(warm.min(connections))
            .await
            .with_context(|| format!("connecting to {}", pool.host()))?;
        pools.push(pool);
    }
    Ok(pools)
}
