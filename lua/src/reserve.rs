//! `reserve.lua`: a batch of orders in, one verdict an order out.

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

/// What the gateway knows of the sale when it calls.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// No order before.
    pub opens_at: Option<Timestamp>,
    /// No order from then on.
    pub closes_at: Option<Timestamp>,
    /// As last heard from the operator.
    pub state: SaleState,
    /// Live orders a customer may have.
    pub limit: Option<u32>,
}

/// An order as the script takes it, prepared outside the batcher.
#[derive(Debug, Clone)]
pub struct Candidate {
    field: Bytes,
    identity: Bytes,
    terms: Bytes,
    arrival: [u8; 8],
    lines: Vec<(Sku, u32)>,
    /// The order as the log will hold it, in JSON.
    pub payload: Bytes,
}

impl Candidate {
    /// `limited`: whether the sale limits orders per customer.
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
    /// Bytes that it adds to a call.
    pub fn bytes(&self) -> usize {
        self.field.len()
            + self.identity.len()
            + self.terms.len()
            + 8
            + 6 * self.lines.len()
            + self.payload.len()
    }
}

/// What the script decided for one order. Every variant is a fact about Redis, never a guess.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Units taken; the outbox holds the order until the log has it.
    Accepted(Sequence),
    /// The same key was accepted before; the first answer is due again once its hand-off is done.
    Replayed {
        /// The first acceptance.
        order: OrderReceipt,
        /// The log has not acknowledged it yet.
        in_outbox: bool,
    },
    /// The same key, another body.
    KeyReused,
    /// The customer's limit is reached.
    Duplicate {
        /// The newest live order.
        order: OrderId,
        /// The log has not acknowledged it yet.
        in_outbox: bool,
    },
    /// Before the window.
    NotOpen,
    /// An operator paused the sale.
    Paused,
    /// After the window, or closed by an operator.
    Closed,
    /// Too few units.
    SoldOut {
        /// The first SKU that is short.
        sku: Sku,
        /// What is left of it.
        remaining: u64,
    },
}

/// The script's decisions for one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReserveReply {
    /// Redis TIME: when the accepted orders were accepted.
    pub at: Timestamp,
    /// The sequence of the first accepted order, or the next one.
    pub first: Sequence,
    /// Accepted orders.
    pub accepted: u64,
    /// One an order, in order.
    pub verdicts: Vec<Verdict>,
}

impl ReserveReply {
    /// The outbox entry that holds the accepted orders.
    pub fn outbox_id(&self) -> OutboxId {
        OutboxId::batch(self.first, self.accepted)
    }
}

/// Calls the script. `acknowledged`: outbox entries of this epoch that the log holds.
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
    // Few SKUs a batch: a scan is quicker than a map.
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
                let order = OrderReceipt::decode(reader.take(order_receipt::BYTES)?)
                    .ok_or_else(|| reader.unexpected())?;
                Verdict::Replayed { order, in_outbox }
            }
            b'U' => Verdict::KeyReused,
            b'D' => {
                let in_outbox = reader.code()? == b'1';
                let id = Uuid::from_slice(reader.take(16)?).map_err(|_| reader.unexpected())?;
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
