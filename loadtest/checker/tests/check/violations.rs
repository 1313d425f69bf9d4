//! Violations planted into plain data.

use checker::evaluate;
use checker::evidence::*;
use checker::finding::{Finding, Verdict};
use checker::ledger::LedgerEntry;
use contract::ids::{Epoch, OrderId, RequestDigest, Sequence};
use customers::journal::Entry;
use invariants::position::EventSequences;

use super::sale::{accepted, amounts, batch, dead_letter, healthy, order, response, row, sku, sold_out};

fn finding(evidence: &Evidence, invariant: u8) -> Finding {
    evaluate(evidence).into_iter().find(|finding| finding.invariant == invariant).unwrap()
}

/// Plants a violation into the healthy sale and expects the invariant's check to find it.
#[track_caller]
fn finds(invariant: u8, what: &str, plant: impl FnOnce(&mut Evidence)) {
    let mut evidence = healthy("planted");
    plant(&mut evidence);
    let finding = finding(&evidence, invariant);
    assert_eq!(finding.verdict, Verdict::Violated, "{what}: {finding:?}");
    assert!(
        finding.examples.iter().any(|example| example.contains(what)),
        "no example contains {what:?}: {:?}",
        finding.examples
    );
}

/// Plants something that is allowed.
#[track_caller]
fn accepts(invariant: u8, plant: impl FnOnce(&mut Evidence)) {
    let mut evidence = healthy("planted");
    plant(&mut evidence);
    let finding = finding(&evidence, invariant);
    assert_eq!(finding.verdict, Verdict::Ok, "{finding:?}");
}

#[test]
fn nothing_is_found_in_a_healthy_sale() {
    let findings = evaluate(&healthy("planted"));
    let numbers: Vec<_> = findings.iter().map(|finding| finding.invariant).collect();
    assert_eq!(numbers, (1..=10).collect::<Vec<u8>>());
    for finding in findings {
        let expected = if finding.invariant == 9 { Verdict::NotApplicable } else { Verdict::Ok };
        assert_eq!(finding.verdict, expected, "{finding:?}");
        assert_eq!(finding.violations, 0);
    }
}

#[test]
fn invariant_1_finds_an_oversold_item_and_counters_that_contradict_the_orders() {
    finds(1, "11 held + 0 sold of 10", |e| e.stored.items[0].held = 11);
    finds(1, "the order lines add up to 12 of 10", |e| e.stored.orders[0].lines[0].1 = 10);
    finds(1, "held + sold is 2, the order lines add up to 3", |e| e.stored.items[0].held = 2);
    finds(1, "is no item of the sale", |e| e.stored.orders[0].lines[0].0 = sku("X"));
    accepts(1, |e| {
        e.stored.orders[0].status = "cancelled".into();
        e.stored.items[0].held = 2;
    });
}

#[test]
fn invariant_2_finds_an_acceptance_without_its_row() {
    finds(2, "was accepted with 202 and has no row", |e| {
        e.stored.orders.remove(2);
    });
    finds(2, "sequence Some(3) acknowledged, 30 stored", |e| e.stored.orders[2].sequence = Sequence(30));
    finds(2, "lines", |e| e.stored.orders[1].lines[0].1 = 3);
    finds(2, "total", |e| e.stored.orders[0].total = 1);
    finds(2, "subtotal", |e| e.stored.orders[0].amounts = amounts(7));
    finds(2, "request digest", |e| e.stored.orders[0].digest = RequestDigest([0; 8]));
    finds(2, "the row belongs to", |e| e.stored.orders[0].customer = "someone-else".parse().unwrap());
    finds(2, "stored as processing", |e| e.stored.orders[0].status = "processing".into());
    finds(2, "more than one row", |e| e.stored.orders.push(e.stored.orders[0].clone()));
}

