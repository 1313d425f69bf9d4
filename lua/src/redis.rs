//! The connection to Redis. The client library stays behind this module: it must not repeat a command
//! after a reconnect, must not queue while disconnected, and its errors must be sorted by the one
//! question that matters here: may the script have run?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface, LuaInterface};
use fred::types::config::{Config, ReconnectError, TcpConfig, UnresponsiveConfig};
use fred::types::{Builder, ClusterHash, CustomCommand, Value};

/// Longest pause between two attempts to reconnect.
const RECONNECT_DELAY_MS_MAX: u32 = 500;
/// Added to a script's time-out before the client gives up: by then the deadline has passed in Redis.
const ANSWER_MARGIN: Duration = Duration::from_millis(50);

/// What a failed call means.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RedisError {
    /// NOSCRIPT: this server was never given the epoch's scripts, or has forgotten them.
    #[error("Redis does not know the script")]
    NoScript,
    /// Nothing was done: not connected, loading, read-only, out of memory, …
    #[error("Redis refused: {0}")]
    Refused(String),
    /// The command may have been carried out.
    #[error("the outcome is not known: {0}")]
    Unknown(String),
    /// The reply was not what the script's contract says.
    #[error("unexpected reply from {0}")]
    UnexpectedReply(&'static str),
}

impl RedisError {
    /// Whether it is certain that nothing was written.
    pub fn nothing_done(&self) -> bool {
        matches!(self, Self::NoScript | Self::Refused(_))
    }
}

impl From<Error> for RedisError {
    fn from(error: Error) -> Self {
        // A server's error begins with its code. Only these tell that the script did not start.
        const NOT_STARTED: [&str; 11] = [
            "OOM",
            "LOADING",
            "READONLY",
            "MISCONF",
            "MASTERDOWN",
            "CLUSTERDOWN",
            "MOVED",
            "ASK",
            "TRYAGAIN",
            "NOREPLICAS",
            "BUSY",
        ];
        let details = error.details();
        let code = details.split(' ').next().unwrap_or_default();
        if code == "NOSCRIPT" {
            Self::NoScript
        } else if NOT_STARTED.contains(&code)
            || matches!(error.kind(), ErrorKind::Backpressure | ErrorKind::Routing)
        {
            Self::Refused(details.to_string())
        } else {
            Self::Unknown(error.to_string())
        }
    }
}

/// One connection to the Redis that holds the stock.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    timeout: Duration,
    clock: Arc<Clock>,
}

/// Redis TIME as last seen on this connection, to compute deadlines by. 0: not seen yet.
struct Clock {
    started: Instant,
    /// Redis TIME minus local time, both in milliseconds; offset by one so that 0 means unknown.
    ahead_ms: AtomicU64,
}

impl Clock {
    fn local_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
    fn forget(&self) {
        self.ahead_ms.store(0, Ordering::Relaxed);
    }
    /// `redis_ms` was read before now, so the estimate is never later than the truth.
    fn saw(&self, redis_ms: u64) {
        self.ahead_ms.store(redis_ms.saturating_sub(self.local_ms()) + 1, Ordering::Relaxed);
    }
    fn now(&self) -> Option<u64> {
        match self.ahead_ms.load(Ordering::Relaxed) {
            0 => None,
            ahead => Some(ahead - 1 + self.local_ms()),
        }
    }
}

/// A time that a caller may wait for, and the moment in Redis TIME after which scripts write nothing.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// For the script.
    pub redis_ms: u64,
}

impl Redis {
    /// Starts connecting in the background, for ever. `timeout`: how long a call may take.
    pub fn connect(url: &str, timeout: Duration) -> Result<Self, RedisError> {
        Self::build(url, timeout, true)
    }

    /// Connects once and never again: whatever is written through it was written on one connection.
    pub async fn connect_once(url: &str, timeout: Duration) -> Result<Self, RedisError> {
        let redis = Self::build(url, timeout, false)?;
        let connected = async { redis.client.wait_for_connect().await };
        tokio::time::timeout(timeout, connected)
            .await
            .map_err(|_| RedisError::Refused("no connection in time".into()))??;
        Ok(redis)
    }

