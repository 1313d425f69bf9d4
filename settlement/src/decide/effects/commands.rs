//! What is asked of orders: by their customers, by the payment side, by operators. Whatever comes too late,
//! twice, or in the wrong order moves nothing that the lifecycle does not allow, and leaves a note.

use contract::lifecycle::{CancelReason, OrderStatus, Trigger};
use contract::order::PaymentMethod;
use contract::payment::{PaymentStatus, payment_id};
use contract::record::{Action, Command, PaymentOutcome, PaymentResult, RefundResult};

use super::Effects;
use crate::decide::order_state::{OrderState, PaymentState};

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandResult {
    /// The order moved.
    Applied,
    /// It had done so before, or the lifecycle does not have this move.
    Illegal,
    /// There is no such order of this customer.
    Unknown,
    /// Its money came when nobody waited for it any more, and goes back.
    Late,
    /// It tells of another payment, or of another amount, than the order's.
    Mismatch,
}

impl CommandResult {
    /// For metrics and history.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Illegal => "illegal",
            Self::Unknown => "unknown",
            Self::Late => "late",
            Self::Mismatch => "mismatch",
        }
    }
}

impl<'a> Effects<'a> {
    /// Does what a command asks for, or notes that it could not be done.
    pub(super) fn obey(&mut self, offset: i64, command: &'a Command) {
        let (id, name) = (command.order_id, command.action.as_str());
        let Some(mut order) = self.orders_now.of(command) else {
            tracing::warn!(sale_id = %command.sale_id, order_id = %id, command = name, "no such order of this customer");
            self.commands.push((name, CommandResult::Unknown));
            return;
        };
        let found = order.status;
        let result = self.carry_out(command, &mut order);
        if result != CommandResult::Illegal && result != CommandResult::Mismatch {
            self.keep(id, order);
        }
        if result != CommandResult::Applied {
            self.notes.push(offset, id, name, result.as_str(), found.as_str());
        }
        if result == CommandResult::Mismatch {
            tracing::error!(sale_id = %command.sale_id, order_id = %id, command = name, "tells of another payment or amount than the order's");
        }
        self.commands.push((name, result));
    }

    fn carry_out(&mut self, command: &'a Command, order: &mut OrderState<'a>) -> CommandResult {
        let id = command.order_id;
        let applied = match &command.action {
            Action::Cancel => {
                let paid = order.status.is_paid();
                order.cancel_reason = Some(CancelReason::Customer);
                let cancelled = self.advance(id, order, Trigger::Cancel, None);
                if cancelled && paid {
                    self.give_back(id, order);
                }
                cancelled
            }
            Action::Pay(request) => self.pay(id, order, request),
            Action::PaymentResult(told) => return self.payment_told(command, order, told),
            Action::Refund => {
                let returned = self.advance(id, order, Trigger::RequestRefund, None);
                if returned {
                    self.give_back(id, order);
                }
                returned
            }
            Action::RefundResult(told) => return self.refund_told(command, order, told),
            Action::Deliver(goods) => {
                let way = order.status.delivery_steps_to(goods.status);
                for trigger in way.iter().flatten() {
                    self.advance(id, order, *trigger, None);
                }
                way.is_some()
            }
        };
        if applied { CommandResult::Applied } else { CommandResult::Illegal }
    }

    /// The payment side tells what became of a payment. It may tell it twice, late, or one thing after the
    /// other; money that it took for an order that no longer wants it goes back.
    fn payment_told(
        &mut self,
        command: &'a Command,
        order: &mut OrderState<'a>,
        told: &'a PaymentResult,
    ) -> CommandResult {
        let id = command.order_id;
        // A wallet's money moves here alone: nobody outside has taken any of it.
        let told_of = |payment: &PaymentState<'_>| {
            payment.method == PaymentMethod::Card && told.payment_id == payment_id(id)
        };
        let Some(payment) = order.payment.filter(told_of) else { return CommandResult::Mismatch };
        let ours = (told.amount, told.currency) == (order.total(), order.currency);
        match (payment.status, told.result) {
            (_, PaymentOutcome::Succeeded) if !ours => CommandResult::Mismatch,
            (PaymentStatus::Requested, PaymentOutcome::Succeeded) if awaited(order) => {
                self.capture(id, order);
                CommandResult::Applied
            }
            (PaymentStatus::Requested, PaymentOutcome::Failed) => {
                // Postgres has no text with a NUL in it; the result counts without its reason, too.
                let reason = told.reason.as_deref().filter(|reason| !reason.contains('\0'));
                let moved = self.fail(id, order, reason);
                if moved { CommandResult::Applied } else { CommandResult::Late }
            }
            (PaymentStatus::Requested | PaymentStatus::Failed, PaymentOutcome::Succeeded)
                if !fault::removed!("late_refund") =>
            {
                if let Some(payment) = &mut order.payment {
                    payment.captured_at = Some(self.now.at);
                }
                self.give_back(id, order);
                CommandResult::Late
            }
            _ => CommandResult::Illegal,
        }
    }

    /// The payment side tells that money went back.
    fn refund_told(
        &mut self,
        command: &Command,
        order: &mut OrderState<'a>,
        told: &RefundResult,
    ) -> CommandResult {
        let id = command.order_id;
        let ours = (payment_id(id), order.total(), order.currency);
        if (told.payment_id, told.amount, told.currency) != ours {
            return CommandResult::Mismatch;
        }
        match order.payment.map(|payment| payment.status) {
            Some(PaymentStatus::RefundRequested) => {
                self.refunded(id, order);
                CommandResult::Applied
            }
            _ => CommandResult::Illegal,
        }
    }
}

/// Whether the order still waits for its money.
fn awaited(order: &OrderState<'_>) -> bool {
    order.status == OrderStatus::PaymentRequested
}
