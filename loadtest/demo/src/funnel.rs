//! How far orders came: counted from what is stored, once the sale is at rest. Pure.

use std::collections::HashMap;

use contract::ids::OrderId;
use contract::lifecycle::{CancelReason, OrderStatus};

use checker::evidence::{Evidence, OrderRow, PaymentRow};
use terminal::{Table, thousands};

/// Where an order ended, or stands. Every order is counted in exactly one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum End {
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

impl End {
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

    fn of(order: &OrderRow, payment: Option<&PaymentRow>) -> Self {
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
            Some(OrderStatus::Cancelled) if payment.is_some_and(was_taken) => Self::CancelledPaid,
            Some(OrderStatus::Cancelled) => Self::CancelledUnpaid,
            Some(status) if status.is_paid() => Self::OnTheWay,
            _ => Self::Unpaid,
        }
    }
}

fn was_taken(payment: &PaymentRow) -> bool {
    matches!(payment.status.as_str(), "captured" | "refund_requested" | "refunded")
}

/// Orders and money of some orders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Funnel {
    accepted: u64,
    by_wallet: u64,
    by_card: u64,
    ends: HashMap<End, u64>,
    units: u64,
    units_back: u64,
    captured: u64,
    returned: u64,
}

impl Funnel {
    /// Of the orders that are wanted.
    pub(super) fn of(evidence: &Evidence, wanted: impl Fn(&OrderRow) -> bool) -> Self {
        let payments: HashMap<OrderId, &PaymentRow> =
            evidence.payments.iter().map(|payment| (payment.order_id, payment)).collect();
        let mut funnel = Self::default();
        for order in evidence.orders.iter().filter(|order| wanted(order)) {
            funnel.add(order, payments.get(&order.id).copied());
        }
        funnel
    }

    fn add(&mut self, order: &OrderRow, payment: Option<&PaymentRow>) {
        let units: u64 = order.lines.iter().map(|(_, quantity)| quantity).sum();
        self.accepted += 1;
        *self.ends.entry(End::of(order, payment)).or_default() += 1;
        self.units += units;
        self.units_back += if order.is_live() { 0 } else { units };
        if let Some(payment) = payment.filter(|payment| was_taken(payment)) {
            let by = if payment.method == "card" { &mut self.by_card } else { &mut self.by_wallet };
            *by += 1;
            self.captured += payment.amount;
            self.returned += if payment.status == "refunded" { payment.amount } else { 0 };
        }
    }

    /// Units that were ordered, and came back.
    pub(super) fn units_back(&self) -> u64 {
        self.units_back
    }

    /// Units that were ordered.
    pub(super) fn units(&self) -> u64 {
        self.units
    }

    /// Orders that are paid and have not arrived.
    pub(super) fn on_the_way(&self) -> u64 {
        self.count(End::OnTheWay)
    }

    fn count(&self, end: End) -> u64 {
        self.ends.get(&end).copied().unwrap_or(0)
    }
}

/// Side by side: the orders of the burst, and those of whoever bought what came back.
pub(super) fn table(burst: &Funnel, later: &Funnel) -> Table {
    let mut table = Table::new(&["orders", "of the burst", "sold again", "in all"]);
    let mut line = |what: &str, of: &dyn Fn(&Funnel) -> u64| {
        let (first, second) = (of(burst), of(later));
        table.row([what.to_owned(), thousands(first), thousands(second), thousands(first + second)]);
    };
    line("accepted", &|funnel| funnel.accepted);
    line("  paid from the wallet", &|funnel| funnel.by_wallet);
    line("  paid by card", &|funnel| funnel.by_card);
    for end in End::ALL {
        let always = !matches!(end, End::OnTheWay | End::Unpaid);
        if always || burst.count(end) + later.count(end) > 0 {
            line(end.as_str(), &|funnel| funnel.count(end));
        }
    }
    line("units ordered", &|funnel| funnel.units);
    line("  of these came back", &|funnel| funnel.units_back);
    line("won taken", &|funnel| funnel.captured);
    line("  of these returned", &|funnel| funnel.returned);
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

    fn payment(of: &OrderRow, method: &str, status: &str) -> PaymentRow {
        let (order_id, currency) = (of.id, "KRW".into());
        PaymentRow { order_id, method: method.into(), status: status.into(), amount: 100, currency }
    }

    #[test]
    fn every_order_ends_in_one_place_and_its_money_is_counted_once() {
        let cancelled = |n, reason| order(n, "cancelled", Some(reason));
        let cases = [
            (order(1, "delivered", None), Some(("card", "captured")), End::Delivered),
            (order(2, "in_transit", None), Some(("wallet", "captured")), End::OnTheWay),
            (order(3, "refunded", None), Some(("card", "refunded")), End::Refunded),
            (cancelled(4, CancelReason::Customer), Some(("wallet", "refunded")), End::CancelledPaid),
            (cancelled(5, CancelReason::Customer), None, End::CancelledUnpaid),
            // Asked, and cancelled before the provider answered.
            (cancelled(6, CancelReason::Customer), Some(("card", "requested")), End::CancelledUnpaid),
            (cancelled(7, CancelReason::PaymentFailed), Some(("card", "failed")), End::CardRefused),
            (cancelled(8, CancelReason::PaymentFailed), Some(("wallet", "failed")), End::WalletRefused),
            (cancelled(9, CancelReason::Expired), None, End::Expired),
            (order(10, "created", None), None, End::Unpaid),
            (order(11, "payment_requested", None), Some(("card", "requested")), End::Unpaid),
        ];
        let mut funnel = Funnel::default();
        for (order, paid, end) in &cases {
            let payment = paid.map(|(method, status)| payment(order, method, status));
            assert_eq!(End::of(order, payment.as_ref()), *end, "{} {paid:?}", order.status);
            funnel.add(order, payment.as_ref());
        }
        assert_eq!(End::ALL.iter().map(|end| funnel.count(*end)).sum::<u64>(), funnel.accepted);
        assert_eq!((funnel.by_card, funnel.by_wallet), (2, 2));
        assert_eq!((funnel.captured, funnel.returned), (400, 200));
        assert_eq!((funnel.units, funnel.units_back), (22, 12));
    }

    #[test]
    fn what_nobody_is_in_is_told_only_where_it_matters() {
        let mut burst = Funnel::default();
        burst.add(&order(1, "delivered", None), None);
        let text = table(&burst, &Funnel::default()).to_string();
        assert!(text.contains("expired") && !text.contains("on the way"), "{text}");
        burst.add(&order(2, "shipped", None), None);
        assert!(table(&burst, &Funnel::default()).to_string().contains("on the way"));
    }
}
