//! The lifecycle of an order: its statuses and the table of transitions.

mod diagram;
mod texts;

pub use diagram::diagram;
use serde::{Deserialize, Serialize};

/// The language of texts for people. Codes do not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English, the default.
    #[default]
    English,
    /// Korean, the storefront's main language.
    Korean,
}

/// The status of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Accepted, but not settled: the order is in the log and not yet in Postgres. This status is never stored.
    Processing,
    /// Settled. Its units are held until it is paid, cancelled or expired.
    Created,
    /// A payment is in progress.
    PaymentRequested,
    /// The payment was captured; the units are sold.
    PaymentCompleted,
    /// The payment failed; the order is cancelled in the same transaction.
    PaymentFailed,
    /// The order is being packed.
    Preparing,
    /// Stored in the warehouse until the customer collects it.
    InWarehouse,
    /// Handed over to the courier.
    Shipped,
    /// Scanned by the carrier for the first time.
    InTransit,
    /// Received by the customer. Final, unless the customer requests a refund.
    Delivered,
    /// The customer has requested a refund.
    RefundRequested,
    /// The money was refunded. Final.
    Refunded,
    /// Cancelled by the customer, or not paid, or not paid in time. Its units return to stock. Final.
    Cancelled,
}

/// A trigger of a transition from one status to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// The accepted order is stored in Postgres.
    Settled,
    /// The customer requests the payment.
    RequestPayment,
    /// The payment was captured.
    PaymentSucceeded,
    /// The payment failed.
    PaymentFailed,
    /// The compensation of a failed payment.
    Compensate,
    /// The preparation after a completed payment.
    Prepare,
    /// The goods are stored in the warehouse.
    Store,
    /// The goods are handed over to the courier.
    Ship,
    /// The carrier scans the goods for the first time.
    Scan,
    /// The customer receives the goods.
    Deliver,
    /// The customer cancels the order.
    Cancel,
    /// The hold on the units expires unpaid.
    Expire,
    /// The customer requests a refund.
    RequestRefund,
    /// The refund is complete.
    Refunded,
}

/// The error for a transition that the lifecycle does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {} cannot {}", from.as_str(), trigger.as_str())]
pub struct IllegalMove {
    /// The current status.
    pub from: OrderStatus,
    /// The trigger that has no transition from it.
    pub trigger: Trigger,
}

impl Trigger {
    /// All triggers.
    pub const ALL: [Self; 14] = [
        Self::Settled,
        Self::RequestPayment,
        Self::PaymentSucceeded,
        Self::PaymentFailed,
        Self::Compensate,
        Self::Prepare,
        Self::Store,
        Self::Ship,
        Self::Scan,
        Self::Deliver,
        Self::Cancel,
        Self::Expire,
        Self::RequestRefund,
        Self::Refunded,
    ];

    /// Returns the trigger as a verb, for error messages and the diagram.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "be settled",
            Self::RequestPayment => "be paid",
            Self::PaymentSucceeded => "have been paid",
            Self::PaymentFailed => "fail to be paid",
            Self::Compensate => "be compensated",
            Self::Prepare => "be prepared",
            Self::Store => "be stored",
            Self::Ship => "be shipped",
            Self::Scan => "be scanned",
            Self::Deliver => "be delivered",
            Self::Cancel => "be cancelled",
            Self::Expire => "expire",
            Self::RequestRefund => "be returned",
            Self::Refunded => "be refunded",
        }
    }
}

/// The reason of a cancellation: `customer_order.cancel_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// The customer cancelled the order.
    Customer,
    /// The order was not paid before its hold expired.
    Expired,
    /// The payment failed.
    PaymentFailed,
}

impl CancelReason {
    /// All reasons.
    pub const ALL: [Self; 3] = [Self::Customer, Self::Expired, Self::PaymentFailed];

    /// Returns the name on the wire and in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Expired => "expired",
            Self::PaymentFailed => "payment_failed",
        }
    }
    /// Returns the reason with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

impl OrderStatus {
    /// All statuses, in the order of the lifecycle.
    pub const ALL: [Self; 13] = [
        Self::Processing,
        Self::Created,
        Self::PaymentRequested,
        Self::PaymentCompleted,
        Self::PaymentFailed,
        Self::Preparing,
        Self::InWarehouse,
        Self::Shipped,
        Self::InTransit,
        Self::Delivered,
        Self::RefundRequested,
        Self::Refunded,
        Self::Cancelled,
    ];

