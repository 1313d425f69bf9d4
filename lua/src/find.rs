//! `find.lua`: an order that Postgres does not have yet.

use bytes::Bytes;
use contract::keys::SaleKeys;
use contract::remembered::{self, Remembered};

use crate::redis::{Redis, RedisError};
use crate::reply::{Reader, Void};

/// An order as Redis remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The log has not acknowledged it: it may not be there yet.
    pub in_outbox: bool,
    /// The order.
    pub order: Remembered,
}

/// The orders remembered under a buyer field, oldest first.
pub async fn find(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    buyer_field: Vec<u8>,
) -> Result<Result<Vec<Found>, Void>, RedisError> {
    let all_keys = vec![&*keys.stock, &keys.buyers, &keys.outbox];
    let reply = redis.evalsha(digest, all_keys, vec![Bytes::from(buyer_field)]).await?;
    let mut reader = Reader::new(&reply, "find");
    match reader.begin(redis)? {
        Err(void) => Ok(Err(void)),
        Ok((b'K', _)) => {
            let found = reader.rest().chunks(1 + remembered::BYTES).map(|entry| {
                let (flag, order) = entry.split_first()?;
                Some(Found { in_outbox: *flag == b'1', order: Remembered::decode(order)? })
            });
            found.collect::<Option<Vec<_>>>().map(Ok).ok_or_else(|| reader.unexpected())
        }
        _ => Err(reader.unexpected()),
    }
}
