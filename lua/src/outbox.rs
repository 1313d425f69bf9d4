//! The outbox: accepted batches and changes that the log has not acknowledged. The relay and rebuilds read its
//! entries; `ack_outbox.lua` deletes them.

use bytes::Bytes;
use contract::ids::{Epoch, SaleId, Sequence};
use contract::keys::{SaleKeys, stock_fields};
use contract::order::Order;
use contract::record::{self, Headers, OutboxId, RecordType, TotalsChange};
use contract::timestamp::Timestamp;
use contract::wire;

use crate::redis::{Redis, RedisError};
use crate::reply::{Rejection, ReplyReader};

/// A record for the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    /// The record's headers.
    pub headers: Headers,
    /// The record's value.
    pub value: Bytes,
}

/// An entry of the outbox.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The entry's id.
    pub id: OutboxId,
    /// The entry's record, or the reason why the entry cannot be decoded.
    pub record: Result<LogRecord, String>,
}

/// Returns the oldest entries of an epoch's outbox after `after`, at most `count`.
pub async fn read(
    redis: &Redis,
    sale: &SaleId,
    epoch: Epoch,
    after: Option<OutboxId>,
    count: usize,
) -> Result<Vec<Entry>, RedisError> {
    let keys = SaleKeys::new(sale, epoch);
    let from = after.map_or("-".to_string(), |id| format!("({id}"));
    let args =
        [&keys.outbox, &from, "+", "COUNT", &count.to_string()].map(|arg| Bytes::from(arg.to_string()));
    let raw: Vec<(String, Vec<Bytes>)> = redis.command("XRANGE", args.to_vec()).await?;
    raw.into_iter()
        .map(|(id, fields)| {
            let id = OutboxId::parse(&id).ok_or(RedisError::UnexpectedReply("XRANGE"))?;
            Ok(Entry { id, record: log_record(sale, epoch, id, &fields) })
        })
        .collect()
}

/// Returns the number of entries.
pub async fn len(redis: &Redis, sale: &SaleId, epoch: Epoch) -> Result<u64, RedisError> {
    redis.command("XLEN", vec![Bytes::from(SaleKeys::new(sale, epoch).outbox)]).await
}

/// Returns whether the outbox has an entry with a sequence below `next`.
pub async fn has_entry_below(
    redis: &Redis,
    sale: &SaleId,
    epoch: Epoch,
    next: Sequence,
) -> Result<bool, RedisError> {
    // A batch's id begins with its first sequence, and `next` never lies within a batch.
    let (keys, below) = (SaleKeys::new(sale, epoch), format!("({next}-0"));
    let args = [keys.outbox.as_str(), "-", &below, "COUNT", "1"].map(|arg| Bytes::from(arg.to_string()));
    let raw: Vec<(String, Vec<Bytes>)> = redis.command("XRANGE", args.to_vec()).await?;
    Ok(!raw.is_empty())
}

/// Returns the next sequence of an epoch's state. All batches with lower sequences were written before. Returns
/// `None` if the state does not exist.
pub async fn next_sequence(
    redis: &Redis,
    sale: &SaleId,
    epoch: Epoch,
) -> Result<Option<Sequence>, RedisError> {
    let args = [SaleKeys::new(sale, epoch).stock, stock_fields::NEXT.into()];
    let next: Option<u64> = redis.command("HGET", args.map(Bytes::from).to_vec()).await?;
    Ok(next.map(Sequence))
}

fn log_record(sale: &SaleId, epoch: Epoch, id: OutboxId, fields: &[Bytes]) -> Result<LogRecord, String> {
    let field = |name: &str| {
        let mut pairs = fields.chunks_exact(2);
        let text =
            pairs.find(|pair| &pair[0][..] == name.as_bytes()).map(|pair| std::str::from_utf8(&pair[1]));
        text.transpose().map_err(|error| error.to_string())
    };
    if let Some(change) = field("change")? {
        let decoded: TotalsChange = wire::decode(change.as_bytes()).map_err(|error| error.to_string())?;
        let headers = Headers::with_epoch(RecordType::Totals, decoded.epoch);
        return Ok(LogRecord { headers, value: Bytes::copy_from_slice(change.as_bytes()) });
    }
    let orders = field("orders")?.ok_or("neither `orders` nor `change`")?;
    let at: u64 = field("at")?.and_then(|at| at.parse().ok()).ok_or("no `at`")?;
    let decoded: Vec<Order> =
        wire::decode(format!("[{orders}]").as_bytes()).map_err(|error| error.to_string())?;
    Ok(accepted_record(sale, epoch, id, Timestamp(at), orders.as_bytes(), &decoded))
}

/// Builds the record of an accepted batch. The gateway and the relay use it, so that they write the same bytes.
pub fn accepted_record<'a>(
    sale: &SaleId,
    epoch: Epoch,
    id: OutboxId,
    at: Timestamp,
    orders_json: &[u8],
    orders: impl IntoIterator<Item = &'a Order>,
) -> LogRecord {
    LogRecord {
        headers: Headers::accepted(epoch, id.first, id.orders(), record::units(orders)),
        value: record::encode_accepted(sale, epoch, id.first, at, orders_json),
    }
}

/// Deletes entries that the log has acknowledged.
pub async fn acknowledge(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    ids: &[OutboxId],
) -> Result<Result<(), Rejection>, RedisError> {
    let args = ids.iter().map(|id| Bytes::from(id.to_string())).collect();
    let reply = redis.evalsha(digest, vec![&keys.stock, &keys.outbox], args).await?;
    let mut reader = ReplyReader::new(&reply, "ack_outbox");
    match reader.begin(redis)? {
        Err(rejection) => Ok(Err(rejection)),
        Ok((b'K', _)) => Ok(Ok(())),
        _ => Err(reader.unexpected()),
    }
}
