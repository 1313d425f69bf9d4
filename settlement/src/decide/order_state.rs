//! OrderStates as they stand, where a batch's records ask for them: commands by id, ticks by what is due.
//!
//! Most batches are acceptances alone and read nothing. Where there is more, what the batch itself does to
//! an order is followed here, so that a record sees all that lies before it in the log.

use contract::ids::{CustomerId, OrderId, SaleId, Sequence, Sku};
use contract::lifecycle::{CancelReason, OrderStatus};
use contract::money::Currency;
use contract::order::{Amounts, Fulfilment, Order, PaymentMethod, PaymentRequest};
use contract::payment::PaymentStatus;
use contract::record::{AcceptedBatch, Action, Command, Record, Tick};
use contract::timestamp::Timestamp;
use deadpool_postgres::GenericClient;
use rustc_hash::{FxHashMap, FxHashSet};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::consume::decoded_record::DecodedRecord;
use crate::store::database::DatabaseError;

/// OrderStates that one tick moves at most; what else is due waits for the next one.
const DUE_MAX: i64 = 2000;

/// What Postgres has, before the batch, of what the batch may move.
#[derive(Debug, Default)]
pub struct PriorState {
    orders: Vec<StoredOrder>,
    wallets: Vec<(CustomerId, Currency, i64)>,
}

/// An order as Postgres has it.
#[derive(Debug)]
struct StoredOrder {
    id: Uuid,
    sale: SaleId,
    customer: CustomerId,
    status: OrderStatus,
    cancel_reason: Option<CancelReason>,
    hold_expires_at: Timestamp,
    sequence: Sequence,
    amounts: Amounts,
    currency: Currency,
    fulfilment: Fulfilment,
    lines: Vec<(Sku, i64)>,
    token: Option<String>,
    payment_reason: Option<String>,
    payment: Option<PaymentState<'static>>,
    delivery: Option<DeliveryState>,
}

impl PriorState {
    /// Of these wallets; no order is settled yet.
    #[cfg(test)]
    pub(crate) fn with_wallets(wallets: Vec<(CustomerId, Currency, i64)>) -> Self {
        Self { orders: Vec::new(), wallets }
    }

    /// Reads what these records may move. `deliveries`: whether goods go on by themselves.
    pub async fn read(
        client: &impl GenericClient,
        partition: i32,
        records: &[DecodedRecord],
        deliveries: bool,
    ) -> Result<Self, DatabaseError> {
        let bodies = || records.iter().filter_map(|record| record.body.as_ref().ok());
        let named: Vec<Uuid> = bodies().filter_map(command).map(|command| command.order_id.0).collect();
        let last_tick = bodies().filter_map(tick).max_by_key(|tick| tick.at);
        let mut orders: Vec<StoredOrder> = Vec::new();
        if !named.is_empty() {
            let select =
                client.prepare_cached(include_str!("../../queries/select_standing_orders.sql")).await?;
            for row in client.query(&select, &[&named]).await? {
                orders.push(StoredOrder::from_row(&row)?);
            }
        }
        if let Some(tick) = last_tick {
            let select = client.prepare_cached(include_str!("../../queries/select_due_orders.sql")).await?;
            let before = tick.due_before().to_datetime();
            for row in client.query(&select, &[&partition, &before, &DUE_MAX, &deliveries]).await? {
                orders.push(StoredOrder::from_row(&row)?);
            }
        }
        let wallets = Self::read_wallets(client, &orders, records).await?;
        Ok(Self { orders, wallets })
    }

    /// Those that may be debited. What is read here may be spent by another partition before the batch is
    /// committed: then the wallet's constraint refuses, and the batch is decided again.
    async fn read_wallets(
        client: &impl GenericClient,
        orders: &[StoredOrder],
        records: &[DecodedRecord],
    ) -> Result<Vec<(CustomerId, Currency, i64)>, DatabaseError> {
        let mut payers: FxHashSet<&str> = FxHashSet::default();
        let mut by_command = FxHashSet::default();
        for record in records.iter().filter_map(|record| record.body.as_ref().ok()) {
            match record {
                Record::Accepted(batch) => {
                    let paid = |order: &&Order| order.payment.as_deref().is_some_and(by_wallet);
                    payers.extend(batch.orders.iter().filter(paid).map(|order| order.customer.as_str()));
                }
                Record::Command(Command { action: Action::Pay(request), customer_id, order_id, .. })
                    if by_wallet(request) =>
                {
                    payers.extend(customer_id.as_ref().map(CustomerId::as_str));
                    by_command.insert(order_id.0);
                }
                _ => {}
            }
        }
        let stored = orders.iter().filter(|order| by_command.contains(&order.id));
        payers.extend(stored.map(|order| order.customer.as_str()));
        if payers.is_empty() {
            return Ok(Vec::new());
        }
        let payers: Vec<&str> = payers.into_iter().collect();
        let select = client.prepare_cached(include_str!("../../queries/select_wallets.sql")).await?;
        let rows = client.query(&select, &[&payers]).await?;
        let wallet = |row: &Row| {
            let invalid = || DatabaseError::Invalid("a wallet has an invalid key".into());
            let customer = CustomerId::parse(row.get(0)).map_err(|_| invalid())?;
            Ok((customer, Currency::parse(row.get(1)).ok_or_else(invalid)?, row.get(2)))
        };
        rows.iter().map(wallet).collect()
    }
}

