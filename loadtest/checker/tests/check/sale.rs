//! A healthy small sale: two epochs with a rebuild between them, a duplicated record, a void record, and
//! customers who repeat requests, hang up, arrive too late and make mistakes.

use std::collections::BTreeMap;

use checker::evidence::*;
use contract::ids::{CustomerId, Epoch, IdempotencyKey, RequestDigest, SaleId, Sequence, Sku};
use contract::order::{Amounts, Line, Order};
use contract::record::{AcceptedBatch, Barrier, Headers, Record, RecordType, units};
use contract::timestamp::Timestamp;
use customers::journal::{Class, Entry};
use customers::request;
use invariants::position::EventSequences;

pub(crate) const PARTITION: i32 = 2;
const PRICE: u64 = 100;

pub(crate) fn sku(text: &str) -> Sku {
    Sku::parse(text).unwrap()
}

/// Returns the order of the n-th customer for these lines.
pub(crate) fn order(sale: &SaleId, n: u64, lines: &[(&str, u32)]) -> Order {
    let customer = CustomerId::parse(&format!("c{n}")).unwrap();
    let key = IdempotencyKey::parse(&format!("k{n}")).unwrap();
    let at = Timestamp(1_790_000_000_000);
    let priced =
        lines.iter().map(|(s, quantity)| Line { sku: sku(s), quantity: *quantity, unit_price: PRICE });
    Order { digest: digest(lines), hold_seconds: 60, ..Order::plain(sale, customer, key, at, priced) }
}

fn digest(lines: &[(&str, u32)]) -> RequestDigest {
    let lines: Vec<_> = lines.iter().map(|(sku, n)| (*sku, i64::from(*n))).collect();
    request::order_with_lines(&lines).digest()
}

pub(crate) fn row(order: &Order, sequence: u64, epoch: u64) -> OrderRow {
    OrderRow {
        id: order.id,
        customer: order.customer.clone(),
        key: order.key.clone(),
        digest: order.digest,
        status: "created".into(),
        cancel_reason: None,
        sequence: Sequence(sequence),
        epoch: Epoch(epoch),
        amounts: order.amounts(),
        total: order.amounts().total(),
        lines: order.lines.iter().map(|line| (line.sku.clone(), u64::from(line.quantity))).collect(),
    }
}

pub(crate) fn batch(sale: &SaleId, offset: i64, epoch: u64, first: u64, orders: &[&Order]) -> LogRecord {
    let orders: Vec<Order> = orders.iter().map(|order| (*order).clone()).collect();
    let headers = Headers::accepted(Epoch(epoch), Sequence(first), orders.len() as u64, units(&orders));
    let batch = AcceptedBatch {
        sale_id: sale.clone(),
        epoch: Epoch(epoch),
        first_sequence: Sequence(first),
        accepted_at: Timestamp(1_790_000_000_000),
        orders,
    };
    LogRecord { offset, headers, record: Ok(Record::Accepted(batch)) }
}

pub(crate) fn barrier(sale: &SaleId, offset: i64, epoch: u64) -> LogRecord {
    let barrier = Barrier { sale_id: sale.clone(), epoch: Epoch(epoch) };
    let headers = Headers::with_epoch(RecordType::Barrier, Epoch(epoch));
    LogRecord { offset, headers, record: Ok(Record::Barrier(barrier)) }
}

/// Returns the journal entry of a customer's acceptance.
pub(crate) fn accepted(sale: &SaleId, at: u64, order: &OrderRow) -> Entry {
    Entry {
        status: 202,
        order_id: Some(order.id),
        sequence: Some(order.sequence.0),
        subtotal: Some(order.amounts.subtotal),
        discount: Some(order.amounts.discount),
        delivery_fee: Some(order.amounts.delivery_fee),
        total: Some(order.total),
        digest: Some(order.digest),
        lines: order.lines.iter().map(|(sku, n)| (sku.to_string(), *n)).collect(),
        ..response(sale, at, order.customer.as_str(), order.key.as_str(), 202, None)
    }
}

/// Returns the journal entry of a request and its response.
pub(crate) fn response(
    sale: &SaleId,
    at: u64,
    customer: &str,
    key: &str,
    status: u16,
    code: Option<&str>,
) -> Entry {
    Entry {
        sent_us: at,
        answered_us: at + 5,
        sale: sale.to_string(),
        customer: customer.into(),
        key: Some(key.into()),
        gateway: "g".into(),
        class: Class::Plain,
        digest: Some(digest(&[("B", 1)])),
        lines: vec![("B".into(), 1)],
        status,
        code: code.map(str::to_owned),
        order_id: None,
        sequence: None,
        subtotal: None,
        discount: None,
        delivery_fee: None,
        total: None,
        sku: None,
        remaining: None,
        replayed: false,
        retry_after_seconds: None,
    }
}

pub(crate) fn sold_out(sale: &SaleId, at: u64, customer: &str, remaining: u64) -> Entry {
    Entry {
        sku: Some("B".into()),
        remaining: Some(remaining),
        ..response(sale, at, customer, "k", 409, Some("sold_out"))
    }
}

