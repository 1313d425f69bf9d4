//! Whether the services are there, asked about every second, apart from those who use them.

use std::time::Duration;

use process::health::Health;
use tokio_util::sync::CancellationToken;

use crate::context::Context;
use crate::store::database::DatabaseError;

const EVERY: Duration = Duration::from_secs(1);
/// A service that takes longer to say hello is not there.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Asks Postgres until the process stops.
pub async fn check_postgres(Context { pool, health, stop, .. }: Context) {
    let ask = || async {
        let client = pool.get().await?;
        client.simple_query("SELECT 1").await?;
        Ok::<_, DatabaseError>(())
    };
    every_second("postgres", &health, &stop, ask).await;
}

/// Asks Redis until the process stops.
pub async fn check_redis(Context { redis, health, stop, .. }: Context) {
    every_second("redis", &health, &stop, || redis.command::<String>("PING", vec![])).await;
}

async fn every_second<T, E, F>(
    name: &'static str,
    health: &Health,
    stop: &CancellationToken,
    ask: impl Fn() -> F,
) where
    E: std::fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        match tokio::time::timeout(ANSWER_MAX, ask()).await {
            Ok(answer) => health.report(name, &answer),
            Err(_) => health.mark_down(name, "no answer in time"),
        }
    }
}
