//! Everything that a decision needs from Postgres, read before the first record of the batch is decided: the orders
//! that commands name, the orders that are due at a tick, the wallets that may be debited, and which orders of
//! possibly duplicate records are already settled.
//!
//! Most batches contain acceptances alone, and read nothing.

use contract::ids::{CustomerId, OrderId};
use contract::lifecycle::CancelReason;
use contract::money::Currency;
use contract::order::{Amounts, Order, PaymentMethod, PaymentRequest};
use contract::record::{Action, Command, Record, Tick};
use contract::timestamp::Timestamp;
use deadpool_postgres::GenericClient;
use rustc_hash::FxHashSet;
use time::OffsetDateTime;

use super::order_state::{DeliveryState, Lines, OrderState, OrderStates, PaymentState};
use super::partition_state::PartitionState;
use crate::consume::decoded_record::DecodedRecord;
use crate::queries::{
    SelectDueOrders, SelectSettledOrders, SelectStandingOrders, SelectWallets, StoredOrder,
};
use crate::store::database::DatabaseError;

/// The maximum number of orders that one tick changes; others that are due wait for the next tick.
const DUE_MAX: i64 = 2000;

/// The state in Postgres before the batch.
#[derive(Debug, Default)]
pub struct PriorState {
    orders: Vec<StoredOrder>,
    wallets: Vec<(CustomerId, Currency, i64)>,
    /// The orders of possibly duplicate records that are already settled; `None` if no record may be a duplicate.
    pub(super) settled_orders: Option<FxHashSet<OrderId>>,
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
            let rows = SelectSettledOrders { order_ids: &possible_duplicates }.fetch(client).await?;
            prior.settled_orders = Some(rows.into_iter().map(|row| row.order_id).collect());
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
        let named: Vec<_> = bodies().filter_map(as_command).map(|command| command.order_id).collect();
        let last_tick = bodies().filter_map(as_tick).max_by_key(|tick| tick.at);
        let mut orders: Vec<StoredOrder> = Vec::new();
        if !named.is_empty() {
            orders.extend(SelectStandingOrders { order_ids: &named }.fetch(client).await?);
        }
        if let Some(tick) = last_tick {
            let before = tick.due_before().to_datetime();
            let due = SelectDueOrders { partition, before, limit: DUE_MAX, automatic_delivery: deliveries };
            orders.extend(due.fetch(client).await?);
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
                    paid_by_command.insert(*order_id);
                }
                _ => {}
            }
        }
        let stored = orders.iter().filter(|order| paid_by_command.contains(&order.order_id));
        payers.extend(stored.map(|order| order.customer_id.as_str()));
        if payers.is_empty() {
            return Ok(Vec::new());
        }
        let payers: Vec<&str> = payers.into_iter().collect();
        let rows = SelectWallets { customer_ids: &payers }.fetch(client).await?;
        Ok(rows.into_iter().map(|row| (row.customer_id, row.currency, row.balance)).collect())
    }

    /// Returns the orders and wallets before the first of these records.
    pub fn order_states(&self, records: &[DecodedRecord]) -> OrderStates<'_> {
        let orders = self.orders.iter().map(|order| (order.order_id.0, order.state()));
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
        let at = |at: Option<OffsetDateTime>| at.map(Timestamp::from_datetime);
        let payment = match (self.method, self.payment_status, at(self.requested_at)) {
            (Some(method), Some(status), Some(requested_at)) => Some(PaymentState {
                method,
                token: self.token.as_deref(),
                status,
                reason: self.payment_reason.as_deref(),
                requested_at,
                captured_at: at(self.captured_at),
                refund_requested_at: at(self.refund_requested_at),
                refunded_at: at(self.refunded_at),
            }),
            _ => None,
        };
        let delivery = at(self.started_at).map(|started_at| DeliveryState {
            started_at,
            shipped_at: at(self.shipped_at),
            completed_at: at(self.completed_at),
            estimated_arrival: at(self.estimated_arrival),
            next_move_at: at(self.next_move_at),
        });
        OrderState {
            sale: &self.sale_id,
            customer: &self.customer_id,
            status: self.status,
            // A newer neighbour may have written a reason that this version does not have.
            cancel_reason: self.cancel_reason.as_deref().and_then(CancelReason::parse),
            sequence: self.sequence,
            // The table refuses negative amounts.
            amounts: Amounts {
                subtotal: self.subtotal as u64,
                discount: self.discount as u64,
                delivery_fee: self.delivery_fee as u64,
            },
            currency: self.currency,
            fulfilment: self.fulfilment,
            payment,
            delivery,
            hold_expires_at: Timestamp::from_datetime(self.hold_expires_at),
            lines: Lines::Stored { skus: &self.skus, quantities: &self.quantities },
        }
    }
}
