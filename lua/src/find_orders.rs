//! `find_orders.lua`: finds orders that are not yet in Postgres.

use bytes::Bytes;
use contract::keys::SaleKeys;
use contract::order_receipt::{self, OrderReceipt};

use crate::redis::{Redis, RedisError};
use crate::reply::{Rejection, ReplyReader};

/// An order that was found in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOrder {
    /// The order is still in the outbox: the log has not acknowledged it and may not contain it yet.
    pub in_outbox: bool,
    /// The order's receipt.
    pub order: OrderReceipt,
}

/// Returns the orders in a [buyer field](contract::keys::buyer_field), oldest first.
pub async fn find_orders(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    buyer_field: Vec<u8>,
) -> Result<Result<Vec<FoundOrder>, Rejection>, RedisError> {
    let all_keys = vec![&*keys.stock, &keys.buyers, &keys.outbox];
    let reply = redis.evalsha(digest, all_keys, vec![Bytes::from(buyer_field)]).await?;
    let mut reader = ReplyReader::new(&reply, "find_orders");
    match reader.begin(redis)? {
        Err(rejection) => Ok(Err(rejection)),
        Ok((b'K', _)) => {
            let found = reader.rest().chunks(1 + order_receipt::BYTES).map(|entry| {
                let (flag, order) = entry.split_first()?;
                Some(FoundOrder { in_outbox: *flag == b'1', order: OrderReceipt::decode(order)? })
            });
            found.collect::<Option<Vec<_>>>().map(Ok).ok_or_else(|| reader.unexpected())
        }
        _ => Err(reader.unexpected()),
    }
}
