//! The transitions of an order: from status to status as the lifecycle allows, and with it its units, its money and
//! its goods. Nothing else in settlement changes any of them.

use contract::ids::OrderId;
use contract::lifecycle::{CancelReason, OrderStatus, Trigger};
use contract::order::{Fulfilment, PaymentMethod, PaymentRequest};
use contract::payment::PaymentStatus;
use contract::record::PaymentOutcome;
use invariants::money;
use process::invariant;

use super::Effects;
use crate::decide::order_state::{DeliveryState, OrderState, PaymentState};
use crate::queries::{MoveValues, ReleaseValues, WalletValues};

impl<'a> Effects<'a> {
    /// Moves an order to its next status, if the lifecycle allows the transition. An order that no longer holds its
    /// units releases them, or has bought them. `detail` is recorded in the history. Returns whether the order moved.
    pub(super) fn advance(
        &mut self,
        id: OrderId,
        order: &mut OrderState<'a>,
        trigger: Trigger,
        detail: Option<&'a str>,
    ) -> bool {
        let Ok(next) = order.status.next(trigger) else { return false };
        let previous = std::mem::replace(&mut order.status, next);
        let reason = order.cancel_reason.filter(|_| next == OrderStatus::Cancelled);
        self.moves.push(MoveValues {
            order_id: id,
            status: next,
            reason: reason.map(CancelReason::as_str).or(detail),
        });
        self.move_units(id, order, previous);
        self.update_delivery(order, previous);
        true
    }

    /// Replaces the state of an order; its rows are written with the batch.
    pub(super) fn update_order(&mut self, id: OrderId, order: OrderState<'a>) {
        let is_paid = order.status.is_paid() && order.status != OrderStatus::RefundRequested;
        let is_captured = order.payment.is_some_and(|payment| payment.status == PaymentStatus::Captured);
        invariant::check(id, money::captured_while_paid(is_paid, is_captured));
        self.order_states.update(id, order);
        self.changed.push(id);
    }

    fn move_units(&mut self, id: OrderId, order: &OrderState<'a>, previous: OrderStatus) {
        let (held, sold) = (previous.holds_units(), previous.sells_units());
        let (holds, sells) = (order.status.holds_units(), order.status.sells_units());
        if (held, sold) == (holds, sells) {
            return;
        }
        for (sku, units) in order.units() {
            let change = self.units.entry((order.sale, sku)).or_default();
            change.held += units * (i64::from(holds) - i64::from(held));
            change.sold += units * (i64::from(sells) - i64::from(sold));
            if !holds && !sells {
                self.releases.push(ReleaseValues { sale_id: order.sale, sku, units, order_id: Some(id) });
            }
        }
    }

    fn update_delivery(&mut self, order: &mut OrderState<'a>, previous: OrderStatus) {
        let (at, schedule) = (self.time.at, self.time.schedule);
        let Some(delivery) = &mut order.delivery else { return };
        match order.status {
            OrderStatus::Shipped => delivery.shipped_at = Some(at),
            OrderStatus::Delivered => delivery.completed_at = Some(at),
            // The goods will not arrive.
            OrderStatus::Cancelled | OrderStatus::RefundRequested if previous != OrderStatus::Delivered => {
                delivery.estimated_arrival = None;
            }
            _ => {}
        }
        let since = if order.status == OrderStatus::InTransit { delivery.shipped_at } else { None };
        delivery.next_move_at = schedule.next_move_at(order.status, since.unwrap_or(at));
    }