    /// Returns the next status: the table of transitions. A command for an order that is not settled yet follows the
    /// order in the log, so the order is [`Created`](Self::Created) when the command is applied.
    pub fn next(self, trigger: Trigger) -> Result<Self, IllegalMove> {
        use OrderStatus as S;
        use Trigger as T;
        match (self, trigger) {
            (S::Processing, T::Settled) => Ok(S::Created),
            (S::Created, T::RequestPayment) => Ok(S::PaymentRequested),
            (S::Created | S::PaymentRequested, T::Cancel | T::Expire) => Ok(S::Cancelled),
            (S::PaymentRequested, T::PaymentSucceeded) => Ok(S::PaymentCompleted),
            (S::PaymentRequested, T::PaymentFailed) => Ok(S::PaymentFailed),
            (S::PaymentFailed, T::Compensate) => Ok(S::Cancelled),
            (S::PaymentCompleted, T::Prepare) => Ok(S::Preparing),
            (S::PaymentCompleted | S::Preparing | S::InWarehouse, T::Cancel) => Ok(S::Cancelled),
            (S::Preparing, T::Store) => Ok(S::InWarehouse),
            (S::Preparing, T::Ship) => Ok(S::Shipped),
            (S::Shipped, T::Scan) => Ok(S::InTransit),
            (S::InTransit | S::InWarehouse, T::Deliver) => Ok(S::Delivered),
            (S::Shipped | S::InTransit | S::Delivered, T::RequestRefund) => Ok(S::RefundRequested),
            (S::RefundRequested, T::Refunded) => Ok(S::Refunded),
            (from, trigger) => Err(IllegalMove { from, trigger }),
        }
    }

    /// Returns the name on the wire and in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Created => "created",
            Self::PaymentRequested => "payment_requested",
            Self::PaymentCompleted => "payment_completed",
            Self::PaymentFailed => "payment_failed",
            Self::Preparing => "preparing",
            Self::InWarehouse => "in_warehouse",
            Self::Shipped => "shipped",
            Self::InTransit => "in_transit",
            Self::Delivered => "delivered",
            Self::RefundRequested => "refund_requested",
            Self::Refunded => "refunded",
            Self::Cancelled => "cancelled",
        }
    }
    /// Returns the status with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
    /// Returns whether the customer may cancel the order. This includes an order that is not settled yet, because
    /// the command follows it in the log.
    pub fn can_cancel(self) -> bool {
        self == Self::Processing || self.next(Trigger::Cancel).is_ok()
    }
    /// Returns whether no transition follows automatically. A delivered order can still be returned.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Refunded | Self::Cancelled)
    }
    /// Returns whether the order's units are held: reserved, but not sold.
    pub fn holds_units(self) -> bool {
        matches!(self, Self::Created | Self::PaymentRequested | Self::PaymentFailed)
    }
    /// Returns whether the order's units are sold. Units that were shipped stay sold when the order is refunded.
    pub fn sells_units(self) -> bool {
        !self.holds_units() && !matches!(self, Self::Processing | Self::Cancelled)
    }
    /// Returns whether the order's money is captured and not refunded.
    pub fn is_paid(self) -> bool {
        self.sells_units() && self != Self::Refunded
    }
    /// Returns the delivery transitions that lead from this status to `goal`, if there are any.
    pub fn delivery_steps_to(self, goal: Self) -> Option<Vec<Trigger>> {
        let (mut current, mut steps) = (self, Vec::new());
        while current != goal {
            let trigger = current.delivery_trigger()?;
            current = current.next(trigger).ok()?;
            steps.push(trigger);
        }
        (!steps.is_empty()).then_some(steps)
    }
    /// Returns the trigger that advances the delivery from this status, automatically or by an operator.
    pub fn delivery_trigger(self) -> Option<Trigger> {
        match self {
            Self::Preparing => Some(Trigger::Ship),
            Self::Shipped => Some(Trigger::Scan),
            Self::InTransit | Self::InWarehouse => Some(Trigger::Deliver),
            _ => None,
        }
    }
}
