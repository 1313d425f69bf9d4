//! `release.lua`: returns units to stock, each release exactly once.

use bytes::Bytes;
use contract::ids::{OrderId, Sku};
use contract::keys::SaleKeys;
use uuid::Uuid;

use crate::redis::{Redis, RedisError};
use crate::reply::{Rejection, ReplyReader};

/// How long returned units are announced before they can be reserved, in milliseconds: longer than a gateway
/// refuses orders from its stock cache (ARCHITECTURE.md, "Fast refusals").
pub const ANNOUNCE_MS: u64 = 300;

/// The releases of the event sequences in (after, to].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// The watermark before the release.
    pub after: u64,
    /// The watermark after the release.
    pub to: u64,
    /// The ids of changes of totals that have been settled.
    pub settled_changes: Vec<Uuid>,
    /// The units that return to stock. A SKU appears at most once.
    pub units: Vec<(Sku, u64)>,
    /// Cancelled orders, which no longer count against their customers' limits, and their
    /// [`buyer_field`](contract::keys::buyer_field)s.
    pub cancelled: Vec<(Vec<u8>, OrderId)>,
}

/// The outcome of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// The release was applied.
    Applied,
    /// The watermark in Redis is another one, given here. Nothing was written.
    OtherWatermark(u64),
}

/// Calls the script.
pub async fn release(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    release: &Release,
) -> Result<Result<ReleaseOutcome, Rejection>, RedisError> {
    let number = |n: u64| Bytes::from(n.to_string());
    let mut args = vec![
        number(release.after),
        number(release.to),
        number(ANNOUNCE_MS),
        number(release.settled_changes.len() as u64),
        number(release.units.len() as u64),
    ];
    args.extend(release.settled_changes.iter().map(|id| Bytes::from(id.to_string())));
    for (sku, units) in &release.units {
        args.push(Bytes::copy_from_slice(sku.as_str().as_bytes()));
        args.push(number(*units));
    }
    for (field, order) in &release.cancelled {
        args.push(Bytes::copy_from_slice(field));
        args.push(Bytes::copy_from_slice(order.0.as_bytes()));
    }
    let reply = redis.evalsha(digest, vec![&keys.stock, &keys.returning, &keys.buyers], args).await?;
    let mut reader = ReplyReader::new(&reply, "release");
    match reader.begin(redis)? {
        Err(rejection) => Ok(Err(rejection)),
        Ok((b'K', _)) => Ok(Ok(ReleaseOutcome::Applied)),
        Ok((b'S', _)) => Ok(Ok(ReleaseOutcome::OtherWatermark(reader.number(6)?))),
        _ => Err(reader.unexpected()),
    }
}