fn by_wallet(request: &PaymentRequest) -> bool {
    request.method == PaymentMethod::Wallet
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

impl StoredOrder {
    fn from_row(row: &Row) -> Result<Self, DatabaseError> {
        let id: Uuid = row.get("order_id");
        let invalid = |what: &str| DatabaseError::Invalid(format!("order {id} has an invalid {what}"));
        let number = |name: &str| row.get::<_, i64>(name) as u64; // checked to be >= 0 by the table
        let at = |name: &str| row.get::<_, Option<OffsetDateTime>>(name).map(Timestamp::from_datetime);
        let (skus, quantities): (Vec<&str>, Vec<i32>) = (row.get("skus"), row.get("quantities"));
        let lines = skus.iter().zip(quantities);
        let lines = lines.map(|(sku, quantity)| Ok((Sku::parse(sku)?, i64::from(quantity))));
        let payment = match (row.get::<_, Option<&str>>("method"), at("requested_at")) {
            (Some(method), Some(requested_at)) => Some(PaymentState {
                method: PaymentMethod::parse(method).ok_or_else(|| invalid("payment method"))?,
                token: None,
                status: PaymentStatus::parse(row.get("payment_status"))
                    .ok_or_else(|| invalid("payment status"))?,
                reason: None,
                requested_at,
                captured_at: at("captured_at"),
                refund_requested_at: at("refund_requested_at"),
                refunded_at: at("refunded_at"),
            }),
            _ => None,
        };
        let delivery = at("started_at").map(|started_at| DeliveryState {
            started_at,
            shipped_at: at("shipped_at"),
            completed_at: at("completed_at"),
            estimated_arrival: at("estimated_arrival"),
            next_move_at: at("next_move_at"),
        });
        let fulfilment = match row.get("fulfilment") {
            "store" => Fulfilment::Store,
            _ => Fulfilment::Ship,
        };
        Ok(Self {
            id,
            sale: SaleId::parse(row.get("sale_id")).map_err(|_| invalid("sale_id"))?,
            customer: CustomerId::parse(row.get("customer_id")).map_err(|_| invalid("customer_id"))?,
            status: OrderStatus::parse(row.get("status")).ok_or_else(|| invalid("status"))?,
            cancel_reason: row.get::<_, Option<&str>>("cancel_reason").and_then(CancelReason::parse),
            hold_expires_at: at("hold_expires_at").ok_or_else(|| invalid("hold"))?,
            sequence: Sequence(number("sequence")),
            amounts: Amounts {
                subtotal: number("subtotal"),
                discount: number("discount"),
                delivery_fee: number("delivery_fee"),
            },
            currency: Currency::parse(row.get("currency")).ok_or_else(|| invalid("currency"))?,
            fulfilment,
            lines: lines.collect::<Result<_, contract::ids::InvalidName>>().map_err(|_| invalid("sku"))?,
            token: row.get("token"),
            payment_reason: row.get("payment_reason"),
            payment,
            delivery,
        })
    }
}

/// An order as it stands in the middle of a batch.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the names say it
pub struct OrderState<'a> {
    pub sale: &'a SaleId,
    pub customer: &'a CustomerId,
    pub status: OrderStatus,
    pub cancel_reason: Option<CancelReason>,
    pub sequence: Sequence,
    pub amounts: Amounts,
    pub currency: Currency,
    pub fulfilment: Fulfilment,
    pub payment: Option<PaymentState<'a>>,
    pub delivery: Option<DeliveryState>,
    hold_expires_at: Timestamp,
    lines: Lines<'a>,
}

/// Where an order's money stands: its row of `payment`.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct PaymentState<'a> {
    pub method: PaymentMethod,
    pub token: Option<&'a str>,
    pub status: PaymentStatus,
    pub reason: Option<&'a str>,
    pub requested_at: Timestamp,
    pub captured_at: Option<Timestamp>,
    pub refund_requested_at: Option<Timestamp>,
    pub refunded_at: Option<Timestamp>,
}

/// How far an order's goods have come: its row of `delivery`.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct DeliveryState {
    pub started_at: Timestamp,
    pub shipped_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub estimated_arrival: Option<Timestamp>,
    pub next_move_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