    /// Begins a payment. The payment side follows the events and requests the money of a card; a wallet pays
    /// immediately, or the payment fails. Returns whether the lifecycle allows a payment.
    pub(super) fn pay(
        &mut self,
        id: OrderId,
        order: &mut OrderState<'a>,
        request: &'a PaymentRequest,
    ) -> bool {
        if !self.advance(id, order, Trigger::RequestPayment, Some(request.method.as_str())) {
            return false;
        }
        order.payment = Some(PaymentState {
            method: request.method,
            token: request.token.as_deref(),
            status: PaymentStatus::Requested,
            reason: None,
            requested_at: self.time.at,
            captured_at: None,
            refund_requested_at: None,
            refunded_at: None,
        });
        if request.method == PaymentMethod::Wallet {
            let (customer, total) = (order.customer.as_str(), order.total() as i64);
            let outcome = if self.order_states.balance(customer, order.currency) >= total {
                self.change_balance(id, order, -total, "payment");
                self.capture(id, order);
                PaymentOutcome::Succeeded
            } else {
                self.fail_payment(id, order, Some("insufficient_balance"));
                PaymentOutcome::Failed
            };
            self.wallet_payments.push(outcome.as_str());
        }
        true
    }

    /// Begins the payment of an order that was placed with its payment request.
    pub(super) fn pay_new_order(&mut self, id: OrderId, request: &'a PaymentRequest) {
        if let Some(mut order) = self.order_states.get(id) {
            self.pay(id, &mut order, request);
            self.update_order(id, order);
        }
    }

    /// Captures a payment: the units are sold, and the goods are prepared.
    pub(super) fn capture(&mut self, id: OrderId, order: &mut OrderState<'a>) -> bool {
        if !self.advance(id, order, Trigger::PaymentSucceeded, None) {
            return false;
        }
        let at = self.time.at;
        if let Some(payment) = &mut order.payment {
            payment.status = PaymentStatus::Captured;
            payment.captured_at = Some(at);
        }
        order.delivery = Some(DeliveryState {
            started_at: at,
            shipped_at: None,
            completed_at: None,
            estimated_arrival: Some(self.time.schedule.estimated_arrival(order.fulfilment, at)),
            next_move_at: None,
        });
        self.advance(id, order, Trigger::Prepare, None);
        if order.fulfilment == Fulfilment::Store {
            self.advance(id, order, Trigger::Store, None);
        }
        true
    }

    /// Fails a payment: the order is cancelled at once, and its units are released.
    pub(super) fn fail_payment(
        &mut self,
        id: OrderId,
        order: &mut OrderState<'a>,
        reason: Option<&'a str>,
    ) -> bool {
        if let Some(payment) = &mut order.payment {
            payment.status = PaymentStatus::Failed;
            payment.reason = reason;
        }
        if !self.advance(id, order, Trigger::PaymentFailed, reason) {
            return false;
        }
        order.cancel_reason = Some(CancelReason::PaymentFailed);
        self.advance(id, order, Trigger::Compensate, None)
    }

    /// Refunds captured money: the payment side refunds a card, and a wallet is credited immediately.
    pub(super) fn refund(&mut self, id: OrderId, order: &mut OrderState<'a>) {
        let at = self.time.at;
        let Some(payment) = &mut order.payment else { return };
        payment.status = PaymentStatus::RefundRequested;
        payment.refund_requested_at = Some(at);
        if payment.method == PaymentMethod::Wallet {
            let total = order.total() as i64;
            self.change_balance(id, order, total, "refund");
            self.complete_refund(id, order);
            self.wallet_payments.push("refunded");
        }
    }

    /// Records that the money was refunded.
    pub(super) fn complete_refund(&mut self, id: OrderId, order: &mut OrderState<'a>) {
        if let Some(payment) = &mut order.payment {
            payment.status = PaymentStatus::Refunded;
            payment.refunded_at = Some(self.time.at);
        }
        // An order that was cancelled remains cancelled.
        self.advance(id, order, Trigger::Refunded, None);
    }

    fn change_balance(&mut self, id: OrderId, order: &OrderState<'a>, amount: i64, reason: &'static str) {
        let customer = order.customer.as_str();
        self.order_states.change_balance(customer, order.currency, amount);
        if amount < 0 {
            let balance = self.order_states.balance(customer, order.currency);
            invariant::check(id, money::wallet_covers(balance));
        }
        self.wallets.push(WalletValues {
            customer_id: order.customer,
            currency: order.currency,
            amount,
            reason,
            order_id: id,
        });
    }
}
