//! Requests for a rebuild, with the proof that the state of a sale in Redis differs from Postgres. The owner of the
//! partition carries them out. A request names the epoch of its proof, and is a compare-and-set: proof about an epoch
//! that has ended since requests nothing.
//!
//! | reason            | why it is proof                                                                  |
//! |-------------------|----------------------------------------------------------------------------------|
//! | `gateway_lost`    | a gateway has detected one of the next two, and its heartbeat reports it         |
//! | `no_script`       | an epoch is ready only after its scripts were loaded, and a server loses them only by a restart, a failover or SCRIPT FLUSH |
//! | `lost`            | the script itself has compared the mark of its rebuild and the replication id of its server: one differs |
//! | `state_missing`   | the stock hash contains `:next` from before the epoch is ready until a newer epoch has begun |
//! | `watermark_ahead` | Redis has applied a release that Postgres, which decides releases, does not have  |
//! | `sequence_behind` | Postgres had settled a sequence that Redis, when read later, would assign again   |
//! | `drift`           | for a while, each comparison with nothing in flight ([`crate::recover::reconcile`]) has found the same surplus or deficit of units |
//! | `restored`        | the topic `sales` has published a later epoch or version than Postgres stores     |
//!
//! Timeouts, refused connections and a Redis that is loading prove nothing, and request nothing.

use contract::ids::{Epoch, SaleId};
use deadpool_postgres::Client;
use lua::RedisError;
use lua::reply::Rejection;

use crate::queries::RequestRebuild;
use crate::recover::ready_sales::ReadySale;
use crate::store::database::DatabaseError;

process::metrics! {
    static REQUESTS: Counter["reason"] = "rebuild_requests_total", "Requests for a rebuild, by the proof that it is needed.",
        zero = Reason::ALL.map(|reason| [reason.as_str()]);
}

/// The reason why a sale must be rebuilt without an operator's request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the table above explains each reason
pub enum Reason {
    GatewayLost,
    NoScript,
    Lost,
    StateMissing,
    WatermarkAhead,
    SequenceBehind,
    Drift,
    Restored,
}

impl Reason {
    /// All reasons, in the order of the table.
    const ALL: [Self; 8] = [
        Self::GatewayLost,
        Self::NoScript,
        Self::Lost,
        Self::StateMissing,
        Self::WatermarkAhead,
        Self::SequenceBehind,
        Self::Drift,
        Self::Restored,
    ];

    /// Counts a request.
    pub fn count(self) {
        REQUESTS.with([self.as_str()]).increment(1);
    }

    /// Returns the name in metrics, logs and the admin view.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GatewayLost => "gateway_lost",
            Self::NoScript => "no_script",
            Self::Lost => "lost",
            Self::StateMissing => "state_missing",
            Self::WatermarkAhead => "watermark_ahead",
            Self::SequenceBehind => "sequence_behind",
            Self::Drift => "drift",
            Self::Restored => "restored",
        }
    }

    /// Returns what the response of a script of the epoch proves, if anything.
    pub fn proven_by<T>(response: &Result<Result<T, Rejection>, RedisError>) -> Option<Self> {
        match response {
            Ok(Err(Rejection::Lost)) => Some(Self::Lost),
            Err(RedisError::NoScript) => Some(Self::NoScript),
            _ => None,
        }
    }
}

/// Requests a rebuild of this epoch's state. Returns false if another epoch has begun, or if the rebuild is already
/// requested.
pub async fn request(
    client: &Client,
    sale: &SaleId,
    epoch: Epoch,
    reason: Reason,
) -> Result<bool, DatabaseError> {
    let is_new = RequestRebuild { sale_id: sale, epoch, reason: reason.as_str() }.execute(client).await? == 1;
    if is_new {
        reason.count();
        tracing::error!(sale_id = %sale, epoch = epoch.0, reason = reason.as_str(), "requested a rebuild of the sale");
    }
    Ok(is_new)
}

/// Requests a rebuild if the response of a script proves that the state is lost.
pub async fn request_if_lost<T>(
    pool: &deadpool_postgres::Pool,
    sale: &ReadySale,
    response: &Result<Result<T, Rejection>, RedisError>,
) -> Result<(), DatabaseError> {
    if let Some(reason) = Reason::proven_by(response) {
        request(&pool.get().await?, &sale.sale, sale.epoch, reason).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_response_of_redis_itself_proves_that_a_state_is_lost() {
        let proof = |response: Result<Result<(), Rejection>, RedisError>| Reason::proven_by(&response);
        assert_eq!(proof(Err(RedisError::NoScript)), Some(Reason::NoScript));
        assert_eq!(proof(Ok(Err(Rejection::Lost))), Some(Reason::Lost));
        assert_eq!(proof(Ok(Ok(()))), None);
        assert_eq!(proof(Ok(Err(Rejection::Late))), None);
        assert_eq!(proof(Err(RedisError::Refused("LOADING".into()))), None);
        assert_eq!(proof(Err(RedisError::Unknown("timed out".into()))), None);
    }
}