#[test]
fn invariant_3_finds_an_order_that_no_request_ordered_and_a_customer_above_the_limit() {
    finds(3, "no request ordered it", |e| e.stored.orders[0].key = "never-sent".parse_key());
    finds(3, "no request of this key had this body", |e| e.stored.orders[0].digest = RequestDigest([1; 8]));
    finds(3, "has 2 live orders, the limit is 1", |e| {
        let sale = e.stored.sale.sale_id.clone();
        let mut second = row(&order(&sale, 1, &[("C", 1)]), 5, 2);
        second.key = "other".parse_key();
        second.digest =
            e.journal.iter().find(|entry| entry.key.as_deref() == Some("other")).unwrap().digest.unwrap();
        e.stored.orders.push(second);
    });
    accepts(3, |e| {
        e.expectations.journal_complete = false;
        e.stored.orders[0].key = "never-sent".parse_key();
    });
}

#[test]
fn invariant_4_finds_two_orders_for_a_key_and_an_order_after_a_refusal() {
    finds(4, "got 202s of different orders", |e| {
        let other = e.stored.orders[1].id;
        let repeat = e.journal.iter_mut().find(|entry| entry.replayed).unwrap();
        repeat.order_id = Some(other);
    });
    finds(4, "its repeat was refused as Some(\"sold_out\")", |e| {
        let repeat = e.journal.iter_mut().find(|entry| entry.replayed).unwrap();
        *repeat = Entry { status: 409, code: Some("sold_out".into()), order_id: None, ..repeat.clone() };
    });
    finds(4, "another body got one too", |e| {
        let reused = e.journal.iter().position(|entry| entry.status == 422).unwrap();
        let (sale, first) = (e.stored.sale.sale_id.clone(), e.stored.orders[0].clone());
        e.journal[reused] = Entry { digest: Some(RequestDigest([9; 8])), ..accepted(&sale, 500, &first) };
    });
    finds(4, "and has the live order", |e| {
        // c8 was definitely refused, and an order of that key exists.
        let sale = e.stored.sale.sale_id.clone();
        let mut hidden = row(&order(&sale, 8, &[("B", 1)]), 5, 2);
        hidden.key = "k".parse_key();
        e.stored.orders.push(hidden);
    });
    finds(4, "was referred to an earlier order", |e| {
        let duplicate = e.journal.iter_mut().find(|x| x.code.as_deref() == Some("duplicate_order")).unwrap();
        duplicate.order_id = Some(OrderId(uuid::Uuid::nil()));
    });
    finds(4, "the key belongs to another request", |e| {
        let sale = e.stored.sale.sale_id.clone();
        e.journal.push(response(&sale, 600, "c7", "fresh", 422, Some("idempotency_key_reused")));
    });
    finds(4, "a customer's key is in more than one row", |e| {
        let mut twin = e.stored.orders[0].clone();
        twin.id = OrderId(uuid::Uuid::nil());
        e.stored.orders.push(twin);
    });
    // The first response was lost, and the request was refused later: the order of the two is unknown.
    accepts(4, |e| {
        let sale = e.stored.sale.sale_id.clone();
        e.journal.push(response(&sale, 30, "c4", "k4", 503, Some("outcome_unknown")));
    });
}

#[test]
fn invariant_5_finds_a_unit_that_is_lost_or_counted_twice() {
    let available = |e: &mut Evidence, units| {
        e.redis.as_mut().unwrap().available.insert("A".into(), Some(units));
    };
    finds(5, "= 11, the total is 10", |e| available(e, 8));
    finds(5, "= 9, the total is 10", |e| available(e, 6));
    finds(5, "the total is 10 in Postgres", |e| {
        e.redis.as_mut().unwrap().totals.insert("A".into(), 11);
    });
    finds(5, "the dead letters contain 2", |e| {
        let sale = e.stored.sale.sale_id.clone();
        e.stored.dead_letters.push(dead_letter(&sale, 4, &[("A", 2)]));
    });
    finds(5, "were returned twice", |e| {
        let release = |seq| ReleaseRow {
            seq,
            sku: Some(sku("A")),
            units: 1,
            change_id: None,
            order_id: Some(OrderId(uuid::Uuid::nil())),
        };
        e.stored.releases = vec![release(3), release(4)];
    });
    finds(5, "(cancelled): 1 of A ordered, 0 returned", |e| e.stored.orders[0].status = "cancelled".into());
    finds(5, "(created): 1 of A ordered, 1 returned", |e| {
        let (order_id, sku) = (Some(e.stored.orders[0].id), Some(sku("A")));
        e.stored.releases = vec![ReleaseRow { seq: 3, sku, units: 1, change_id: None, order_id }];
    });
    finds(5, "C: limited to None", |e| {
        e.redis.as_mut().unwrap().available.insert("C".into(), Some(5));
    });
    accepts(5, |e| {
        available(e, 4);
        e.redis.as_mut().unwrap().returning.insert("A".into(), 3);
    });
    let mut moving = healthy("planted");
    moving.pending.push("1 entry is in the outbox".into());
    assert_eq!(finding(&moving, 5).verdict, Verdict::Unchecked);
    moving.pending.clear();
    moving.redis = None;
    assert_eq!(finding(&moving, 5).verdict, Verdict::Unchecked);
}

