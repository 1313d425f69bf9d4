//! Tests of decisions, without Postgres.

use super::records::decide;
use super::*;
use crate::consume::decoded_record::RawRecord;
use crate::decide::partition_state::CachedSale;
use contract::ids::{CustomerId, IdempotencyKey, SaleId, Sku};
use contract::order::Line;
use contract::record::{Action, Command, Headers, OutboxId, RecordType, Tick};
use contract::timestamp::Timestamp;
use contract::wire;

pub(super) fn record(offset: i64, key: &str, headers: Headers, value: Vec<u8>) -> DecodedRecord {
    let raw = RawRecord { key: Some(key.into()), value: Some(value), headers: vec![] };
    let record = DecodedRecord::new(offset, headers, raw);
    assert!(record.body.is_ok(), "{:?}", record.body);
    record
}

/// Returns the state of a partition with one sale, of item A, in its first epoch.
pub(super) fn partition_with_sale(sale: &SaleId, next_seq: i64) -> PartitionState {
    let mut state = PartitionState::new(0, next_seq);
    let cached = CachedSale {
        partition: 0,
        next_sequence: 1,
        settled_epoch: Epoch(1),
        currency: Currency::KRW,
        skus: [Sku::parse("A").unwrap()].into_iter().collect(),
    };
    state.sales.insert(sale.clone(), cached);
    state
}

/// Many records of one batch may change an order: it moves once, and its units are released once.
#[test]
fn an_order_moves_once_in_a_batch_that_creates_cancels_and_expires_it() {
    let (sale, at) = (SaleId::parse("s").unwrap(), Timestamp(1_790_000_000_000));
    let (customer, key) = (CustomerId::parse("c").unwrap(), IdempotencyKey::parse("k").unwrap());
    let lines = [Line { sku: Sku::parse("A").unwrap(), quantity: 2, unit_price: 1 }];
    let order = Order { hold_seconds: 60, ..Order::plain(&sale, customer.clone(), key, at, lines) };
    let json = wire::encode(&order);
    let id = OutboxId::batch(Sequence(1), 1);
    let accepted = lua::outbox::accepted_record(&sale, Epoch(1), id, at, &json, [&order]);
    let command = Command {
        sale_id: sale.clone(),
        order_id: order.id,
        customer_id: Some(customer),
        at,
        action: Action::Cancel,
    };
    let command = wire::encode(&command).to_vec();
    let cancel = || Headers::without_epoch(RecordType::Command);
    let tick = wire::encode(&Tick { at: at.plus_seconds(3600) }).to_vec();
    let records = [
        record(0, "s", accepted.headers, accepted.value.to_vec()),
        record(1, "s", cancel(), command.clone()),
        record(2, "s", cancel(), command),
        record(3, "", Headers::without_epoch(RecordType::Tick), tick),
    ];
    let state = partition_with_sale(&sale, 7);
    let prior = PriorState::default();
    let effects = decide(0, &state, &records, &prior, BatchTime::default());
    assert_eq!((effects.moves.order_id.len(), &effects.releases.units), (1, &vec![2]));
    assert_eq!(effects.units.get(&(&sale, &Sku::parse("A").unwrap())), Some(&UnitChange::default()));
    assert_eq!(effects.commands, [("cancel", CommandResult::Applied), ("cancel", CommandResult::Illegal)]);
    assert_eq!((effects.expired_orders, effects.first_release_seq(7)), (0, 9));
    assert_eq!(effects.state_update().seqs, 3, "created, cancelled, units released");
}
