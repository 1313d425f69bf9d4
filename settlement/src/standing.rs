//! Orders as they stand, where a batch's records ask for them: commands by id, ticks by what is due.
//!
//! Most batches are acceptances alone and read nothing. Where there is more, what the batch itself does to
//! an order is followed here, so that a record sees all that lies before it in the log.

use contract::ids::{CustomerId, OrderId, SaleId, Sku};
use contract::lifecycle::OrderStatus;
use contract::order::Order;
use contract::record::{AcceptedBatch, Command, Record, Tick};
use contract::timestamp::Timestamp;
use deadpool_postgres::Client;
use rustc_hash::FxHashMap;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::database::DatabaseError;
use crate::incoming::Incoming;

/// Orders that one tick moves at most; what else is due waits for the next one.
const DUE_MAX: i64 = 2000;

/// An order as Postgres has it before the batch.
#[derive(Debug)]
pub struct Stored {
    id: Uuid,
    sale: SaleId,
    customer: CustomerId,
    status: OrderStatus,
    hold_expires_at: Timestamp,
    lines: Vec<(Sku, i64)>,
}

/// Reads the orders that these records may move.
pub async fn read(
    client: &Client,
    partition: i32,
    records: &[Incoming],
) -> Result<Vec<Stored>, DatabaseError> {
    let bodies = || records.iter().filter_map(|record| record.body.as_ref().ok());
    let named: Vec<Uuid> = bodies().filter_map(command).map(|command| command.order_id.0).collect();
    let last_tick = bodies().filter_map(tick).max_by_key(|tick| tick.at);
    let mut rows = Vec::new();
    if !named.is_empty() {
        let select = client.prepare_cached(include_str!("../queries/select_standing_orders.sql")).await?;
        rows = client.query(&select, &[&named]).await?;
    }
    if let Some(tick) = last_tick {
        let select = client.prepare_cached(include_str!("../queries/select_due_orders.sql")).await?;
        let before = tick.due_before().to_datetime();
        rows.extend(client.query(&select, &[&partition, &before, &DUE_MAX]).await?);
    }
    rows.iter().map(Stored::from_row).collect()
}

fn command(record: &Record) -> Option<&Command> {
    match record {
        Record::Command(command) => Some(command),
        _ => None,
    }
}

fn tick(record: &Record) -> Option<Tick> {
    match record {
        Record::Tick(tick) => Some(*tick),
        _ => None,
    }
}

impl Stored {
    fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        let id: Uuid = row.get(0);
        let invalid = |what: &str| DatabaseError::Invalid(format!("order {id} has an invalid {what}"));
        let (skus, quantities): (Vec<&str>, Vec<i32>) = (row.get(5), row.get(6));
        let lines = skus.iter().zip(quantities);
        let lines = lines.map(|(sku, quantity)| Ok((Sku::parse(sku)?, i64::from(quantity))));
        Ok(Self {
            id,
            sale: SaleId::parse(row.get(1)).map_err(|_| invalid("sale_id"))?,
            customer: CustomerId::parse(row.get(2)).map_err(|_| invalid("customer_id"))?,
            status: OrderStatus::parse(row.get(3)).ok_or_else(|| invalid("status"))?,
            hold_expires_at: Timestamp::from_datetime(row.get(4)),
            lines: lines.collect::<Result<_, contract::ids::InvalidName>>().map_err(|_| invalid("sku"))?,
        })
    }
}

/// An order as it stands in the middle of a batch.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the names say it
pub struct Standing<'a> {
    pub sale: &'a str,
    pub customer: &'a CustomerId,
    pub status: OrderStatus,
    hold_expires_at: Timestamp,
    lines: Lines<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Lines<'a> {
    Stored(&'a [(Sku, i64)]),
    Accepted(&'a Order),
}

impl<'a> Standing<'a> {
    /// SKUs and units.
    pub fn units(&self) -> Vec<(&'a str, i64)> {
        match self.lines {
            Lines::Stored(lines) => lines.iter().map(|(sku, units)| (sku.as_str(), *units)).collect(),
            Lines::Accepted(order) => {
                order.lines.iter().map(|line| (line.sku.as_str(), i64::from(line.quantity))).collect()
            }
        }
    }
}

/// The orders of a batch that commands and ticks may move.
#[derive(Debug, Default)]
pub struct Orders<'a> {
    by_id: FxHashMap<Uuid, Standing<'a>>,
    /// Acceptances are followed only where something may move them.
    follows: bool,
}

impl<'a> Orders<'a> {
    /// As they stand before the records.
    pub fn before(records: &[Incoming], stored: &'a [Stored]) -> Self {
        let moves = |record: &Incoming| matches!(record.body, Ok(Record::Command(_) | Record::Tick(_)));
        let by_id = stored.iter().map(|order| {
            let standing = Standing {
                sale: order.sale.as_str(),
                customer: &order.customer,
                status: order.status,
                hold_expires_at: order.hold_expires_at,
                lines: Lines::Stored(&order.lines),
            };
            (order.id, standing)
        });
        Self { by_id: by_id.collect(), follows: records.iter().any(moves) }
    }

    /// An order that the batch makes.
    pub fn created(&mut self, batch: &'a AcceptedBatch, order: &'a Order) {
        if self.follows {
            let standing = Standing {
                sale: batch.sale_id.as_str(),
                customer: &order.customer,
                status: OrderStatus::Created,
                hold_expires_at: batch.accepted_at.plus_seconds(order.hold_seconds.into()),
                lines: Lines::Accepted(order),
            };
            self.by_id.insert(order.id.0, standing);
        }
    }

    /// The order of a command, unless it is another sale's or another customer's.
    pub fn of(&self, command: &Command) -> Option<Standing<'a>> {
        let standing = self.by_id.get(&command.order_id.0)?;
        let theirs = standing.sale == command.sale_id.as_str() && *standing.customer == command.customer_id;
        theirs.then_some(*standing)
    }

    /// What is due at a tick, in a fixed order.
    pub fn due(&self, tick: Tick) -> Vec<(OrderId, Standing<'a>)> {
        let before = tick.due_before();
        let due = |order: &Standing<'_>| order.status.holds_units() && order.hold_expires_at < before;
        let mut due: Vec<_> = self
            .by_id
            .iter()
            .filter(|(_, order)| due(order))
            .map(|(id, order)| (OrderId(*id), *order))
            .collect();
        due.sort_unstable_by_key(|(id, order)| (order.hold_expires_at, *id));
        due
    }

    /// An order has moved.
    pub fn moved(&mut self, id: OrderId, status: OrderStatus) {
        if let Some(standing) = self.by_id.get_mut(&id.0) {
            standing.status = status;
        }
    }
}
