//! The connection to Redis. Only this module uses the client library, which must neither retry a command after a
//! reconnect nor queue commands while disconnected. Its errors are classified by the question that matters to
//! callers: may the script have run?

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::{ClientLike, EventInterface, LuaInterface};
use fred::types::config::{Config, ReconnectError, TcpConfig, UnresponsiveConfig};
use fred::types::{Builder, ClusterHash, CustomCommand, Value};

/// The maximum delay between two attempts to reconnect.
const RECONNECT_DELAY_MS_MAX: u32 = 500;
/// The margin that is added to a script's timeout before the client gives up, so that the deadline has passed in
/// Redis by then.
const REPLY_MARGIN: Duration = Duration::from_millis(50);

/// The error of a failed call.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RedisError {
    /// NOSCRIPT: the epoch's scripts were never loaded into this server, or it has lost them.
    #[error("Redis does not know the script")]
    NoScript,
    /// The command was not executed, because Redis is not connected, loading, read-only or out of memory.
    #[error("Redis refused: {0}")]
    Refused(String),
    /// The command may have been executed.
    #[error("the outcome is not known: {0}")]
    Unknown(String),
    /// The reply violates the script's contract.
    #[error("unexpected reply from {0}")]
    UnexpectedReply(&'static str),
}

impl RedisError {
    /// Returns whether it is certain that nothing was written.
    pub fn nothing_done(&self) -> bool {
        matches!(self, Self::NoScript | Self::Refused(_))
    }
}

impl From<Error> for RedisError {
    fn from(error: Error) -> Self {
        // A server error begins with its code. These codes mean that the script did not start.
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

/// A connection to the Redis server that holds the stock.
#[derive(Clone)]
pub struct Redis {
    client: Client,
    timeout: Duration,
    clock: Arc<Clock>,
}

/// An estimate of Redis TIME, from the last reply on this connection. Deadlines are computed with it.
struct Clock {
    started: Instant,
    /// Redis TIME minus local time, both in milliseconds, plus one; 0 means unknown.
    ahead_ms: AtomicU64,
}

impl Clock {
    fn local_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }
    fn reset(&self) {
        self.ahead_ms.store(0, Ordering::Relaxed);
    }
    /// Records a time that was read from Redis. It was read before now, so the estimate is never ahead of Redis TIME.
    fn observe(&self, redis_ms: u64) {
        self.ahead_ms.store(redis_ms.saturating_sub(self.local_ms()) + 1, Ordering::Relaxed);
    }
    fn now(&self) -> Option<u64> {
        match self.ahead_ms.load(Ordering::Relaxed) {
            0 => None,
            ahead => Some(ahead - 1 + self.local_ms()),
        }
    }
}

/// The deadline of a script, after which it writes nothing.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// The deadline in Redis TIME, in milliseconds.
    pub redis_ms: u64,
}

impl Redis {
    /// Connects in the background, and reconnects indefinitely. `timeout` is the limit of a call.
    pub fn connect(url: &str, timeout: Duration) -> Result<Self, RedisError> {
        Self::build(url, timeout, true)
    }

    /// Connects once, without reconnecting, so that all writes go through the same connection.
    pub async fn connect_once(url: &str, timeout: Duration) -> Result<Self, RedisError> {
        let redis = Self::build(url, timeout, false)?;
        let connected = async { redis.client.wait_for_connect().await };
        tokio::time::timeout(timeout, connected)
            .await
            .map_err(|_| RedisError::Refused("the connection was not established in time".into()))??;
        Ok(redis)
    }

    fn build(url: &str, timeout: Duration, reconnect: bool) -> Result<Self, RedisError> {
        let config = Config::from_url(url).map_err(|e| RedisError::Refused(e.to_string()))?;
        let mut builder = Builder::from_config(config);
        builder
            .with_connection_config(|connection| {
                connection.max_command_attempts = 1; // the client must not retry a script
                connection.max_command_buffer_len = 0;
                connection.connection_timeout = Duration::from_secs(2);
                connection.internal_command_timeout = Duration::from_secs(2);
                connection.auto_client_setname = false;
                connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
                connection.unresponsive = UnresponsiveConfig {
                    max_timeout: Some(Duration::from_secs(3)),
                    interval: Duration::from_millis(500),
                };
                // Reconnect to the new primary when the server has become a replica.
                connection.reconnect_errors = vec![ReconnectError::ReadOnly];
            })
            .with_performance_config(|performance| {
                performance.default_command_timeout = timeout + REPLY_MARGIN
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
        // A new connection may reach another server, with another clock.
        let reset_clock = clock.clone();
        drop(client.on_reconnect(move |_| {
            reset_clock.reset();
            async { Ok(()) }
        }));
        drop(client.connect());
        Ok(Self { client, timeout, clock })
    }

    /// Returns whether the client is connected.
    pub fn is_connected(&self) -> bool {
        self.client.is_connected()
    }

    /// Returns the limit of a call.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Closes the connection. It waits for an unresponsive server no longer than for a reply.
    pub async fn quit(&self) {
        let _ = tokio::time::timeout(self.timeout, self.client.quit()).await; // the connection ends in either case
    }

    /// Returns an estimate of Redis TIME from the last reply. It is never ahead of Redis TIME.
    pub fn now_ms(&self) -> Option<u64> {
        self.clock.now()
    }

    /// Records Redis TIME from a reply.
    pub(crate) fn observe_time(&self, redis_ms: u64) {
        self.clock.observe(redis_ms);
    }

    /// Returns the time by which a script that is sent now must have started. A new connection reads Redis TIME first.
    pub async fn deadline(&self) -> Result<Deadline, RedisError> {
        let now = match self.clock.now() {
            Some(now) => now,
            None => {
                let (seconds, micros): (u64, u64) = self.command("TIME", vec![]).await?;
                self.clock.observe(seconds * 1000 + micros / 1000);
                seconds * 1000 + micros / 1000
            }
        };
        Ok(Deadline { redis_ms: now + self.timeout.as_millis() as u64 })
    }

    /// Runs a loaded script, in a single attempt.
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

    /// Runs a script from its text.
    pub async fn eval(&self, text: &str, keys: Vec<&str>, args: Vec<Bytes>) -> Result<Bytes, RedisError> {
        self.require_connection()?;
        let args: Vec<Value> = args.into_iter().map(Value::Bytes).collect();
        self.client.eval::<Bytes, _, _, _>(text, keys, args).await.map_err(|error| self.failed(error))
    }

    /// Loads a script into the server.
    pub async fn load(&self, text: &str) -> Result<(), RedisError> {
        self.require_connection()?;
        self.client.script_load::<String, _>(text).await.map(drop).map_err(|error| self.failed(error))
    }

    /// Runs any other command. The first argument, if any, is its key.
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

    /// Checks that the server responds.
    pub async fn ping(&self) -> Result<(), RedisError> {
        self.command::<String>("PING", vec![]).await.map(drop)
    }

    fn require_connection(&self) -> Result<(), RedisError> {
        if self.is_connected() { Ok(()) } else { Err(RedisError::Refused("not connected".into())) }
    }

    /// Converts an error. After any failure, the next call reads Redis TIME again.
    fn failed(&self, error: Error) -> RedisError {
        self.clock.reset();
        RedisError::from(error)
    }
}
