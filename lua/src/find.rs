//! `find.lua`: an order that Postgres does not have yet.

use bytes::Bytes;
use contract::keys::SaleKeys;
use contract::remembered::{self, Remembered};

use crate::redis::{Redis, RedisError};
use crate::reply::{Reader, Void};

/// The orders remembered under a buyer field, oldest first.
pub async fn find(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    buyer_field: Vec<u8>,
) -> Result<Result<Vec<Remembered>, Void>, RedisError> {
    let reply =
        redis.evalsha(digest, vec![&keys.stock, &keys.buyers], vec![Bytes::from(buyer_field)]).await?;
    let mut reader = Reader::new(&reply, "find");
    let code = reader.code()?;
    redis.saw_time(reader.number(6)?);
    match code {
        b'L' => Ok(Err(Void::Lost)),
        b'K' => {
            let orders =
                reader.rest().chunks(remembered::BYTES).map(Remembered::decode).collect::<Option<Vec<_>>>();
            orders.map(Ok).ok_or_else(|| reader.unexpected())
        }
        _ => Err(reader.unexpected()),
    }
}