enum Lines<'a> {
    Stored(&'a [(Sku, i64)]),
    Accepted(&'a Order),
}

impl<'a> OrderState<'a> {
    /// An order that is new.
    pub fn created(
        batch: &'a AcceptedBatch,
        order: &'a Order,
        sequence: Sequence,
        currency: Currency,
    ) -> Self {
        Self {
            sale: &batch.sale_id,
            customer: &order.customer,
            status: OrderStatus::Created,
            cancel_reason: None,
            sequence,
            amounts: order.amounts(),
            currency,
            fulfilment: order.fulfilment.unwrap_or(Fulfilment::Ship),
            payment: None,
            delivery: None,
            hold_expires_at: batch.accepted_at.plus_seconds(order.hold_seconds.into()),
            lines: Lines::Accepted(order),
        }
    }

    /// What it costs.
    pub fn total(&self) -> u64 {
        self.amounts.total()
    }

    /// SKUs and units.
    pub fn units(&self) -> Vec<(&'a Sku, i64)> {
        match self.lines {
            Lines::Stored(lines) => lines.iter().map(|(sku, units)| (sku, *units)).collect(),
            Lines::Accepted(order) => {
                order.lines.iter().map(|line| (&line.sku, i64::from(line.quantity))).collect()
            }
        }
    }
}

/// The orders of a batch that commands and ticks may move, and the wallets that may pay for them.
#[derive(Debug, Default)]
pub struct OrderStates<'a> {
    by_id: FxHashMap<Uuid, OrderState<'a>>,
    wallets: FxHashMap<(&'a str, Currency), i64>,
    /// Acceptances are followed only where something may move them.
    follows: bool,
}

impl<'a> OrderStates<'a> {
    /// As they stand before the records.
    pub fn before(records: &[DecodedRecord], before: &'a PriorState) -> Self {
        let moves = |record: &DecodedRecord| matches!(record.body, Ok(Record::Command(_) | Record::Tick(_)));
        let by_id = before.orders.iter().map(|order| {
            let payment = order.payment.map(|payment| PaymentState {
                token: order.token.as_deref(),
                reason: order.payment_reason.as_deref(),
                ..payment
            });
            let standing = OrderState {
                sale: &order.sale,
                customer: &order.customer,
                status: order.status,
                cancel_reason: order.cancel_reason,
                sequence: order.sequence,
                amounts: order.amounts,
                currency: order.currency,
                fulfilment: order.fulfilment,
                payment,
                delivery: order.delivery,
                hold_expires_at: order.hold_expires_at,
                lines: Lines::Stored(&order.lines),
            };
            (order.id, standing)
        });
        let wallets = before.wallets.iter();
        let wallets =
            wallets.map(|(customer, currency, balance)| ((customer.as_str(), *currency), *balance)).collect();
        Self { by_id: by_id.collect(), wallets, follows: records.iter().any(moves) }
    }

    /// An order that the batch makes, if a record may move it.
    pub fn follow(&mut self, id: OrderId, standing: impl FnOnce() -> OrderState<'a>, pays: bool) {
        if self.follows || pays {
            self.by_id.insert(id.0, standing());
        }
    }

    /// An order, by its id.
    pub fn get(&self, id: OrderId) -> Option<OrderState<'a>> {
        self.by_id.get(&id.0).copied()
    }

    /// The order of a command, unless it is another sale's or another customer's.
    pub fn of(&self, command: &Command) -> Option<OrderState<'a>> {
        let standing = self.get(command.order_id)?;
        let asked = command.customer_id.as_ref();
        let theirs =
            *standing.sale == command.sale_id && asked.is_none_or(|customer| customer == standing.customer);
        theirs.then_some(standing)
    }

    /// What is due at a tick, in a fixed order: holds that ended; and, where `deliveries` go on by themselves,
    /// goods.
    pub fn due(&self, tick: Tick, deliveries: bool) -> Vec<(OrderId, OrderState<'a>)> {
        let before = tick.due_before();
        let due_at = |order: &OrderState<'a>| match order.delivery {
            Some(delivery) => delivery.next_move_at.filter(|_| deliveries),
            None => order.status.holds_units().then_some(order.hold_expires_at),
        };
        let due = self.by_id.iter().filter_map(|(id, order)| Some((due_at(order)?, OrderId(*id), *order)));
        let mut due: Vec<_> = due.filter(|(at, ..)| *at < before).collect();
        due.sort_unstable_by_key(|(at, id, _)| (*at, *id));
        due.into_iter().map(|(_, id, order)| (id, order)).collect()
    }

    /// An order has moved.
    pub fn moved(&mut self, id: OrderId, standing: OrderState<'a>) {
        self.by_id.insert(id.0, standing);
    }

    /// What a customer has, by now.
    pub fn balance(&self, customer: &str, currency: Currency) -> i64 {
        self.wallets.get(&(customer, currency)).copied().unwrap_or(0)
    }

    /// Money moves in a wallet.
    pub fn pay(&mut self, customer: &'a str, currency: Currency, amount: i64) {
        *self.wallets.entry((customer, currency)).or_default() += amount;
    }
}