#[test]
fn invariant_6_finds_units_left_over_although_customers_were_refused() {
    finds(6, "A: 7 units are left over", |e| e.expectations.sold_out = true);
    finds(6, "refused with 0 remaining, and 1 are left over", |e| e.stored.items[1].held = 1);
    accepts(6, |e| {
        e.stored.items[1].held = 1;
        e.stored.releases.push(ReleaseRow {
            seq: 5,
            sku: Some(sku("B")),
            units: 1,
            change_id: None,
            order_id: None,
        });
    });
}

#[test]
fn invariant_7_finds_gaps_duplicates_and_overtaking() {
    finds(7, "sequences 3 to 3 are missing", |e| {
        e.stored.orders[2].sequence = Sequence(5);
        e.stored.orders[3].sequence = Sequence(4);
    });
    finds(7, "exists twice", |e| e.stored.orders[3].sequence = Sequence(3));
    finds(7, "in the log and 7 in Postgres", |e| e.stored.orders[3].sequence = Sequence(7));
    finds(7, "later requests got 1", |e| {
        let sale = e.stored.sale.sale_id.clone();
        e.journal.push(sold_out(&sale, 50, "c6", 0)); // c4 arrived at 70 and got one
    });
    finds(7, "without sku and remaining", |e| {
        let sale = e.stored.sale.sale_id.clone();
        e.journal.push(response(&sale, 400, "c6", "k6", 409, Some("sold_out")));
    });
    finds(7, "the next sequence in Redis is 9", |e| e.redis.as_mut().unwrap().next = 9);
    // A refusal with one unit remaining, which another customer then gets.
    accepts(7, |e| {
        let sale = e.stored.sale.sale_id.clone();
        e.journal.push(sold_out(&sale, 50, "c6", 1));
    });
    // The request of the hung-up client was sent before the refusal.
    accepts(7, |e| {
        let sale = e.stored.sale.sale_id.clone();
        let late = e.journal.iter_mut().find(|x| x.status == 0).unwrap();
        late.lines = vec![("B".into(), 1)];
        e.journal.push(Entry { sku: Some("C".into()), ..sold_out(&sale, 30, "c6", 0) });
    });
    // Redis lost epoch 1 after sequence 2 was reserved and before it was handed off.
    accepts(7, |e| {
        e.stored.orders.remove(0);
        e.journal.retain(|entry| entry.sequence != Some(1));
        e.log[1] = batch(
            &e.stored.sale.sale_id,
            1,
            1,
            2,
            &[&order(&e.stored.sale.sale_id, 2, &[("A", 2), ("B", 1)])],
        );
    });
    finds(7, "sequences 1 to 1 are missing", |e| {
        e.stored.orders.remove(0); // and its customer got a 202
    });
}

