//! The final states of orders, counted from the stored rows when the sale is quiescent. Pure.

use std::collections::HashMap;

use contract::ids::OrderId;
use contract::lifecycle::{CancelReason, OrderStatus};

use checker::evidence::{Evidence, OrderRow, PaymentRow};
use terminal::{Table, thousands};

/// The stage of an order. Every order is counted in exactly one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum OrderStage {
    Delivered,
    OnTheWay,
    Refunded,
    CancelledPaid,
    CancelledUnpaid,
    CardRefused,
    WalletRefused,
    Expired,
    Unpaid,
}

impl OrderStage {
    const ALL: [Self; 9] = [
        Self::Delivered,
        Self::OnTheWay,
        Self::Refunded,
        Self::CancelledPaid,
        Self::CancelledUnpaid,
        Self::CardRefused,
        Self::WalletRefused,
        Self::Expired,
        Self::Unpaid,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::OnTheWay => "paid, on the way",
            Self::Refunded => "sent back, refunded",
            Self::CancelledPaid => "cancelled after paying, refunded",
            Self::CancelledUnpaid => "cancelled before paying",
            Self::CardRefused => "card declined, cancelled",
            Self::WalletRefused => "too little in the wallet, cancelled",
            Self::Expired => "not paid in time, expired",
            Self::Unpaid => "not paid yet",
        }
    }

    fn classify(order: &OrderRow, payment: Option<&PaymentRow>) -> Self {
        let cancelled = |reason: CancelReason| order.cancel_reason.as_deref() == Some(reason.as_str());
        match OrderStatus::parse(&order.status) {
            Some(OrderStatus::Delivered) => Self::Delivered,
            Some(OrderStatus::RefundRequested | OrderStatus::Refunded) => Self::Refunded,
            Some(OrderStatus::Cancelled) if cancelled(CancelReason::Expired) => Self::Expired,
            Some(OrderStatus::Cancelled) if cancelled(CancelReason::PaymentFailed) => {
                match payment.is_some_and(|payment| payment.method == "card") {
                    true => Self::CardRefused,
                    false => Self::WalletRefused,
                }
            }
            Some(OrderStatus::Cancelled) if payment.is_some_and(was_captured) => Self::CancelledPaid,
            Some(OrderStatus::Cancelled) => Self::CancelledUnpaid,
            Some(status) if status.is_paid() => Self::OnTheWay,
            _ => Self::Unpaid,
        }
    }
}

fn was_captured(payment: &PaymentRow) -> bool {
    matches!(payment.status.as_str(), "captured" | "refund_requested" | "refunded")
}

/// The counts and the money of a set of orders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Funnel {
    accepted: u64,
    by_wallet: u64,
    by_card: u64,
    stages: HashMap<OrderStage, u64>,
    units: u64,
    units_returned: u64,
    captured: u64,
    refunded: u64,
}

impl Funnel {
    /// Counts the selected orders.
    pub(super) fn count_orders(evidence: &Evidence, selected: impl Fn(&OrderRow) -> bool) -> Self {
        let payments: HashMap<OrderId, &PaymentRow> =
            evidence.stored.payments.iter().map(|payment| (payment.order_id, payment)).collect();
        let mut funnel = Self::default();
        for order in evidence.stored.orders.iter().filter(|order| selected(order)) {
            funnel.add(order, payments.get(&order.id).copied());
        }
        funnel
    }

    fn add(&mut self, order: &OrderRow, payment: Option<&PaymentRow>) {
        let units: u64 = order.lines.iter().map(|(_, quantity)| quantity).sum();
        self.accepted += 1;
        *self.stages.entry(OrderStage::classify(order, payment)).or_default() += 1;
        self.units += units;
        self.units_returned += if order.is_live() { 0 } else { units };
        if let Some(payment) = payment.filter(|payment| was_captured(payment)) {
            let payments = if payment.method == "card" { &mut self.by_card } else { &mut self.by_wallet };
            *payments += 1;
            self.captured += payment.amount;
            self.refunded += if payment.status == "refunded" { payment.amount } else { 0 };
        }
    }

    /// Returns the number of units that were ordered and returned.
    pub(super) fn units_returned(&self) -> u64 {
        self.units_returned
    }

    /// Returns the number of units that were ordered.
    pub(super) fn units(&self) -> u64 {
        self.units
    }

    /// Returns the number of orders that are paid and not delivered.
    pub(super) fn on_the_way(&self) -> u64 {
        self.count(OrderStage::OnTheWay)
    }

    fn count(&self, stage: OrderStage) -> u64 {
        self.stages.get(&stage).copied().unwrap_or(0)
    }
}

