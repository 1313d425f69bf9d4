//! Everything that a decision needs from Postgres, read before the first record of the batch is decided: the orders
//! that commands name, the orders that are due at a tick, the wallets that may be debited, and which orders of
//! possibly duplicate records are already settled.
//!
//! Most batches contain acceptances alone, and read nothing.

use contract::ids::{CustomerId, SaleId, Sequence, Sku};
use contract::lifecycle::{CancelReason, OrderStatus};
use contract::money::Currency;
use contract::order::{Amounts, Fulfilment, Order, PaymentMethod, PaymentRequest};
use contract::payment::PaymentStatus;
use contract::record::{Action, Command, Record, Tick};
use contract::timestamp::Timestamp;
use deadpool_postgres::GenericClient;
use rustc_hash::FxHashSet;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use super::order_state::{DeliveryState, Lines, OrderState, OrderStates, PaymentState};
use super::partition_state::PartitionState;
use crate::consume::decoded_record::DecodedRecord;
use crate::store::database::DatabaseError;

/// The maximum number of orders that one tick changes; others that are due wait for the next tick.
const DUE_MAX: i64 = 2000;

/// The state in Postgres before the batch.
#[derive(Debug, Default)]
pub struct PriorState {
    orders: Vec<StoredOrder>,
    wallets: Vec<(CustomerId, Currency, i64)>,
    /// The orders of possibly duplicate records that are already settled; `None` if no record may be a duplicate.
    pub(super) settled_orders: Option<FxHashSet<Uuid>>,
}

/// An order as Postgres stores it.
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
    /// Returns a state with these wallets and without orders.
    #[cfg(test)]
    pub(crate) fn with_wallets(wallets: Vec<(CustomerId, Currency, i64)>) -> Self {
        Self { wallets, ..Self::default() }
    }

    /// Reads what the records of a batch may change, and which of its orders are already settled. `deliveries`:
    /// whether deliveries advance automatically.
    pub async fn read(
        client: &impl GenericClient,
        partition: i32,
        state: &PartitionState,
        records: &[DecodedRecord],
        deliveries: bool,
    ) -> Result<Self, DatabaseError> {
        let mut prior = Self::read_orders(client, partition, records, deliveries).await?;
        let possible_duplicates = state.possible_duplicates(records);
        if !possible_duplicates.is_empty() {
            let select = include_str!("../../queries/select_settled_orders.sql");
            let select = client.prepare_cached(select).await?;
            let rows = client.query(&select, &[&possible_duplicates]).await?;
            prior.settled_orders = Some(rows.iter().map(|row| row.get(0)).collect());
        }
        Ok(prior)
    }

    /// Reads the orders and wallets that these records may change.
    pub async fn read_orders(
        client: &impl GenericClient,
        partition: i32,
        records: &[DecodedRecord],
        deliveries: bool,
    ) -> Result<Self, DatabaseError> {
        let bodies = || records.iter().filter_map(|record| record.body.as_ref().ok());
        let named: Vec<Uuid> = bodies().filter_map(as_command).map(|command| command.order_id.0).collect();
        let last_tick = bodies().filter_map(as_tick).max_by_key(|tick| tick.at);
        let mut orders: Vec<StoredOrder> = Vec::new();
        if !named.is_empty() {
            let select = include_str!("../../queries/select_standing_orders.sql");
            let select = client.prepare_cached(select).await?;
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
        Ok(Self { orders, wallets, settled_orders: None })
    }

    /// Reads the wallets that may be debited. Another partition may spend from them before the batch is committed:
    /// then the wallet's constraint rejects the batch, and it is decided again.
    async fn read_wallets(
        client: &impl GenericClient,
        orders: &[StoredOrder],
        records: &[DecodedRecord],
    ) -> Result<Vec<(CustomerId, Currency, i64)>, DatabaseError> {
        let mut payers: FxHashSet<&str> = FxHashSet::default();
        let mut paid_by_command = FxHashSet::default();
        for record in records.iter().filter_map(|record| record.body.as_ref().ok()) {
            match record {
                Record::Accepted(batch) => {
                    let pays = |order: &&Order| order.payment.as_deref().is_some_and(is_wallet_payment);
                    payers.extend(batch.orders.iter().filter(pays).map(|order| order.customer.as_str()));
                }
                Record::Command(Command { action: Action::Pay(request), customer_id, order_id, .. })
                    if is_wallet_payment(request) =>
                {
                    payers.extend(customer_id.as_ref().map(CustomerId::as_str));
                    paid_by_command.insert(order_id.0);
                }
                _ => {}
            }
        }
        let stored = orders.iter().filter(|order| paid_by_command.contains(&order.id));
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

    /// Returns the orders and wallets before the first of these records.
    pub fn order_states(&self, records: &[DecodedRecord]) -> OrderStates<'_> {
        let orders = self.orders.iter().map(|order| (order.id, order.state()));
        let wallets = self
            .wallets
            .iter()
            .map(|(customer, currency, balance)| ((customer.as_str(), *currency), *balance));
        OrderStates::new(records, orders.collect(), wallets.collect())
    }
}

fn is_wallet_payment(request: &PaymentRequest) -> bool {
    request.method == PaymentMethod::Wallet
}

fn as_command(record: &Record) -> Option<&Command> {
    match record {
        Record::Command(command) => Some(command),
        _ => None,
    }
}

fn as_tick(record: &Record) -> Option<Tick> {
    match record {
        Record::Tick(tick) => Some(*tick),
        _ => None,
    }
}

impl StoredOrder {
    fn state(&self) -> OrderState<'_> {
        let payment = self.payment.map(|payment| PaymentState {
            token: self.token.as_deref(),
            reason: self.payment_reason.as_deref(),
            ..payment
        });
        OrderState {
            sale: &self.sale,
            customer: &self.customer,
            status: self.status,
            cancel_reason: self.cancel_reason,
            sequence: self.sequence,
            amounts: self.amounts,
            currency: self.currency,
            fulfilment: self.fulfilment,
            payment,
            delivery: self.delivery,
            hold_expires_at: self.hold_expires_at,
            lines: Lines::Stored(&self.lines),
        }
    }

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
            fulfilment: Fulfilment::parse(row.get("fulfilment")).ok_or_else(|| invalid("fulfilment"))?,
            lines: lines.collect::<Result<_, contract::ids::InvalidName>>().map_err(|_| invalid("sku"))?,
            token: row.get("token"),
            payment_reason: row.get("payment_reason"),
            payment,
            delivery,
        })
    }
}