    fn build(url: &str, timeout: Duration, reconnect: bool) -> Result<Self, RedisError> {
        let config = Config::from_url(url).map_err(|e| RedisError::Refused(e.to_string()))?;
        let mut builder = Builder::from_config(config);
        builder
            .with_connection_config(|connection| {
                connection.max_command_attempts = 1; // a script must not run twice by itself
                connection.max_command_buffer_len = 0;
                connection.connection_timeout = Duration::from_secs(2);
                connection.internal_command_timeout = Duration::from_secs(2);
                connection.auto_client_setname = false;
                connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
                connection.unresponsive = UnresponsiveConfig {
                    max_timeout: Some(Duration::from_secs(3)),
                    interval: Duration::from_millis(500),
                };
                // A former primary that became a replica: look for the new one.
                connection.reconnect_errors = vec![ReconnectError::ReadOnly];
            })
            .with_performance_config(|performance| {
                performance.default_command_timeout = timeout + ANSWER_MARGIN
            });
        if reconnect {
            builder.set_policy(fred::types::config::ReconnectPolicy::new_exponential(
                0,
                50,
                RECONNECT_DELAY_MS_MAX,
                2,
            ));
        }
        let client = builder.build().map_err(RedisError::from)?;
        let clock = Arc::new(Clock { started: Instant::now(), ahead_ms: AtomicU64::new(0) });
        // A new connection may lead to another server, with another clock.
        let forgetting = clock.clone();
        drop(client.on_reconnect(move |_| {
            forgetting.forget();
            async { Ok(()) }
        }));
        drop(client.connect());
        Ok(Self { client, timeout, clock })
    }

    /// Whether there is a connection now.
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// How long a call may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Ends the connection. A server that hangs is not waited for longer than for an answer.
    pub async fn quit(&self) {
        let _ = tokio::time::timeout(self.timeout, self.client.quit()).await; // it is gone either way
    }

    /// Redis TIME, estimated from the last reply; never later than the truth.
    pub fn now_ms(&self) -> Option<u64> {
        self.clock.now()
    }

    /// A reply carried Redis TIME.
    pub(crate) fn observe_time(&self, redis_ms: u64) {
        self.clock.saw(redis_ms);
    }

    /// The moment in Redis TIME by which a script that is sent now must have begun. A new connection
    /// asks for the time first.
    pub async fn deadline(&self) -> Result<Deadline, RedisError> {
        let now = match self.clock.now() {
            Some(now) => now,
            None => {
                let (seconds, micros): (u64, u64) = self.command("TIME", vec![]).await?;
                self.clock.saw(seconds * 1000 + micros / 1000);
                seconds * 1000 + micros / 1000
            }
        };
        Ok(Deadline { redis_ms: now + self.timeout.as_millis() as u64 })
    }

    /// Runs a loaded script. One attempt.
    pub async fn evalsha(
        &self,
        digest: &str,
        keys: Vec<&str>,
        args: Vec<Bytes>,
    ) -> Result<Bytes, RedisError> {
        self.require_connection()?;
        let args: Vec<Value> = args.into_iter().map(Value::Bytes).collect();
        let reply = self.client.evalsha::<Bytes, _, _, _>(digest, keys, args).await;
        reply.map_err(|error| self.failed(error))
    }

    /// Runs a script by its text.
    pub async fn eval(&self, text: &str, keys: Vec<&str>, args: Vec<Bytes>) -> Result<Bytes, RedisError> {
        self.require_connection()?;
        let args: Vec<Value> = args.into_iter().map(Value::Bytes).collect();
        self.client.eval::<Bytes, _, _, _>(text, keys, args).await.map_err(|error| self.failed(error))
    }

    /// Gives the server a script.
    pub async fn load(&self, text: &str) -> Result<(), RedisError> {
        self.require_connection()?;
        self.client.script_load::<String, _>(text).await.map(drop).map_err(|error| self.failed(error))
    }

    /// Any other command; the first argument, if any, is its key.
    pub async fn command<T: fred::types::FromValue>(
        &self,
        name: &'static str,
        args: Vec<Bytes>,
    ) -> Result<T, RedisError> {
        self.require_connection()?;
        let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
        let args: Vec<Value> = args.into_iter().map(Value::Bytes).collect();
        self.client.custom::<T, _>(command, args).await.map_err(|error| self.failed(error))
    }

    fn require_connection(&self) -> Result<(), RedisError> {
        if self.is_connected() { Ok(()) } else { Err(RedisError::Refused("not connected".into())) }
    }

    /// After any failure the next call asks for the time again.
    fn failed(&self, error: Error) -> RedisError {
        self.clock.forget();
        RedisError::from(error)
    }
}