#[test]
fn invariant_8_finds_illegal_histories_and_events_that_were_not_published() {
    finds(8, "has no event", |e| {
        e.stored.events.remove(0);
    });
    finds(8, "\"teleported\" is not a status", |e| e.stored.events[0].status = "teleported".into());
    finds(8, "no transition from processing to processing", |e| {
        e.stored.events[0].status = "processing".into()
    });
    finds(8, "no transition from created to created", |e| {
        let again = EventRow { seq: 5, ..e.stored.events[0].clone() };
        e.stored.events.push(again);
    });
    finds(8, "is not in order-events", |e| {
        e.published.remove(1);
    });
    finds(8, "in order-events", |e| e.published[1].key = e.published[0].key.clone());
    finds(8, "is (", |e| {
        let other = PublishedEvent { status: "cancelled".into(), ..e.published[0].clone() };
        e.published.push(other);
    });
    finds(8, "follows event", |e| {
        let key = e.published[3].key.clone();
        e.published.push(PublishedEvent { key, id: "2-0".into(), status: "created".into() });
    });
    finds(8, "is not partition-seq", |e| e.published[0].id = "nonsense".into());
    finds(8, "inventory-events reserves 0", |e| {
        e.movements.remove(0);
    });
    finds(8, "inventory-events reserves 2", |e| {
        let twice = PublishedMovement { id: "2-99-A".into(), ..e.movements[0].clone() };
        e.movements.push(twice);
    });
    finds(8, "3 events of the partition were not published in time", |e| e.unpublished = 3);
    finds(8, "the history ends with created, the order is cancelled", |e| {
        e.stored.orders[0].status = "cancelled".into();
    });
    finds(8, "inventory-events releases 1 of 1 A", |e| {
        let back = PublishedMovement {
            id: "2-98-A".into(),
            movement: "STOCK_RELEASED".into(),
            ..e.movements[0].clone()
        };
        e.movements.push(back);
    });
    // Delivery is at least once: the same message twice is allowed.
    accepts(8, |e| {
        e.published.push(e.published[0].clone());
        e.movements.push(e.movements[0].clone());
    });
}

/// Pays one order from a wallet and one by card, which is refunded; the card of a third order is declined.
fn pay(e: &mut Evidence) {
    let statuses = [
        ("preparing", "wallet", "captured"),
        ("refunded", "card", "refunded"),
        ("cancelled", "card", "failed"),
    ];
    for (order, (status, method, money)) in e.stored.orders.iter_mut().zip(statuses) {
        order.status = status.into();
        e.stored.payments.push(PaymentRow {
            order_id: order.id,
            method: method.into(),
            status: money.into(),
            amount: order.total,
            currency: "KRW".into(),
        });
    }
    let entry = |order: usize, captured, refunded| LedgerEntry {
        order_id: e.stored.orders[order].id,
        captured,
        refunded,
        currency: "KRW".into(),
    };
    let returned = e.stored.orders[1].total;
    e.ledger = Some(vec![entry(1, returned, returned), entry(2, 0, 0)]);
    let (order_id, customer) = (e.stored.orders[0].id, e.stored.orders[0].customer.to_string());
    let amount = -i64::try_from(e.stored.orders[0].total).unwrap();
    e.stored.wallet_entries.push(WalletEntryRow { order_id, customer: customer.clone(), amount });
    e.stored.wallets.push(WalletRow { customer, currency: "KRW".into(), balance: 7, entries: 7 });
}

#[test]
fn invariant_9_finds_money_that_is_missing_duplicated_or_without_an_order() {
    let finds = |what: &str, plant: &dyn Fn(&mut Evidence)| {
        finds(9, what, |e| {
            pay(e);
            plant(e);
        });
    };
    accepts(9, pay);
    finds("is preparing and has no payment", &|e| drop(e.stored.payments.remove(0)));
    finds("has two payments", &|e| e.stored.payments.push(e.stored.payments[0].clone()));
    finds("its payment is 1", &|e| e.stored.payments[0].amount = 1);
    finds("is preparing, its payment is requested", &|e| e.stored.payments[0].status = "requested".into());
    finds("is cancelled, its payment is captured", &|e| e.stored.payments[2].status = "captured".into());
    finds("is cancelled, its payment is refund_requested", &|e| {
        e.stored.payments[2].status = "refund_requested".into()
    });
    finds("and the paid orders' totals are", &|e| e.stored.payments[1].status = "captured".into());
    finds("which is no order of the sale", &|e| e.stored.payments[1].order_id = OrderId(uuid::Uuid::nil()));
    finds("the wallet entries are []", &|e| e.stored.wallet_entries.clear());
    finds("the wallet entries are [-", &|e| e.stored.wallet_entries.push(e.stored.wallet_entries[0].clone()));
    finds("the sum of its entries is 8", &|e| e.stored.wallets[0].entries = 8);
    finds("has -1", &|e| e.stored.wallets[0].balance = -1);
}

