//! How an order moves: from state to state as the lifecycle allows, and with it its units, its money and its
//! goods. Nothing else in settlement changes any of them.

use contract::ids::OrderId;
use contract::lifecycle::{CancelReason, OrderStatus, Trigger};
use contract::order::{Fulfilment, PaymentMethod, PaymentRequest};
use contract::payment::PaymentStatus;
use contract::record::PaymentOutcome;

use super::Effects;
use crate::decide::order_state::{DeliveryState, OrderState, PaymentState};

impl<'a> Effects<'a> {
    /// Moves an order, if the lifecycle has that move. Whoever no longer holds units gives them back, or has
    /// bought them. `detail`: what the history tells of it.
    pub(super) fn advance(
        &mut self,
        id: OrderId,
        order: &mut OrderState<'a>,
        trigger: Trigger,
        detail: Option<&'a str>,
    ) -> bool {
        let Ok(next) = order.status.next(trigger) else { return false };
        let before = std::mem::replace(&mut order.status, next);
        let reason = order.cancel_reason.filter(|_| next == OrderStatus::Cancelled);
        self.moves.push(id, next, reason.map(CancelReason::as_str).or(detail));
        self.move_units(id, order, before);
        self.move_goods(order, before);
        true
    }

    /// The order as it stands now; its rows are written with the batch.
    pub(super) fn keep(&mut self, id: OrderId, order: OrderState<'a>) {
        self.orders_now.moved(id, order);
        self.touched.push(id);
    }

    fn move_units(&mut self, id: OrderId, order: &OrderState<'a>, before: OrderStatus) {
        let (held, sold) = (before.holds_units(), before.sells_units());
        let (holds, sells) = (order.status.holds_units(), order.status.sells_units());
        if (held, sold) == (holds, sells) {
            return;
        }
        for (sku, units) in order.units() {
            let moved = self.units.entry((order.sale.as_str(), sku.as_str())).or_default();
            moved.held += units * (i64::from(holds) - i64::from(held));
            moved.sold += units * (i64::from(sells) - i64::from(sold));
            if !holds && !sells {
                self.releases.push(order.sale.as_str(), sku.as_str(), units, id);
            }
        }
    }

    fn move_goods(&mut self, order: &mut OrderState<'a>, before: OrderStatus) {
        let (at, pace) = (self.now.at, self.now.pace);
        let Some(delivery) = &mut order.delivery else { return };
        match order.status {
            OrderStatus::Shipped => delivery.shipped_at = Some(at),
            OrderStatus::Delivered => delivery.completed_at = Some(at),
            // Whatever is left of its way is not gone.
            OrderStatus::Cancelled | OrderStatus::RefundRequested if before != OrderStatus::Delivered => {
                delivery.estimated_arrival = None;
            }
            _ => {}
        }
        let since = if order.status == OrderStatus::InTransit { delivery.shipped_at } else { None };
        delivery.next_move_at = pace.next_move_at(order.status, since.unwrap_or(at));
    }

    /// The customer wants to pay. A card's money is asked for by the payment side, which follows the events; a
    /// wallet pays here and now, or not at all.
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
            requested_at: self.now.at,
            captured_at: None,
            refund_requested_at: None,
            refunded_at: None,
        });
        if request.method == PaymentMethod::Wallet {
            let (customer, total) = (order.customer.as_str(), order.total() as i64);
            let outcome = if self.orders_now.balance(customer, order.currency) >= total {
                self.move_money(id, order, -total, "payment");
                self.capture(id, order);
                PaymentOutcome::Succeeded
            } else {
                self.fail(id, order, Some("insufficient_balance"));
                PaymentOutcome::Failed
            };
            self.wallet_payments.push(outcome.as_str());
        }
        true
    }

    /// As [`Self::pay`], for an order that was placed with its payment.
    pub(super) fn pay_at_once(&mut self, id: OrderId, request: &'a PaymentRequest) {
        if let Some(mut order) = self.orders_now.get(id) {
            self.pay(id, &mut order, request);
            self.keep(id, order);
        }
    }

    /// The money is ours: the units are sold, and the goods are prepared.
    pub(super) fn capture(&mut self, id: OrderId, order: &mut OrderState<'a>) -> bool {
        if !self.advance(id, order, Trigger::PaymentSucceeded, None) {
            return false;
        }
        let at = self.now.at;
        if let Some(payment) = &mut order.payment {
            payment.status = PaymentStatus::Captured;
            payment.captured_at = Some(at);
        }
        order.delivery = Some(DeliveryState {
            started_at: at,
            shipped_at: None,
            completed_at: None,
            estimated_arrival: Some(self.now.pace.arrival(order.fulfilment, at)),
            next_move_at: None,
        });
        self.advance(id, order, Trigger::Prepare, None);
        if order.fulfilment == Fulfilment::Store {
            self.advance(id, order, Trigger::Store, None);
        }
        true
    }

    /// The money was refused: the order is cancelled at once, and its units are free.
    pub(super) fn fail(&mut self, id: OrderId, order: &mut OrderState<'a>, reason: Option<&'a str>) -> bool {
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

    /// Money that is with us goes back: to a card by the payment side, to a wallet here and now.
    pub(super) fn give_back(&mut self, id: OrderId, order: &mut OrderState<'a>) {
        let at = self.now.at;
        let Some(payment) = &mut order.payment else { return };
        payment.status = PaymentStatus::RefundRequested;
        payment.refund_requested_at = Some(at);
        if payment.method == PaymentMethod::Wallet {
            let total = order.total() as i64;
            self.move_money(id, order, total, "refund");
            self.refunded(id, order);
            self.wallet_payments.push("refunded");
        }
    }

    /// Money went back.
    pub(super) fn refunded(&mut self, id: OrderId, order: &mut OrderState<'a>) {
        if let Some(payment) = &mut order.payment {
            payment.status = PaymentStatus::Refunded;
            payment.refunded_at = Some(self.now.at);
        }
        // An order that was cancelled stays so.
        self.advance(id, order, Trigger::Refunded, None);
    }

    fn move_money(&mut self, id: OrderId, order: &OrderState<'a>, amount: i64, reason: &'static str) {
        let customer = order.customer.as_str();
        self.orders_now.pay(customer, order.currency, amount);
        self.wallets.push(customer, order.currency, amount, reason, id);
    }
}
