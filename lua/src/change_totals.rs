//! `change.lua`: new totals, checked against what is free.

use bytes::Bytes;
use contract::ids::Sku;
use contract::keys::SaleKeys;
use contract::record::{OutboxId, TotalsChange};

use crate::redis::{Deadline, Redis, RedisError};
use crate::reply::{Rejection, ReplyReader};

/// What the script made of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// Recorded in the outbox; Postgres has the last word.
    Recorded(OutboxId),
    /// The totals were so already.
    Unchanged {
        /// Postgres has them too.
        settled: bool,
    },
    /// An earlier change is not settled.
    Busy,
    /// Too few units are free.
    InUse {
        /// Of which SKU.
        sku: Sku,
        /// What is free of it.
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
    // A struct of names and integers always serializes.
    let payload = serde_json::to_vec(change).unwrap_or_default();
    let mut args = vec![
        Bytes::from(deadline.redis_ms.to_string()),
        Bytes::from(change.change_id.to_string()),
        Bytes::from(payload),
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
