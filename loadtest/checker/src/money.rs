//! Invariant 9: captured minus refunded is what is paid for, and wallets are what moved in them.

use std::collections::HashMap;

use contract::ids::OrderId;
use contract::lifecycle::OrderStatus;

use super::evidence::{Evidence, OrderRow, PaymentRow};
use super::finding::{Finding, Probe};
use super::ledger::LedgerEntry;

/// Invariant 9.
pub fn payments_balance(evidence: &Evidence) -> Finding {
    let mut probe = Probe::new(9, "captured - refunded = totals of paid orders; no wallet below 0");
    let is_paid = |order: &&OrderRow| OrderStatus::parse(&order.status).is_some_and(OrderStatus::is_paid);
    let paid = evidence.orders.iter().filter(is_paid).count();
    if evidence.payments.is_empty() && evidence.wallets.is_empty() && paid == 0 {
        return probe.not_applicable("nobody was asked for money");
    }
    let mut payments: HashMap<OrderId, &PaymentRow> = HashMap::new();
    for payment in &evidence.payments {
        if payments.insert(payment.order_id, payment).is_some() {
            probe.violate(format!("{} has two payments", payment.order_id));
        }
    }
    let mut moved: HashMap<OrderId, Vec<i64>> = HashMap::new();
    for entry in &evidence.wallet_entries {
        moved.entry(entry.order_id).or_default().push(entry.amount);
    }
    let (mut captured, mut refunded, mut owned) = (0u64, 0u64, 0u64);
    for order in &evidence.orders {
        let payment = payments.remove(&order.id);
        let keeps = is_paid(&order);
        owned += if keeps { order.total } else { 0 };
        if let Some(payment) = payment {
            let taken = matches!(payment.status.as_str(), "captured" | "refund_requested" | "refunded");
            captured += if taken { payment.amount } else { 0 };
            refunded += if payment.status == "refunded" { payment.amount } else { 0 };
        }
        judge_order(&mut probe, order, payment, keeps);
        judge_wallet_entries(&mut probe, order, payment, moved.get(&order.id).map_or(&[], Vec::as_slice));
    }
    if let Some(ledger) = &evidence.ledger {
        judge_ledger(&mut probe, evidence, ledger);
    }
    for order in payments.keys() {
        probe.violate(format!("a payment of {order}, which is no order of the sale"));
    }
    probe.expect(captured - refunded == owned, || {
        format!("{captured} captured - {refunded} refunded, and the paid orders' totals are {owned}")
    });
    for wallet in &evidence.wallets {
        let (customer, balance, entries) = (&wallet.customer, wallet.balance, wallet.entries);
        probe.expect(balance >= 0, || format!("the wallet of {customer} has {balance}"));
        probe.expect(balance == entries, || {
            format!("the wallet of {customer} has {balance}, its entries say {entries}")
        });
    }
    probe.count("payments", evidence.payments.len());
    probe.count("paid orders", paid);
    probe.count("wallets", evidence.wallets.len());
    probe.finish()
}

/// The money of an order is with us exactly while it is paid; what is to go back has gone by now.
fn judge_order(probe: &mut Probe, order: &OrderRow, payment: Option<&PaymentRow>, keeps: bool) {
    let (id, status) = (order.id, &order.status);
    let Some(payment) = payment else {
        return probe.expect(!keeps, || format!("{id} is {status} and has no payment"));
    };
    probe.expect(payment.amount == order.total, || {
        format!("{id} costs {}, its payment is over {}", order.total, payment.amount)
    });
    let expected: &[&str] = match status.as_str() {
        "payment_requested" => &["requested"],
        "payment_failed" => &["failed"],
        // A card that was asked and has not answered yet may stand beside a cancelled order.
        "cancelled" => &["requested", "failed", "refunded"],
        "refund_requested" => &["refund_requested"],
        "refunded" => &["refunded"],
        _ => &["captured"],
    };
    probe.expect(expected.contains(&payment.status.as_str()), || {
        format!("{id} is {status}, its payment is {}", payment.status)
    });
}

/// What the provider itself took and gave back: once the whole price of each order that is paid by card, and
/// nothing of any other.
fn judge_ledger(probe: &mut Probe, evidence: &Evidence, ledger: &[LedgerEntry]) {
    let mut books: HashMap<OrderId, Vec<&LedgerEntry>> = HashMap::new();
    for entry in ledger {
        books.entry(entry.order_id).or_default().push(entry);
    }
    let payments = evidence.payments.iter().filter(|payment| payment.method == "card");
    let by_card: HashMap<OrderId, &PaymentRow> =
        payments.map(|payment| (payment.order_id, payment)).collect();
    let mut taken = 0;
    for order in &evidence.orders {
        let entries = books.remove(&order.id).unwrap_or_default();
        let captures = entries.iter().filter(|entry| entry.captured > 0).count();
        let captured: u64 = entries.iter().map(|entry| entry.captured).sum();
        let refunded: u64 = entries.iter().map(|entry| entry.refunded).sum();
        taken += captures;
        probe.expect(captures <= 1, || format!("{} was charged {captures} times", order.id));
        let payment = by_card.get(&order.id);
        let kept = payment.filter(|payment| payment.status == "captured").map_or(0, |payment| payment.amount);
        probe.expect(captured.checked_sub(refunded) == Some(kept), || {
            let payment = payment.map_or("none", |payment| payment.status.as_str());
            format!(
                "{} is {}, its payment by card is {payment}: the provider took {captured} and gave back {refunded}",
                order.id, order.status
            )
        });
        probe.expect(captured == 0 || captured == order.total, || {
            format!("{} costs {}, the provider took {captured}", order.id, order.total)
        });
        let currency = payment.map(|payment| payment.currency.as_str());
        probe.expect(entries.iter().all(|entry| Some(entry.currency.as_str()) == currency), || {
            format!("{}: the provider has it in another currency than {currency:?}", order.id)
        });
    }
    for order in books.keys() {
        probe.violate(format!("the provider knows {order}, which is no order of the sale"));
    }
    probe.count("captures at the provider", taken);
}

/// A wallet pays once for an order, and gets it back once.
fn judge_wallet_entries(probe: &mut Probe, order: &OrderRow, payment: Option<&PaymentRow>, moved: &[i64]) {
    let total = i64::try_from(order.total).unwrap_or(i64::MAX);
    let expected: &[i64] = match payment.filter(|payment| payment.method == "wallet") {
        Some(payment) if payment.status == "captured" => &[-total],
        Some(payment) if payment.status == "refunded" => &[-total, total],
        _ => &[],
    };
    probe.expect(moved == expected, || {
        format!("{}: its wallet moved {moved:?}, expected {expected:?}", order.id)
    });
}
