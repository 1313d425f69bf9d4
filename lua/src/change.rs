//! `change.lua`: new totals, checked against what is free.

use bytes::Bytes;
use contract::ids::Sku;
use contract::keys::SaleKeys;
use contract::record::{OutboxId, TotalsChange};

use crate::redis::{Deadline, Redis, RedisError};
use crate::reply::{Reader, Void};

/// What the script made of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// Recorded in the outbox; Postgres has the last word.
    Recorded(OutboxId),
    /// The totals were so already.
    Already {
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
pub async fn change(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    deadline: Deadline,
    change: &TotalsChange,
) -> Result<Result<Changed, Void>, RedisError> {
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
    let mut reader = Reader::new(&reply, "change");
    let code = match reader.begin(redis)? {
        Ok((code, _)) => code,
        Err(void) => return Ok(Err(void)),
    };
    let text = |reader: &Reader<'_>| String::from_utf8_lossy(reader.rest()).into_owned();
    Ok(match code {
        b'K' => Ok(Changed::Recorded(OutboxId::parse(&text(&reader)).ok_or_else(|| reader.unexpected())?)),
        b'Q' => Ok(Changed::Already { settled: true }),
        b'W' => Ok(Changed::Already { settled: false }),
        b'B' => Ok(Changed::Busy),
        b'I' => {
            let free = reader.number(6)?;
            Ok(Changed::InUse { sku: Sku::parse(&text(&reader)).map_err(|_| reader.unexpected())?, free })
        }
        _ => return Err(reader.unexpected()),
    })
}
