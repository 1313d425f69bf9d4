//! Invariant 9: captured minus refunded money pays for the paid orders, and balances of wallets equal their
//! entries.

use std::collections::HashMap;

use contract::ids::OrderId;
use contract::lifecycle::OrderStatus;
use invariants::money;

use super::evidence::{Evidence, OrderRow, PaymentRow};
use super::finding::{Finding, FindingBuilder};
use super::ledger::LedgerEntry;

/// Invariant 9: see the module.
pub fn payments_balance(evidence: &Evidence) -> Finding {
    let mut finding =
        FindingBuilder::new(9, "captured - refunded = totals of paid orders; no wallet below 0");
    let is_paid = |order: &&OrderRow| OrderStatus::parse(&order.status).is_some_and(OrderStatus::is_paid);
    let paid = evidence.stored.orders.iter().filter(is_paid).count();
    if evidence.stored.payments.is_empty() && evidence.stored.wallets.is_empty() && paid == 0 {
        return finding.not_applicable("no payment was requested");
    }
    let mut payments: HashMap<OrderId, &PaymentRow> = HashMap::new();
    for payment in &evidence.stored.payments {
        if payments.insert(payment.order_id, payment).is_some() {
            finding.add_violation(format!("{} has two payments", payment.order_id));
        }
    }
    let mut wallet_amounts: HashMap<OrderId, Vec<i64>> = HashMap::new();
    for entry in &evidence.stored.wallet_entries {
        wallet_amounts.entry(entry.order_id).or_default().push(entry.amount);
    }
    let (mut captured, mut refunded, mut paid_total) = (0u64, 0u64, 0u64);
    for order in &evidence.stored.orders {
        let payment = payments.remove(&order.id);
        let expects_capture = is_paid(&order);
        paid_total += if expects_capture { order.total } else { 0 };
        if let Some(payment) = payment {
            let was_captured =
                matches!(payment.status.as_str(), "captured" | "refund_requested" | "refunded");
            captured += if was_captured { payment.amount } else { 0 };
            refunded += if payment.status == "refunded" { payment.amount } else { 0 };
        }
        check_payment(&mut finding, order, payment, expects_capture);
        let amounts = wallet_amounts.get(&order.id).map_or(&[] as &[i64], Vec::as_slice);
        check_wallet_entries(&mut finding, order, payment, amounts);
    }
    if let Some(ledger) = &evidence.ledger {
        check_ledger(&mut finding, evidence, ledger);
    }
    for order in payments.keys() {
        finding.add_violation(format!("a payment of {order}, which is no order of the sale"));
    }
    finding.require("payments", money::balanced(captured, refunded, paid_total));
    for wallet in &evidence.stored.wallets {
        finding.require(&wallet.customer, money::wallet_balanced(wallet.balance, wallet.entries));
    }
    finding.count("payments", evidence.stored.payments.len());
    finding.count("paid orders", paid);
    finding.count("wallets", evidence.stored.wallets.len());
    finding.finish()
}

/// The money of an order is captured exactly while the order is paid; refunds have completed by now.
fn check_payment(
    finding: &mut FindingBuilder,
    order: &OrderRow,
    payment: Option<&PaymentRow>,
    expects_capture: bool,
) {
    let (id, status) = (order.id, &order.status);
    let Some(payment) = payment else {
        return finding.expect(!expects_capture, || format!("{id} is {status} and has no payment"));
    };
    finding.require(id, money::payment_matches(order.total, payment.amount));
    let expected: &[&str] = match status.as_str() {
        "payment_requested" => &["requested"],
        "payment_failed" => &["failed"],
        // A card request that is not answered yet may exist beside a cancelled order.
        "cancelled" => &["requested", "failed", "refunded"],
        "refund_requested" => &["refund_requested"],
        "refunded" => &["refunded"],
        _ => &["captured"],
    };
    finding.expect(expected.contains(&payment.status.as_str()), || {
        format!("{id} is {status}, its payment is {}", payment.status)
    });
}

/// The provider's own captures and refunds: the whole price once for each order that is paid by card, and
/// nothing for any other order.
fn check_ledger(finding: &mut FindingBuilder, evidence: &Evidence, ledger: &[LedgerEntry]) {
    let mut entries_by_order: HashMap<OrderId, Vec<&LedgerEntry>> = HashMap::new();
    for entry in ledger {
        entries_by_order.entry(entry.order_id).or_default().push(entry);
    }
    let payments = evidence.stored.payments.iter().filter(|payment| payment.method == "card");
    let card_payments: HashMap<OrderId, &PaymentRow> =
        payments.map(|payment| (payment.order_id, payment)).collect();
    let mut capture_count = 0;
    for order in &evidence.stored.orders {
        let entries = entries_by_order.remove(&order.id).unwrap_or_default();
        let captures = entries.iter().filter(|entry| entry.captured > 0).count();
        let captured: u64 = entries.iter().map(|entry| entry.captured).sum();
        let refunded: u64 = entries.iter().map(|entry| entry.refunded).sum();
        capture_count += captures;
        finding.expect(captures <= 1, || format!("{} was charged {captures} times", order.id));
        let payment = card_payments.get(&order.id);
        let kept = payment.filter(|payment| payment.status == "captured").map_or(0, |payment| payment.amount);
        finding.expect(captured.checked_sub(refunded) == Some(kept), || {
            let payment = payment.map_or("none", |payment| payment.status.as_str());
            format!(
                "{} is {}, its card payment is {payment}: the provider captured {captured} and refunded {refunded}",
                order.id, order.status
            )
        });
        finding.expect(captured == 0 || captured == order.total, || {
            format!("{} costs {}, the provider captured {captured}", order.id, order.total)
        });
        let currency = payment.map(|payment| payment.currency.as_str());
        finding.expect(entries.iter().all(|entry| Some(entry.currency.as_str()) == currency), || {
            format!("{}: the provider has a currency other than {currency:?}", order.id)
        });
    }
    for order in entries_by_order.keys() {
        finding.add_violation(format!("the provider has {order}, which is no order of the sale"));
    }
    finding.count("captures at the provider", capture_count);
}

/// A wallet pays once for an order and is refunded at most once.
fn check_wallet_entries(
    finding: &mut FindingBuilder,
    order: &OrderRow,
    payment: Option<&PaymentRow>,
    amounts: &[i64],
) {
    let (captured, refunded) = match payment.filter(|payment| payment.method == "wallet") {
        Some(payment) if payment.status == "captured" => (order.total, 0),
        Some(payment) if payment.status == "refunded" => (order.total, order.total),
        _ => (0, 0),
    };
    finding.require(order.id, money::wallet_entries_match(amounts, captured, refunded));
}