/// Returns a sale of A (10 units, 3 held), B (2 units, all held) and C (unlimited).
pub(crate) fn healthy(sale: &str) -> Evidence {
    let sale = SaleId::parse(sale).unwrap();
    let orders = [
        order(&sale, 1, &[("A", 1)]),
        order(&sale, 2, &[("A", 2), ("B", 1)]),
        order(&sale, 3, &[("C", 3)]),
        order(&sale, 4, &[("B", 1)]),
    ];
    let void = order(&sale, 9, &[("B", 1)]);
    let rows =
        vec![row(&orders[0], 1, 1), row(&orders[1], 2, 1), row(&orders[2], 3, 2), row(&orders[3], 4, 2)];
    let log = vec![
        barrier(&sale, 0, 1),
        batch(&sale, 1, 1, 1, &[&orders[0], &orders[1]]),
        barrier(&sale, 2, 2),
        batch(&sale, 3, 1, 3, &[&void]),
        batch(&sale, 4, 2, 3, &[&orders[2], &orders[3]]),
        batch(&sale, 5, 2, 3, &[&orders[2], &orders[3]]),
    ];
    let journal = journal(&sale, &rows);
    let events =
        rows.iter().zip(1..).map(|(row, seq)| EventRow { seq, order_id: row.id, status: "created".into() });
    let events: Vec<_> = events.collect();
    Evidence {
        expectations: Expectations { journal_complete: true, sold_out: false },
        pending: Vec::new(),
        unpublished: 0,
        published: events.iter().map(published).collect(),
        movements: movements(&rows, &events),
        stored: stored(sale, rows, events),
        ledger: None,
        redis: Some(RedisState {
            available: [("A".into(), Some(7)), ("B".into(), Some(0)), ("C".into(), None)].into(),
            totals: [("A".into(), 10), ("B".into(), 2)].into(),
            returning: BTreeMap::new(),
            next: 5,
            released: 4,
            change: None,
            outbox: 0,
        }),
        log,
        log_end: 6..=6,
        journal,
    }
}

/// Returns the rows of the healthy sale in Postgres.
fn stored(sale: SaleId, orders: Vec<OrderRow>, events: Vec<EventRow>) -> Stored {
    let item = |name: &str, total, held| ItemRow { sku: sku(name), total, held, sold: 0, dead_lettered: 0 };
    Stored {
        sale: SaleRow {
            sale_id: sale,
            partition: PARTITION,
            state: "open".into(),
            epoch: Epoch(2),
            settled_epoch: Epoch(2),
            ready: true,
            max_orders_per_customer: Some(1),
        },
        items: vec![item("A", Some(10), 3), item("B", Some(2), 2), item("C", None, 3)],
        orders,
        events,
        releases: Vec::new(),
        changes: Vec::new(),
        dead_letters: Vec::new(),
        position: Position {
            next_offset: 6,
            events: EventSequences { next: 5, max: 4, rows: 4, distinct: 4 },
        },
        payments: Vec::new(),
        wallet_entries: Vec::new(),
        wallets: Vec::new(),
    }
}

fn journal(sale: &SaleId, rows: &[OrderRow]) -> Vec<Entry> {
    let repeat = Entry { replayed: true, class: Class::Repeated, ..accepted(sale, 900, &rows[0]) };
    let hung_up = Entry {
        status: 0,
        code: Some("no_answer".into()),
        order_id: None,
        class: Class::HungUp,
        ..accepted(sale, 20, &rows[2])
    };
    let reused = response(sale, 200, "c1", "k1", 422, Some("idempotency_key_reused"));
    let duplicate = Entry {
        order_id: Some(rows[0].id),
        ..response(sale, 210, "c1", "other", 409, Some("duplicate_order"))
    };
    let malformed = Entry {
        key: None,
        digest: None,
        lines: Vec::new(),
        class: Class::Malformed,
        ..response(sale, 220, "c7", "", 400, Some("malformed_request"))
    };
    vec![
        accepted(sale, 10, &rows[0]),
        accepted(sale, 15, &rows[1]),
        hung_up,
        accepted(sale, 60, &rows[2]),
        accepted(sale, 70, &rows[3]),
        reused,
        duplicate,
        malformed,
        // Void: nothing was acknowledged, so the request is retried and refused.
        response(sale, 40, "c9", "k9", 503, Some("outcome_unknown")),
        Entry { key: Some("k9".into()), ..sold_out(sale, 300, "c9", 0) },
        sold_out(sale, 310, "c8", 0),
        repeat,
    ]
}

pub(crate) fn published(event: &EventRow) -> PublishedEvent {
    PublishedEvent {
        key: event.order_id.to_string(),
        id: format!("{PARTITION}-{}", event.seq),
        status: event.status.clone(),
    }
}

fn movements(rows: &[OrderRow], events: &[EventRow]) -> Vec<PublishedMovement> {
    let lines =
        rows.iter().zip(events).flat_map(|(row, event)| row.lines.iter().map(move |line| (row, event, line)));
    lines
        .map(|(row, event, (sku, quantity))| PublishedMovement {
            id: format!("{PARTITION}-{}-{sku}", event.seq),
            movement: "STOCK_RESERVED".into(),
            order_id: Some(row.id),
            sku: sku.to_string(),
            quantity: *quantity,
        })
        .collect()
}

/// Returns the dead letter of a batch that could not be applied.
pub(crate) fn dead_letter(sale: &SaleId, offset: i64, units: &[(&str, u64)]) -> DeadLetterRow {
    DeadLetterRow {
        offset,
        undecided: true,
        replayed: false,
        sale_id: Some(sale.to_string()),
        reason: "malformed".into(),
        units: units.iter().map(|(sku, n)| ((*sku).to_owned(), *n)).collect(),
    }
}

pub(crate) fn amounts(subtotal: u64) -> Amounts {
    Amounts { subtotal, discount: 0, delivery_fee: 0 }
}
