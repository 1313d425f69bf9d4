//! `reserve.lua`: reserves stock for a batch of orders and returns one verdict per order.

use bytes::{BufMut, Bytes, BytesMut};
use contract::ids::{OrderId, Sequence, Sku, customer_hash};
use contract::keys::{SaleKeys, buyer_field};
use contract::order::Order;
use contract::order_receipt::{self, OrderReceipt};
use contract::record::OutboxId;
use contract::sale::SaleState;
use contract::timestamp::Timestamp;
use uuid::Uuid;

use crate::redis::{Deadline, Redis, RedisError};
use crate::reply::{Rejection, ReplyReader};

/// The sale's terms that the gateway passes to the script.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// When the sale starts to accept orders.
    pub opens_at: Option<Timestamp>,
    /// When the sale stops accepting orders.
    pub closes_at: Option<Timestamp>,
    /// The state that the operator has set, as last received by the gateway.
    pub state: SaleState,
    /// The maximum number of live orders of a customer.
    pub limit: Option<u32>,
}

/// The script's arguments for one order, prepared outside the batcher.
#[derive(Debug, Clone)]
pub struct Candidate {
    field: Bytes,
    identity: Bytes,
    terms: Bytes,
    arrival: [u8; 8],
    lines: Vec<(Sku, u32)>,
    /// The order in JSON, as it will be in the log.
    pub payload: Bytes,
}

impl Candidate {
    /// Prepares the arguments. `limited` is whether the sale limits orders per customer.
    pub fn new(order: &Order, payload: Bytes, limited: bool) -> Self {
        let amounts = order.amounts();
        Self {
            field: buyer_field(&order.customer, order.id.request(), limited).into(),
            identity: Bytes::copy_from_slice(&order_receipt::identity(order.id, order.digest)),
            terms: Bytes::copy_from_slice(&order_receipt::terms(order.hold_seconds, &amounts)),
            arrival: customer_hash(order.customer.as_str()).to_be_bytes(),
            lines: order.lines.iter().map(|line| (line.sku.clone(), line.quantity)).collect(),
            payload,
        }
    }
    /// Returns the number of bytes that the order adds to a call.
    pub fn bytes(&self) -> usize {
        self.field.len()
            + self.identity.len()
            + self.terms.len()
            + 8
            + 6 * self.lines.len()
            + self.payload.len()
    }
}

/// The script's decision for one order. Every variant states a fact about Redis, never a guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The units are reserved. The outbox holds the order until the log has acknowledged it.
    Accepted(Sequence),
    /// The same key was accepted before. The first response is repeated once the order is handed off to the log.
    Replayed {
        /// The receipt of the first acceptance.
        order: OrderReceipt,
        /// Whether the log has not acknowledged the order yet.
        in_outbox: bool,
    },
    /// The same key was used with another body.
    KeyReused,
    /// The customer has reached the limit of live orders.
    Duplicate {
        /// The customer's newest live order.
        order: OrderId,
        /// Whether the log has not acknowledged the order yet.
        in_outbox: bool,
    },
    /// The sale's window has not begun.
    NotOpen,
    /// An operator has paused the sale.
    Paused,
    /// The sale's window has ended, or an operator has closed the sale.
    Closed,
    /// Too few units are left.
    SoldOut {
        /// The first SKU with too few units.
        sku: Sku,
        /// The number of units that are left.
        remaining: u64,
    },
}

/// The script's decisions for one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReserveReply {
    /// Redis TIME when the orders were accepted.
    pub at: Timestamp,
    /// The sequence of the first accepted order, or the next sequence if none was accepted.
    pub first: Sequence,
    /// The number of accepted orders.
    pub accepted: u64,
    /// One verdict per order, in the order of the batch.
    pub verdicts: Vec<Verdict>,
}

impl ReserveReply {
    /// Returns the id of the outbox entry with the accepted orders.
    pub fn outbox_id(&self) -> OutboxId {
        OutboxId::batch(self.first, self.accepted)
    }
}

