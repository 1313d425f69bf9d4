//! Checks the dependencies for readiness, once in a while. Kafka and the lease are reported by the lease's renewal.

use std::time::Duration;

use deadpool_postgres::Pool;
use lua::Redis;
use process::health::Health;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::order::backpressure;
use crate::state::Gateway;

/// The pause between two checks.
const INTERVAL: Duration = Duration::from_millis(500);
/// A dependency that takes longer to respond counts as down.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Checks until `stop`. A dependency that hangs does not delay the checks of the others.
pub async fn check_until_stopped(gateway: &Gateway, stop: CancellationToken) {
    let health = &gateway.health;
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        tokio::join!(
            report(health, "redis", ping_redis(&gateway.redis)),
            report(health, "postgres", ping_postgres(&gateway.read_pool)),
        );
        let settlement = backpressure::check_settlement(&gateway.leases.load(), gateway.lag_max);
        health.report("settlement", &settlement);
    }
}

async fn report(health: &Health, name: &'static str, check: impl Future<Output = Result<(), String>>) {
    let result = timeout(TIMEOUT, check).await;
    health.report(name, &result.unwrap_or_else(|_| Err("no response in time".into())));
}

async fn ping_redis(redis: &Redis) -> Result<(), String> {
    let pong = redis.command::<String>("PING", vec![]).await;
    pong.map(drop).map_err(|error| error.to_string())
}

async fn ping_postgres(pool: &Pool) -> Result<(), String> {
    let client = pool.get().await.map_err(|error| error.to_string())?;
    client.simple_query("SELECT 1").await.map(drop).map_err(|error| error.to_string())
}
