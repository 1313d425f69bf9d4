//! Checks every second that Postgres and Redis respond, independently of the tasks that use them.

use std::time::Duration;

use process::health::Health;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::store::database::DatabaseError;

const EVERY: Duration = Duration::from_secs(1);
/// A service that does not respond within this time is down.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Checks Postgres until the process stops.
pub async fn check_postgres(Context { pool, health, stop, .. }: Context) {
    let check = || async {
        let client = pool.get().await?;
        client.simple_query("SELECT 1").await?;
        Ok::<_, DatabaseError>(())
    };
    check_every_second("postgres", &health, &stop, check).await;
}

/// Checks Redis until the process stops.
pub async fn check_redis(Context { redis, health, stop, .. }: Context) {
    check_every_second("redis", &health, &stop, || redis.command::<String>("PING", vec![])).await;
}

async fn check_every_second<T, E, F>(
    name: &'static str,
    health: &Health,
    stop: &CancellationToken,
    check: impl Fn() -> F,
) where
    E: std::fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match tokio::time::timeout(TIMEOUT, check()).await {
            Ok(result) => health.report(name, &result),
            Err(_) => health.mark_down(name, "the service did not respond in time"),
        }
    }
}
