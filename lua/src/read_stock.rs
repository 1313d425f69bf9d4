//! `look.lua`: a sale's stock at one moment, and who may hold an order in it.

use bytes::Bytes;
use contract::ids::{Sequence, Sku};
use contract::keys::SaleKeys;
use contract::timestamp::Timestamp;

use crate::redis::{Redis, RedisError};
use crate::reply::{Rejection, ReplyReader};

/// Bytes of arrivals in one reply: 8,192 customers.
pub const PIECE_BYTES_MAX: u64 = 65_536;
const UNLIMITED: u64 = (1 << 48) - 1;

/// How a sale stood at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockReading {
    /// Redis TIME.
    pub at: Timestamp,
    /// The next sequence number.
    pub next: Sequence,
    /// Event sequences up to it have been released.
    pub released: u64,
    /// Bytes of arrivals in all.
    pub arrival_bytes: u64,
    /// One a SKU, as asked.
    pub stock: Vec<SkuStock>,
    /// The piece asked for: eight bytes a customer.
    pub arrivals: Vec<u64>,
}

/// A SKU's units at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkuStock {
    /// `None`: unlimited.
    pub available: Option<u64>,
    /// Announced, not yet to be taken.
    pub returning: u64,
}

/// Calls the script. `piece`: whether to bring arrivals from byte `from` on.
pub async fn read_stock<'a>(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    skus: impl Iterator<Item = &'a Sku>,
    from: u64,
    piece: bool,
) -> Result<Result<StockReading, Rejection>, RedisError> {
    let piece_bytes = if piece { PIECE_BYTES_MAX } else { 0 };
    let looked = call(redis, digest, keys, skus, from, &piece_bytes.to_string()).await?;
    let Ok((mut look, rest)) = looked else { return Ok(Err(Rejection::Lost)) };
    let (arrivals, rest) = rest.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(RedisError::UnexpectedReply("read_stock"));
    }
    look.arrivals = arrivals.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
    Ok(Ok(look))
}

/// A look, and whether at that moment a change of totals was recorded that Redis has not been told to be
/// settled. `None`: the script is one that does not tell, loaded by an earlier version.
pub async fn read_stock_and_pending_change<'a>(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    skus: impl Iterator<Item = &'a Sku>,
) -> Result<Result<(StockReading, Option<bool>), Rejection>, RedisError> {
    let looked = call(redis, digest, keys, skus, 0, "-1").await?;
    Ok(looked.map(|(look, rest)| (look, rest.first().map(|pending| *pending == b'1'))))
}

/// Calls the script; what stands behind the stock is returned as it is.
async fn call<'a>(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    skus: impl Iterator<Item = &'a Sku>,
    from: u64,
    piece: &str,
) -> Result<Result<(StockReading, Bytes), Rejection>, RedisError> {
    let mut args = vec![Bytes::from(from.to_string()), Bytes::copy_from_slice(piece.as_bytes())];
    args.extend(skus.map(|sku| Bytes::copy_from_slice(sku.as_str().as_bytes())));
    let sku_count = args.len() - 2;
    let reply = redis.evalsha(digest, vec![&keys.stock, &keys.arrivals, &keys.returning], args).await?;

    let mut reader = ReplyReader::new(&reply, "read_stock");
    let now = match reader.begin(redis)? {
        Err(rejection) => return Ok(Err(rejection)),
        Ok((b'K', now)) => now,
        Ok(_) => return Err(reader.unexpected()),
    };
    let (next, released, arrival_bytes) = (reader.number(5)?, reader.number(6)?, reader.number(5)?);
    let mut stock = Vec::with_capacity(sku_count);
    for _ in 0..sku_count {
        let available = reader.number(6)?;
        stock.push(SkuStock {
            available: (available != UNLIMITED).then_some(available),
            returning: reader.number(6)?,
        });
    }
    let look = StockReading {
        at: Timestamp(now),
        next: Sequence(next),
        released,
        arrival_bytes,
        stock,
        arrivals: vec![],
    };
    let rest = reply.slice_ref(reader.rest());
    Ok(Ok((look, rest)))
}
