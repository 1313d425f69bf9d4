//! Commands to orders: from their customers, from the payment side, and from operators. A command that arrives too
//! late, twice, or out of order changes nothing that the lifecycle does not allow, and leaves a note.

use contract::lifecycle::{CancelReason, OrderStatus, Trigger};
use contract::order::PaymentMethod;
use contract::payment::{PaymentStatus, payment_id};
use contract::record::{Action, Command, PaymentOutcome, PaymentResult, RefundResult};

use super::Effects;
use crate::decide::order_state::{OrderState, PaymentState};
use crate::queries::NoteValues;

/// The result of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandResult {
    /// The order changed.
    Applied,
    /// The order had changed this way before, or the lifecycle does not allow the transition.
    Illegal,
    /// The customer does not have this order.
    Unknown,
    /// The payment arrived when the order no longer awaited it, and is refunded.
    Late,
    /// The command names another payment, or another amount, than the order's.
    Mismatch,
}

impl CommandResult {
    /// Returns the name in metrics and in the history.
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
    /// Applies a command, or notes that it could not be applied.
    pub(super) fn apply_command(&mut self, offset: i64, command: &'a Command) {
        let (id, name) = (command.order_id, command.action.as_str());
        let Some(mut order) = self.order_states.find_for_command(command) else {
            tracing::warn!(sale_id = %command.sale_id, order_id = %id, command = name, "the command names an order that its customer does not have");
            self.commands.push((name, CommandResult::Unknown));
            return;
        };
        let prior_status = order.status;
        let result = self.apply_action(command, &mut order);
        if result != CommandResult::Illegal && result != CommandResult::Mismatch {
            self.update_order(id, order);
        }
        if result != CommandResult::Applied {
            self.notes.push(NoteValues {
                log_offset: offset,
                order_id: id,
                command: name,
                result: result.as_str(),
                found: prior_status.as_str(),
            });
        }
        if result == CommandResult::Mismatch {
            tracing::error!(sale_id = %command.sale_id, order_id = %id, command = name, "the command names another payment or amount than the order's");
        }
        self.commands.push((name, result));
    }

    fn apply_action(&mut self, command: &'a Command, order: &mut OrderState<'a>) -> CommandResult {
        let id = command.order_id;
        let applied = match &command.action {
            Action::Cancel => {
                let was_paid = order.status.is_paid();
                order.cancel_reason = Some(CancelReason::Customer);
                let cancelled = self.advance(id, order, Trigger::Cancel, None);
                if cancelled && was_paid {
                    self.refund(id, order);
                }
                cancelled
            }
            Action::Pay(request) => self.pay(id, order, request),
            Action::PaymentResult(result) => return self.apply_payment_result(command, order, result),
            Action::Refund => {
                let returned = self.advance(id, order, Trigger::RequestRefund, None);
                if returned {
                    self.refund(id, order);
                }
                returned
            }
            Action::RefundResult(result) => return self.apply_refund_result(command, order, result),
            Action::Deliver(delivery) => {
                let path = order.status.delivery_steps_to(delivery.status);
                for trigger in path.iter().flatten() {
                    self.advance(id, order, *trigger, None);
                }
                path.is_some()
            }
        };
        if applied { CommandResult::Applied } else { CommandResult::Illegal }
    }

    /// Applies the result of a payment. The payment side may deliver results twice, late, or out of order. Money that
    /// was captured for an order that no longer awaits it is refunded.
    fn apply_payment_result(
        &mut self,
        command: &'a Command,
        order: &mut OrderState<'a>,
        result: &'a PaymentResult,
    ) -> CommandResult {
        let id = command.order_id;
        // Wallet payments happen in settlement alone: the payment side cannot have a result for one.
        let is_this_payment = |payment: &PaymentState<'_>| {
            payment.method == PaymentMethod::Card && result.payment_id == payment_id(id)
        };
        let Some(payment) = order.payment.filter(is_this_payment) else { return CommandResult::Mismatch };
        let amount_matches = (result.amount, result.currency) == (order.total(), order.currency);
        match (payment.status, result.result) {
            (_, PaymentOutcome::Succeeded) if !amount_matches => CommandResult::Mismatch,
            (PaymentStatus::Requested, PaymentOutcome::Succeeded) if awaits_payment(order) => {
                self.capture(id, order);
                CommandResult::Applied
            }
            (PaymentStatus::Requested, PaymentOutcome::Failed) => {
                // Postgres cannot store a text with a NUL; the result is applied without its reason.
                let reason = result.reason.as_deref().filter(|reason| !reason.contains('\0'));
                let moved = self.fail_payment(id, order, reason);
                if moved { CommandResult::Applied } else { CommandResult::Late }
            }
            (PaymentStatus::Requested | PaymentStatus::Failed, PaymentOutcome::Succeeded)
                if !fault::removed!("late_refund") =>
            {
                if let Some(payment) = &mut order.payment {
                    payment.captured_at = Some(self.time.at);
                }
                self.refund(id, order);
                CommandResult::Late
            }
            _ => CommandResult::Illegal,
        }
    }

    /// Applies the confirmation of a refund by the payment side.
    fn apply_refund_result(
        &mut self,
        command: &Command,
        order: &mut OrderState<'a>,
        result: &RefundResult,
    ) -> CommandResult {
        let id = command.order_id;
        let expected = (payment_id(id), order.total(), order.currency);
        if (result.payment_id, result.amount, result.currency) != expected {
            return CommandResult::Mismatch;
        }
        match order.payment.map(|payment| payment.status) {
            Some(PaymentStatus::RefundRequested) => {
                self.complete_refund(id, order);
                CommandResult::Applied
            }
            _ => CommandResult::Illegal,
        }
    }
}

fn awaits_payment(order: &OrderState<'_>) -> bool {
    order.status == OrderStatus::PaymentRequested
}
