//! `change_totals.lua`: sets new totals, checked against the available units.

use bytes::Bytes;
use contract::ids::Sku;
use contract::keys::SaleKeys;
use contract::record::{OutboxId, TotalsChange};
use contract::wire;

use crate::redis::{Deadline, Redis, RedisError};
use crate::reply::{Rejection, ReplyReader};

/// The script's decision on a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// The change is recorded in the outbox. It takes effect when settlement applies it in Postgres.
    Recorded(OutboxId),
    /// The totals have these values already.
    Unchanged {
        /// Whether Postgres has them, too.
        settled: bool,
    },
    /// An earlier change is not settled yet.
    Busy,
    /// Too few units are available to lower the total.
    InUse {
        /// The SKU of the item.
        sku: Sku,
        /// The number of available units.
        free: u64,
    },
}

/// Calls the script.
pub async fn change_totals(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    deadline: Deadline,
    change: &TotalsChange,
) -> Result<Result<ChangeOutcome, Rejection>, RedisError> {
    let mut args = vec![
        Bytes::from(deadline.redis_ms.to_string()),
        Bytes::from(change.change_id.to_string()),
        wire::encode(change),
    ];
    for item in &change.items {
        args.push(Bytes::copy_from_slice(item.sku.as_str().as_bytes()));
        args.push(Bytes::from(item.total.to_string()));
    }
    let reply = redis.evalsha(digest, vec![&keys.stock, &keys.outbox], args).await?;
    let mut reader = ReplyReader::new(&reply, "change_totals");
    let code = match reader.begin(redis)? {
        Ok((code, _)) => code,
        Err(rejection) => return Ok(Err(rejection)),
    };
    let text = |reader: &ReplyReader<'_>| String::from_utf8_lossy(reader.rest()).into_owned();
    Ok(match code {
        b'K' => {
            Ok(ChangeOutcome::Recorded(OutboxId::parse(&text(&reader)).ok_or_else(|| reader.unexpected())?))
        }
        b'Q' => Ok(ChangeOutcome::Unchanged { settled: true }),
        b'W' => Ok(ChangeOutcome::Unchanged { settled: false }),
        b'B' => Ok(ChangeOutcome::Busy),
        b'I' => {
            let free = reader.number(6)?;
            Ok(ChangeOutcome::InUse {
                sku: Sku::parse(&text(&reader)).map_err(|_| reader.unexpected())?,
                free,
            })
        }
        _ => return Err(reader.unexpected()),
    })
}