/// Calls the script. `acknowledged` are outbox entries of this epoch that the log has acknowledged.
pub async fn reserve(
    redis: &Redis,
    digest: &str,
    keys: &SaleKeys,
    terms: &Terms,
    deadline: Deadline,
    acknowledged: &[OutboxId],
    batch: &[&Candidate],
) -> Result<Result<ReserveReply, Rejection>, RedisError> {
    let (skus, args) = arguments(terms, deadline, acknowledged, batch);
    let reply = redis.evalsha(digest, keys.all().to_vec(), args).await?;
    let mut reader = ReplyReader::new(&reply, "reserve");
    match reader.begin(redis)? {
        Err(rejection) => Ok(Err(rejection)),
        Ok((b'K', now)) => decided(reader, now, &skus, batch.len()).map(Ok),
        _ => Err(reader.unexpected()),
    }
}

fn arguments<'a>(
    terms: &Terms,
    deadline: Deadline,
    acknowledged: &[OutboxId],
    batch: &[&'a Candidate],
) -> (Vec<&'a Sku>, Vec<Bytes>) {
    // A batch has few SKUs, so a scan is faster than a map.
    let mut skus: Vec<&Sku> = Vec::new();
    let mut packed_lines = Vec::with_capacity(batch.len());
    for order in batch {
        let mut packed = BytesMut::with_capacity(8 + 6 * order.lines.len());
        packed.put_slice(&order.arrival);
        for (sku, quantity) in &order.lines {
            let index = skus.iter().position(|known| *known == sku).unwrap_or_else(|| {
                skus.push(sku);
                skus.len() - 1
            });
            packed.put_u16(index as u16); // contract::sale::ITEMS_MAX is far below
            packed.put_u32(*quantity);
        }
        packed_lines.push(packed.freeze());
    }
    let number = |n: u64| Bytes::from(n.to_string());
    let mut args = Vec::with_capacity(7 + acknowledged.len() + skus.len() + 5 * batch.len());
    args.push(number(deadline.redis_ms));
    args.push(number(terms.opens_at.map_or(0, |at| at.0)));
    args.push(number(terms.closes_at.map_or(0, |at| at.0)));
    args.push(Bytes::from_static(terms.state.as_str().as_bytes()));
    args.push(number(terms.limit.unwrap_or(0).into()));
    args.push(number(acknowledged.len() as u64));
    args.push(number(skus.len() as u64));
    args.extend(acknowledged.iter().map(|id| Bytes::from(id.to_string())));
    args.extend(skus.iter().map(|sku| Bytes::copy_from_slice(sku.as_str().as_bytes())));
    for (order, lines) in batch.iter().zip(packed_lines) {
        args.extend([
            order.field.clone(),
            order.identity.clone(),
            order.terms.clone(),
            lines,
            order.payload.clone(),
        ]);
    }
    (skus, args)
}

fn decided(
    mut reader: ReplyReader<'_>,
    now: u64,
    skus: &[&Sku],
    orders: usize,
) -> Result<ReserveReply, RedisError> {
    let first = reader.number(5)?;
    let accepted = reader.number(2)?;
    let mut next = first;
    let mut verdicts = Vec::with_capacity(orders);
    for _ in 0..orders {
        verdicts.push(match reader.code()? {
            b'A' => {
                next += 1;
                Verdict::Accepted(Sequence(next - 1))
            }
            b'R' => {
                let in_outbox = reader.code()? == b'1';
                let order = OrderReceipt::decode(reader.bytes(order_receipt::BYTES)?)
                    .ok_or_else(|| reader.unexpected())?;
                Verdict::Replayed { order, in_outbox }
            }
            b'U' => Verdict::KeyReused,
            b'D' => {
                let in_outbox = reader.code()? == b'1';
                let id = Uuid::from_slice(reader.bytes(16)?).map_err(|_| reader.unexpected())?;
                Verdict::Duplicate { order: OrderId(id), in_outbox }
            }
            b'N' => Verdict::NotOpen,
            b'P' => Verdict::Paused,
            b'C' => Verdict::Closed,
            b'S' => {
                let index = reader.number(2)? as usize;
                let sku = skus.get(index).ok_or_else(|| reader.unexpected())?;
                Verdict::SoldOut { sku: (*sku).clone(), remaining: reader.number(5)? }
            }
            _ => return Err(reader.unexpected()),
        });
    }
    if !reader.rest().is_empty() || next - first != accepted {
        return Err(reader.unexpected());
    }
    Ok(ReserveReply { at: Timestamp(now), first: Sequence(first), accepted, verdicts })
}