/// Plants violations into the provider's ledger.
#[test]
fn invariant_9_finds_what_the_provider_captured_twice_or_kept() {
    let finds = |what: &str, plant: &dyn Fn(&mut Vec<LedgerEntry>)| {
        finds(9, what, |e| {
            pay(e);
            plant(e.ledger.as_mut().unwrap());
        });
    };
    accepts(9, |e| {
        pay(e);
        e.ledger = None; // the provider was not queried
    });
    super::violations::finds(9, "its card payment is none: the provider captured", |e| {
        pay(e);
        let paid_by_wallet = e.stored.orders[0].id;
        e.ledger.as_mut().unwrap()[1].order_id = paid_by_wallet;
        e.ledger.as_mut().unwrap()[1].captured = e.stored.orders[0].total;
    });
    finds("the provider captured", &|ledger| ledger[0].refunded = 0);
    finds("was charged 2 times", &|ledger| ledger.push(ledger[0].clone()));
    finds("the provider captured 1", &|ledger| (ledger[0].captured, ledger[0].refunded) = (1, 1));
    finds("its card payment is failed: the provider captured", &|ledger| ledger[1].captured = 5);
    finds("a currency other than", &|ledger| ledger[1].currency = "USD".into());
    finds("which is no order of the sale", &|ledger| ledger[1].order_id = OrderId(uuid::Uuid::nil()));
}

#[test]
fn invariant_10_finds_records_skipped_duplicated_or_invented() {
    finds(10, "was acknowledged and skipped", |e| {
        e.stored.orders.remove(3);
    });
    finds(10, "is in Postgres and is not in the log", |e| {
        let sale = e.stored.sale.sale_id.clone();
        e.stored.orders.push(row(&order(&sale, 6, &[("A", 1)]), 5, 2));
    });
    finds(10, "is in Postgres and is void in the log", |e| {
        let sale = e.stored.sale.sale_id.clone();
        e.stored.orders.push(row(&order(&sale, 9, &[("B", 1)]), 5, 1));
    });
    finds(10, "differs between Postgres and the log", |e| e.stored.orders[0].lines[0].1 = 2);
    finds(10, "cannot be decoded", |e| e.log[4].record = Err("no JSON".into()));
    finds(10, "settled_epoch is 1", |e| e.stored.sale.settled_epoch = Epoch(1));
    finds(10, "the end of the log was 6", |e| e.stored.position.next_offset = 5);
    finds(10, "the log ends at 6", |e| e.stored.position.next_offset = 9);
    finds(10, "next_seq is 7", |e| e.stored.position.events.next = 7);
    finds(10, "1 of 5 event sequences are missing", |e| {
        e.stored.position.events = EventSequences { max: 5, next: 6, ..e.stored.position.events };
    });
    finds(10, "5 event rows share 4 sequences", |e| e.stored.position.events.rows = 5);
    finds(10, "the log has no command for it", |e| {
        e.stored.orders[0].status = "cancelled".into();
        e.stored.orders[0].cancel_reason = Some("customer".into());
    });
    accepts(10, |e| {
        let sale = e.stored.sale.sale_id.clone();
        e.log.push(LogRecord {
            record: Err("no JSON".into()),
            ..batch(&sale, 6, 2, 5, &[&order(&sale, 5, &[])])
        });
        e.stored.dead_letters.push(dead_letter(&sale, 6, &[]));
        e.stored.position.next_offset = 7;
        e.log_end = 7..=7;
    });
}

trait ParseKey {
    fn parse_key(&self) -> contract::ids::IdempotencyKey;
}
impl ParseKey for str {
    fn parse_key(&self) -> contract::ids::IdempotencyKey {
        contract::ids::IdempotencyKey::parse(self).unwrap()
    }
}
