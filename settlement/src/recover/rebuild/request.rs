//! Asking for a rebuild: what proves that a sale's Redis state is not what Postgres has, and the word to
//! whoever owns its partition. The request names the epoch that the proof is about, and is a
//! compare-and-set: proof of an epoch that has ended meanwhile asks for nothing.
//!
//! | reason            | why it is proof                                                                  |
//! |-------------------|----------------------------------------------------------------------------------|
//! | `gateway_lost`    | a gateway found one of the next two, and says so in its heartbeat                |
//! | `no_script`       | an epoch is ready only after its scripts were loaded, and nothing takes scripts from a server but a restart, a failover or SCRIPT FLUSH |
//! | `lost`            | the script itself compared: the mark of its rebuild, or the replication id of its server, is another |
//! | `state_missing`   | the stock hash holds `:next` from before the epoch is ready until a newer epoch has begun |
//! | `watermark_ahead` | Redis has applied a release that Postgres, which decides, does not know           |
//! | `sequence_behind` | Postgres had settled a sequence before Redis, looked at later, would give it out  |
//! | `drift`           | for a while, each comparison in which nothing was left in flight ([`crate::recover::reconcile`]) has found the same number of units too many or too few |
//!
//! Time-outs, refused connections and a Redis that is loading prove nothing, and ask for nothing.

use contract::ids::{Epoch, SaleId};
use deadpool_postgres::Client;
use lua::RedisError;
use lua::reply::Rejection;
use metrics::{Counter, counter};

use crate::recover::ready_sales::ReadySale;
use crate::store::database::DatabaseError;

/// Why a sale must be rebuilt without an operator's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the table above
pub enum Reason {
    GatewayLost,
    NoScript,
    Lost,
    StateMissing,
    WatermarkAhead,
    SequenceBehind,
    Drift,
}

impl Reason {
    /// All of them.
    const ALL: [Self; 7] = [
        Self::GatewayLost,
        Self::NoScript,
        Self::Lost,
        Self::StateMissing,
        Self::WatermarkAhead,
        Self::SequenceBehind,
        Self::Drift,
    ];

    /// The name in metrics, logs and the admin view.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GatewayLost => "gateway_lost",
            Self::NoScript => "no_script",
            Self::Lost => "lost",
            Self::StateMissing => "state_missing",
            Self::WatermarkAhead => "watermark_ahead",
            Self::SequenceBehind => "sequence_behind",
            Self::Drift => "drift",
        }
    }

    /// What the answer of any of an epoch's scripts proves.
    pub fn proven_by<T>(answer: &Result<Result<T, Rejection>, RedisError>) -> Option<Self> {
        match answer {
            Ok(Err(Rejection::Lost)) => Some(Self::Lost),
            Err(RedisError::NoScript) => Some(Self::NoScript),
            _ => None,
        }
    }
}

/// Shows the counters from the start, so that an alert has a 0 to rise from.
pub fn register() {
    Reason::ALL.into_iter().for_each(|reason| asked(reason).increment(0));
}

fn asked(reason: Reason) -> Counter {
    counter!("rebuild_requests_total", "reason" => reason.as_str())
}

/// Asks for the rebuild of what this epoch left. False: another epoch has begun, or it was asked for.
pub async fn request(
    client: &Client,
    sale: &SaleId,
    epoch: Epoch,
    reason: Reason,
) -> Result<bool, DatabaseError> {
    let update = client.prepare_cached(include_str!("../../../queries/request_rebuild.sql")).await?;
    let is_new = client.execute(&update, &[&sale.as_str(), &(epoch.0 as i64), &reason.as_str()]).await? == 1;
    if is_new {
        asked(reason).increment(1);
        tracing::error!(sale_id = %sale, epoch = epoch.0, reason = reason.as_str(), "this sale must be rebuilt");
    }
    Ok(is_new)
}

/// Asks for a rebuild where a script's answer proves the need of it.
pub async fn request_if_lost<T>(
    pool: &deadpool_postgres::Pool,
    sale: &ReadySale,
    answer: &Result<Result<T, Rejection>, RedisError>,
) -> Result<(), DatabaseError> {
    if let Some(reason) = Reason::proven_by(answer) {
        request(&pool.get().await?, &sale.sale, sale.epoch, reason).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_answer_of_redis_itself_proves_that_a_state_is_lost() {
        let of = |answer: Result<Result<(), Rejection>, RedisError>| Reason::proven_by(&answer);
        assert_eq!(of(Err(RedisError::NoScript)), Some(Reason::NoScript));
        assert_eq!(of(Ok(Err(Rejection::Lost))), Some(Reason::Lost));
        assert_eq!(of(Ok(Ok(()))), None);
        assert_eq!(of(Ok(Err(Rejection::Late))), None);
        assert_eq!(of(Err(RedisError::Refused("LOADING".into()))), None);
        assert_eq!(of(Err(RedisError::Unknown("timed out".into()))), None);
    }
}
