//! `read_stock.lua`: reads a consistent snapshot of a sale's stock, and the customers who may hold an order in it.

use bytes::Bytes;
use contract::ids::{Sequence, Sku};
use contract::keys::SaleKeys;
use contract::timestamp::Timestamp;

use crate::redis::{Redis, RedisError};
use crate::reply::{Rejection, ReplyReader};

/// The maximum number of bytes of arrivals in one reply: 8,192 customers.
pub const CHUNK_BYTES_MAX: u64 = 65_536;
/// The reply's value for the available units of an unlimited SKU.
const UNLIMITED: u64 = (1 << 48) - 1;

/// A snapshot of a sale's stock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockReading {
    /// Redis TIME of the snapshot.
    pub at: Timestamp,
    /// The next sequence number.
    pub next: Sequence,
    /// The release watermark: the event sequence up to which releases have been applied.
    pub released: u64,
    /// The total size of the arrivals, in bytes.
    pub arrival_bytes: u64,
    /// The stock of each requested SKU, in the order of the request.
    pub stock: Vec<SkuStock>,
    /// The requested chunk of arrivals: one hash per accepted order's customer.
    pub arrivals: Vec<u64>,
}

/// The units of one SKU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkuStock {
    /// The number of units that can be reserved; `None` if unlimited.
    pub available: Option<u64>,
    /// The number of released units that are announced but cannot be reserved yet.
    pub returning: u64,
}

/// Reads the stock of some SKUs, and, if `with_arrivals` is set, a chunk of the arrivals from byte `from` on.
pub async fn read_stock<'a>(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    skus: impl Iterator<Item = &'a Sku>,
    from: u64,
    with_arrivals: bool,
) -> Result<Result<StockReading, Rejection>, RedisError> {
    let chunk_bytes = if with_arrivals { CHUNK_BYTES_MAX } else { 0 };
    let reply = call(redis, digest, keys, skus, from, &chunk_bytes.to_string()).await?;
    let Ok((mut reading, rest)) = reply else { return Ok(Err(Rejection::Lost)) };
    let (arrivals, rest) = rest.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(RedisError::UnexpectedReply("read_stock"));
    }
    reading.arrivals = arrivals.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
    Ok(Ok(reading))
}

/// Reads the stock of some SKUs, and whether a change of totals was pending at that moment: recorded, but not
/// reported to Redis as settled. `None`: an earlier version loaded the script, which does not report it.
pub async fn read_stock_and_pending_change<'a>(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    skus: impl Iterator<Item = &'a Sku>,
) -> Result<Result<(StockReading, Option<bool>), Rejection>, RedisError> {
    let reply = call(redis, digest, keys, skus, 0, "-1").await?;
    Ok(reply.map(|(reading, rest)| (reading, rest.first().map(|pending| *pending == b'1'))))
}

/// Calls the script. Returns the bytes that follow the stock undecoded.
async fn call<'a>(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    skus: impl Iterator<Item = &'a Sku>,
    from: u64,
    chunk_bytes: &str,
) -> Result<Result<(StockReading, Bytes), Rejection>, RedisError> {
    let mut args = vec![Bytes::from(from.to_string()), Bytes::copy_from_slice(chunk_bytes.as_bytes())];
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
    let reading = StockReading {
        at: Timestamp(now),
        next: Sequence(next),
        released,
        arrival_bytes,
        stock,
        arrivals: vec![],
    };
    let rest = reply.slice_ref(reader.rest());
    Ok(Ok((reading, rest)))
}
