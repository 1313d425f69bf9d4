//! `find.lua`: an order that Postgres does not have yet.

use bytes::Bytes;
use contract::keys::SaleKeys;
use contract::order_receipt::{self, OrderReceipt};

use crate::redis::{Redis, RedisError};
use crate::reply::{Rejection, ReplyReader};

/// An order as Redis remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundOrder {
    /// The log has not acknowledged it: it may not be there yet.
    pub in_outbox: bool,
    /// The order.
    pub order: OrderReceipt,
}

/// The orders remembered under a buyer field, oldest first.
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