/// Returns a table of the orders of the burst beside the orders of returned units.
pub(super) fn table(burst: &Funnel, resold: &Funnel) -> Table {
    let mut table = Table::new(&["orders", "of the burst", "sold again", "total"]);
    let mut line = |name: &str, value: &dyn Fn(&Funnel) -> u64| {
        let (first, second) = (value(burst), value(resold));
        table.row([name.to_owned(), thousands(first), thousands(second), thousands(first + second)]);
    };
    line("accepted", &|funnel| funnel.accepted);
    line("  paid from the wallet", &|funnel| funnel.by_wallet);
    line("  paid by card", &|funnel| funnel.by_card);
    for stage in OrderStage::ALL {
        let always = !matches!(stage, OrderStage::OnTheWay | OrderStage::Unpaid);
        if always || burst.count(stage) + resold.count(stage) > 0 {
            line(stage.as_str(), &|funnel| funnel.count(stage));
        }
    }
    line("units ordered", &|funnel| funnel.units);
    line("  of these returned", &|funnel| funnel.units_returned);
    line("won captured", &|funnel| funnel.captured);
    line("  of these refunded", &|funnel| funnel.refunded);
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::ids::{
        CustomerId, Epoch, IdempotencyKey, RequestDigest, RequestFingerprint, SaleId, Sequence, Sku,
    };
    use contract::order::Amounts;

    fn order(n: u64, status: &str, reason: Option<CancelReason>) -> OrderRow {
        let customer = CustomerId::parse(&format!("c{n}")).unwrap();
        let key = IdempotencyKey::parse("k").unwrap();
        let sale = SaleId::parse("s").unwrap();
        OrderRow {
            id: OrderId::new(1_790_000_000_000, 0, RequestFingerprint::compute(&sale, &customer, &key)),
            customer,
            key,
            digest: RequestDigest::compute(b"{}"),
            status: status.into(),
            cancel_reason: reason.map(|reason| reason.as_str().to_owned()),
            sequence: Sequence(n),
            epoch: Epoch(1),
            amounts: Amounts { subtotal: 100, discount: 0, delivery_fee: 0 },
            total: 100,
            lines: vec![(Sku::parse("A").unwrap(), 2)],
        }
    }

    fn payment(order: &OrderRow, method: &str, status: &str) -> PaymentRow {
        let (order_id, currency) = (order.id, "KRW".into());
        PaymentRow { order_id, method: method.into(), status: status.into(), amount: 100, currency }
    }

    #[test]
    fn every_order_has_one_stage_and_its_money_is_counted_once() {
        let cancelled = |n, reason| order(n, "cancelled", Some(reason));
        let cases = [
            (order(1, "delivered", None), Some(("card", "captured")), OrderStage::Delivered),
            (order(2, "in_transit", None), Some(("wallet", "captured")), OrderStage::OnTheWay),
            (order(3, "refunded", None), Some(("card", "refunded")), OrderStage::Refunded),
            (cancelled(4, CancelReason::Customer), Some(("wallet", "refunded")), OrderStage::CancelledPaid),
            (cancelled(5, CancelReason::Customer), None, OrderStage::CancelledUnpaid),
            // Cancelled before the provider responded.
            (cancelled(6, CancelReason::Customer), Some(("card", "requested")), OrderStage::CancelledUnpaid),
            (cancelled(7, CancelReason::PaymentFailed), Some(("card", "failed")), OrderStage::CardRefused),
            (
                cancelled(8, CancelReason::PaymentFailed),
                Some(("wallet", "failed")),
                OrderStage::WalletRefused,
            ),
            (cancelled(9, CancelReason::Expired), None, OrderStage::Expired),
            (order(10, "created", None), None, OrderStage::Unpaid),
            (order(11, "payment_requested", None), Some(("card", "requested")), OrderStage::Unpaid),
        ];
        let mut funnel = Funnel::default();
        for (order, paid, stage) in &cases {
            let payment = paid.map(|(method, status)| payment(order, method, status));
            assert_eq!(OrderStage::classify(order, payment.as_ref()), *stage, "{} {paid:?}", order.status);
            funnel.add(order, payment.as_ref());
        }
        assert_eq!(OrderStage::ALL.iter().map(|stage| funnel.count(*stage)).sum::<u64>(), funnel.accepted);
        assert_eq!((funnel.by_card, funnel.by_wallet), (2, 2));
        assert_eq!((funnel.captured, funnel.refunded), (400, 200));
        assert_eq!((funnel.units, funnel.units_returned), (22, 12));
    }

    #[test]
    fn an_empty_stage_is_listed_only_when_it_is_final() {
        let mut burst = Funnel::default();
        burst.add(&order(1, "delivered", None), None);
        let text = table(&burst, &Funnel::default()).to_string();
        assert!(text.contains("expired") && !text.contains("on the way"), "{text}");
        burst.add(&order(2, "shipped", None), None);
        assert!(table(&burst, &Funnel::default()).to_string().contains("on the way"));
    }
}
