//! The payment and the delivery of orders, and commands that arrive twice, late, or out of order.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use contract::ids::{Epoch, SaleId};
use contract::lifecycle::OrderStatus;
use contract::money::Currency;
use contract::order::{Fulfilment, Order, PaymentMethod, PaymentRequest};
use contract::payment::payment_id;
use contract::record::{Action, DeliveryChange, PaymentOutcome, PaymentResult, RefundResult};
use support::{Bench, acceptance, command, now, order, tick};
use testkit::{fresh, until};

/// Returns the status of an order, the status of its payment, and its history.
async fn read_order(bench: &Bench, order: &Order) -> (String, Option<String>, Vec<String>) {
    let select = "SELECT o.status, p.status, (SELECT array_agg(status ORDER BY seq) FROM order_event e \
                  WHERE e.order_id = o.order_id) FROM customer_order o LEFT JOIN payment p USING (order_id) \
                  WHERE o.order_id = $1";
    let row = bench.db.query_one(select, &[&order.id.0]).await.unwrap();
    (row.get(0), row.get(1), row.get(2))
}

async fn notes(bench: &Bench, order: &Order) -> Vec<(String, String)> {
    let select = "SELECT command, result FROM order_note WHERE order_id = $1 ORDER BY log_offset";
    let rows = bench.db.query(select, &[&order.id.0]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn held_and_sold(bench: &Bench, sale: &SaleId) -> (i64, i64) {
    let select = "SELECT held, sold FROM sale_item WHERE sale_id = $1 AND sku = 'A'";
    let row = bench.db.query_one(select, &[&sale.as_str()]).await.unwrap();
    (row.get(0), row.get(1))
}

async fn credit(bench: &Bench, customer: &str, amount: i64) {
    let entry =
        "INSERT INTO wallet_entry (customer_id, currency, amount, reason) VALUES ($1, 'KRW', $2, 'credit')";
    bench.db.execute(entry, &[&customer, &amount]).await.unwrap();
    let wallet = "INSERT INTO wallet (customer_id, currency, balance) VALUES ($1, 'KRW', $2)";
    bench.db.execute(wallet, &[&customer, &amount]).await.unwrap();
}

async fn balance(bench: &Bench, customer: &str) -> i64 {
    let select = "SELECT balance FROM wallet WHERE customer_id = $1";
    bench.db.query_one(select, &[&customer]).await.unwrap().get(0)
}

fn pay_by(method: PaymentMethod) -> PaymentRequest {
    PaymentRequest { method, token: (method == PaymentMethod::Card).then(|| "tok_approve".into()) }
}

fn payment_result(order: &Order, result: PaymentOutcome) -> Action {
    let reason = (result == PaymentOutcome::Failed).then(|| "card_declined".into());
    let (amount, currency) = (order.amounts().total(), Currency::KRW);
    Action::PaymentResult(PaymentResult {
        payment_id: payment_id(order.id),
        result,
        amount,
        currency,
        reason,
    })
}

fn refund_result(order: &Order) -> Action {
    let (amount, currency) = (order.amounts().total(), Currency::KRW);
    Action::RefundResult(RefundResult { payment_id: payment_id(order.id), amount, currency })
}

fn deliver(status: OrderStatus) -> Action {
    Action::Deliver(DeliveryChange { status })
}

/// Settles orders in one batch, followed by commands to them, which may be in other batches or in the same.
async fn settle(bench: &Bench, sale: &SaleId, epoch: Epoch, orders: &[Order], commands: &[(usize, Action)]) {
    let mut last = bench.write(0, sale, &acceptance(sale, epoch, 1, orders)).await;
    for (order, action) in commands {
        last = bench.write(0, sale, &command(sale, &orders[*order], action.clone())).await;
    }
    bench.until_settled(0, last).await;
}

use PaymentOutcome::{Failed, Succeeded};

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_pays_in_the_same_transaction_or_the_order_is_cancelled() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    let (rich, poor) = (fresh("rich"), fresh("poor"));
    credit(&bench, &rich, 350).await;
    credit(&bench, &poor, 99).await;
    let paid = |customer: &str| Order {
        payment: Some(Box::new(pay_by(PaymentMethod::Wallet))),
        ..order(&sale, customer, &[("A", 1)])
    };
    let stored = Order { fulfilment: Some(Fulfilment::Store), ..paid(&rich) };
    let later = order(&sale, &rich, &[("A", 1)]);
    // A command pays the third order of the rich customer; the wallet does not cover the fourth.
    let orders = [paid(&rich), paid(&poor), stored, later, paid(&rich)];
    settle(&bench, &sale, epoch, &orders, &[(3, Action::Pay(pay_by(PaymentMethod::Wallet)))]).await;

    let path = ["created", "payment_requested", "payment_completed", "preparing"];
    assert_eq!(
        read_order(&bench, &orders[0]).await,
        ("preparing".into(), Some("captured".into()), path.map(String::from).into())
    );
    let (status, payment, history) = read_order(&bench, &orders[1]).await;
    assert_eq!((status.as_str(), payment.as_deref()), ("cancelled", Some("failed")));
    assert_eq!(history, ["created", "payment_requested", "payment_failed", "cancelled"]);
    assert_eq!(read_order(&bench, &orders[2]).await.0, "in_warehouse");
    let others = (read_order(&bench, &orders[3]).await.0, read_order(&bench, &orders[4]).await.0);
    // The fifth order was accepted and paid before the command.
    assert_eq!((others.0.as_str(), others.1.as_str()), ("cancelled", "preparing"));
    assert_eq!((balance(&bench, &rich).await, balance(&bench, &poor).await), (50, 99));
    assert_eq!(held_and_sold(&bench, &sale).await, (0, 3));
    let select = "SELECT kind, tracking_number, courier FROM delivery WHERE order_id = $1";
    let sent = bench.db.query_one(select, &[&orders[0].id.0]).await.unwrap();
    let prefix = format!("TRACK-{}-", orders[0].id);
    assert!(sent.get::<_, &str>(1).starts_with(&prefix) && sent.get::<_, &str>(0) == "ship");
    let kept = bench.db.query_one(select, &[&orders[2].id.0]).await.unwrap();
    assert_eq!((kept.get::<_, &str>(0), kept.get::<_, Option<&str>>(1)), ("store", None));
    bench.check(&sale).await;

    // Cancelled before shipment: the money is refunded and the units are released at once.
    let last = bench.write(0, &sale, &command(&sale, &orders[0], Action::Cancel)).await;
    bench.until_settled(0, last).await;
    let (status, payment, _) = read_order(&bench, &orders[0]).await;
    assert_eq!((status.as_str(), payment.as_deref()), ("cancelled", Some("refunded")));
    assert_eq!((balance(&bench, &rich).await, held_and_sold(&bench, &sale).await), (150, (0, 2)));
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_results_of_a_card_payment_are_applied_once_in_any_order() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    let orders: Vec<_> = (0..8).map(|n| order(&sale, &format!("c{n}"), &[("A", 1)])).collect();
    let card = || Action::Pay(pay_by(PaymentMethod::Card));
    let cheap = Action::PaymentResult(PaymentResult {
        payment_id: payment_id(orders[5].id),
        result: Succeeded,
        amount: 1,
        currency: Currency::KRW,
        reason: None,
    });
    let Action::PaymentResult(failed) = payment_result(&orders[7], Failed) else { unreachable!() };
    let reason_with_nul = PaymentResult { reason: Some("no\0money".into()), ..failed };
    let commands = [
        // Paid; the result arrives twice, then the opposite result.
        (0, card()),
        (0, payment_result(&orders[0], Succeeded)),
        (0, payment_result(&orders[0], Succeeded)),
        (0, payment_result(&orders[0], Failed)),
        (0, card()),
        // Declined.
        (1, card()),
        (1, payment_result(&orders[1], Failed)),
        // Cancelled while the payment is in progress; the card is charged nevertheless, and refunded.
        (2, card()),
        (2, Action::Cancel),
        (2, payment_result(&orders[2], Succeeded)),
        // Declined, and charged after all.
        (3, card()),
        (3, payment_result(&orders[3], Failed)),
        (3, payment_result(&orders[3], Succeeded)),
        (3, refund_result(&orders[3])),
        (3, refund_result(&orders[3])),
        // This payment was never requested.
        (4, payment_result(&orders[4], Succeeded)),
        // The amount differs from the order's.
        (5, card()),
        (5, cheap),
        // Cancelled while the payment is in progress, and declined.
        (6, card()),
        (6, Action::Cancel),
        (6, payment_result(&orders[6], Failed)),
        // Declined, with a reason that Postgres cannot store.
        (7, card()),
        (7, Action::PaymentResult(reason_with_nul)),
    ];
    settle(&bench, &sale, epoch, &orders, &commands).await;

    let expected = [
        ("preparing", Some("captured")),
        ("cancelled", Some("failed")),
        ("cancelled", Some("refund_requested")),
        ("cancelled", Some("refunded")),
        ("created", None),
        ("payment_requested", Some("requested")),
        ("cancelled", Some("failed")),
        ("cancelled", Some("failed")),
    ];
    for (order, (status, payment)) in orders.iter().zip(expected) {
        let found = read_order(&bench, order).await;
        assert_eq!((found.0.as_str(), found.1.as_deref()), (status, payment), "{:?}", found.2);
    }
    let note = |command: &str, result: &str| (command.to_string(), result.to_string());
    let ignored = note("payment_result", "illegal");
    assert_eq!(notes(&bench, &orders[0]).await, [ignored.clone(), ignored, note("pay", "illegal")]);
    assert_eq!(notes(&bench, &orders[2]).await, [note("payment_result", "late")]);
    let twice = [note("payment_result", "late"), note("refund_result", "illegal")];
    assert_eq!(notes(&bench, &orders[3]).await, twice);
    assert_eq!(notes(&bench, &orders[4]).await, [note("payment_result", "mismatch")]);
    assert_eq!(notes(&bench, &orders[5]).await, [note("payment_result", "mismatch")]);
    assert_eq!(held_and_sold(&bench, &sale).await, (2, 1));
    bench.check(&sale).await;

    let last = bench.write(0, &sale, &command(&sale, &orders[0], Action::Cancel)).await;
    bench.write(0, &sale, &command(&sale, &orders[2], refund_result(&orders[2]))).await;
    let last = last.max(bench.write(0, &sale, &command(&sale, &orders[0], refund_result(&orders[0]))).await);
    bench.until_settled(0, last).await;
    for order in [0, 2] {
        let (status, payment, _) = read_order(&bench, &orders[order]).await;
        assert_eq!((status.as_str(), payment.as_deref()), ("cancelled", Some("refunded")));
    }
    assert_eq!(held_and_sold(&bench, &sale).await, (2, 0));
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_advance_by_ticks_or_commands_and_returns_are_refunded() {
    let bench = Bench::start(1).await; // ships after 1800 s, scans after 600 s, delivers 7200 s after shipping
    let (sale, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    let customer = fresh("c");
    credit(&bench, &customer, 1000).await;
    let wallet = || Some(Box::new(pay_by(PaymentMethod::Wallet)));
    let orders = [
        Order { payment: wallet(), ..order(&sale, &customer, &[("A", 1)]) },
        Order {
            payment: wallet(),
            fulfilment: Some(Fulfilment::Store),
            ..order(&sale, &customer, &[("A", 1)])
        },
        Order { payment: wallet(), ..order(&sale, &customer, &[("A", 1)]) },
    ];
    let begun = now();
    settle(
        &bench,
        &sale,
        epoch,
        &orders,
        &[(2, deliver(OrderStatus::InTransit)), (2, deliver(OrderStatus::Shipped))],
    )
    .await;
    assert_eq!(read_order(&bench, &orders[2]).await.0, "in_transit");
    assert_eq!(notes(&bench, &orders[2]).await, [("deliver".to_string(), "illegal".to_string())]);
    let tick_after = async |seconds: u64| {
        let at = begun.plus_seconds(seconds);
        let offset = bench.write_raw(0, "", &tick(at).value, &tick(at).headers.encode()).await;
        bench.until_settled(0, offset).await;
        (
            read_order(&bench, &orders[0]).await.0,
            read_order(&bench, &orders[1]).await.0,
            read_order(&bench, &orders[2]).await.0,
        )
    };
    let statuses = |a: &str, b: &str, c: &str| (a.to_string(), b.to_string(), c.to_string());
    assert_eq!(tick_after(1790).await, statuses("preparing", "in_warehouse", "in_transit"));
    assert_eq!(tick_after(1860).await, statuses("shipped", "in_warehouse", "in_transit"));
    // The next step is due by the clock of this process, not by that of the tick.
    assert_eq!(tick_after(660).await, statuses("in_transit", "in_warehouse", "in_transit"));
    assert_eq!(tick_after(7260).await, statuses("delivered", "in_warehouse", "delivered"));
    assert_eq!(tick_after(604_860).await, statuses("delivered", "delivered", "delivered"));
    assert_eq!((balance(&bench, &customer).await, held_and_sold(&bench, &sale).await), (700, (0, 3)));
    bench.check(&sale).await;

    for action in [Action::Cancel, Action::Refund, Action::Refund] {
        let last = bench.write(0, &sale, &command(&sale, &orders[0], action)).await;
        bench.until_settled(0, last).await;
    }
    let (status, payment, history) = read_order(&bench, &orders[0]).await;
    assert_eq!((status.as_str(), payment.as_deref()), ("refunded", Some("refunded")));
    assert_eq!(history[history.len() - 3..], ["delivered", "refund_requested", "refunded"]);
    let note = |command: &str| (command.to_string(), "illegal".to_string());
    assert_eq!(notes(&bench, &orders[0]).await, [note("cancel"), note("refund")]);
    assert_eq!((balance(&bench, &customer).await, held_and_sold(&bench, &sale).await), (800, (0, 3)));
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_two_partitions_spend_at_once_never_goes_below_zero() {
    let bench = Bench::start(2).await; // each partition has one owner
    let customer = fresh("spender");
    credit(&bench, &customer, 10_000).await;
    let mut sales = Vec::new();
    for partition in [0, 1, 2, 3] {
        let (sale, epoch) = bench.open(partition, None, &[("A", Some(1000))]).await;
        sales.push((partition, sale, epoch));
    }
    let mut last = Vec::new();
    for first in (1..=60u64).step_by(2) {
        for (partition, sale, epoch) in &sales {
            let paid = || Order {
                payment: Some(Box::new(pay_by(PaymentMethod::Wallet))),
                ..order(sale, &customer, &[("A", 1)])
            };
            let record = acceptance(sale, *epoch, first, &[paid(), paid()]);
            last.push((*partition, bench.write(*partition, sale, &record).await));
        }
    }
    for (partition, offset) in last {
        bench.until_settled(partition, offset).await;
    }
    // 240 orders of 100 each, and money for 100 of them.
    assert_eq!(balance(&bench, &customer).await, 0);
    let mut sold = 0;
    for (_, sale, _) in &sales {
        until("the sale has 60 orders", async || bench.orders(sale).await == 60).await;
        sold += held_and_sold(&bench, sale).await.1;
        bench.check(sale).await;
    }
    assert_eq!(sold, 100);
}
