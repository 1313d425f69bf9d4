//! An order's states, as customers and operators see them, and the one table of its moves.

mod drawing;
mod texts;

pub use drawing::diagram;
use serde::{Deserialize, Serialize};

/// The language of a text for people. Codes never change with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// The default.
    #[default]
    English,
    /// Korean.
    Korean,
}

/// Where an order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Between the 202 and settlement: the log has it, Postgres not yet. Never stored.
    Processing,
    /// Settled: its units are held until it is paid, cancelled or expired.
    Created,
    /// A payment is under way.
    PaymentRequested,
    /// Its money is ours; its units are sold.
    PaymentCompleted,
    /// The payment was refused; the order is cancelled in the same transaction.
    PaymentFailed,
    /// Being packed.
    Preparing,
    /// Kept until it is handed over.
    InWarehouse,
    /// With the courier.
    Shipped,
    /// Scanned by the carrier.
    InTransit,
    /// With the customer. Final, unless the customer wants the money back.
    Delivered,
    /// The customer wants the money back.
    RefundRequested,
    /// The money is back. Final.
    Refunded,
    /// Given up by its customer, not paid, or not paid in time. Its units are sold again. Final.
    Cancelled,
}

/// What moves an order from one state to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Postgres has the accepted order.
    Settled,
    /// The customer wants to pay.
    RequestPayment,
    /// The money was taken.
    PaymentSucceeded,
    /// The money was refused.
    PaymentFailed,
    /// What a failed payment leads to.
    Compensate,
    /// What a completed payment leads to.
    Prepare,
    /// The goods wait in the warehouse.
    Store,
    /// The courier has the goods.
    Ship,
    /// The carrier's first scan.
    Scan,
    /// The customer has the goods.
    Deliver,
    /// The customer cancels.
    Cancel,
    /// The hold on its units has ended unpaid.
    Expire,
    /// The customer wants the money back.
    RequestRefund,
    /// The money went back.
    Refunded,
}

/// A move that the lifecycle does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {} cannot {}", from.as_str(), trigger.as_str())]
pub struct IllegalMove {
    /// The state.
    pub from: OrderStatus,
    /// What was tried.
    pub trigger: Trigger,
}

impl Trigger {
    /// All of them.
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

    /// As a verb.
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

/// Why an order was cancelled: `customer_order.cancel_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// The customer asked for it.
    Customer,
    /// It was not paid before its hold ended.
    Expired,
    /// Its payment was refused.
    PaymentFailed,
}

impl CancelReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Customer, Self::Expired, Self::PaymentFailed];

    /// The name on the wire and in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Expired => "expired",
            Self::PaymentFailed => "payment_failed",
        }
    }
    /// By its name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

impl OrderStatus {
    /// Every state, in the order of the lifecycle.
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

    /// The one table of moves. A command for an order that is not settled yet follows it in the log, so by
    /// then it is [`Created`](Self::Created).
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

    /// The name on the wire and in Postgres.
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
    /// By its name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
    /// Whether its customer may cancel it: also before it is settled, because the command follows it in the
    /// log.
    pub fn can_cancel(self) -> bool {
        self == Self::Processing || self.next(Trigger::Cancel).is_ok()
    }
    /// Whether nothing follows by itself. A delivered order can still be returned.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Refunded | Self::Cancelled)
    }
    /// Whether its units are held for it: taken, not sold.
    pub fn holds_units(self) -> bool {
        matches!(self, Self::Created | Self::PaymentRequested | Self::PaymentFailed)
    }
    /// Whether its units are sold. What was shipped stays sold when its money goes back.
    pub fn sells_units(self) -> bool {
        !self.holds_units() && !matches!(self, Self::Processing | Self::Cancelled)
    }
    /// Whether its money is with us.
    pub fn is_paid(self) -> bool {
        self.sells_units() && self != Self::Refunded
    }
    /// The moves of goods from here to another state, if they lead there.
    pub fn delivery_steps_to(self, goal: Self) -> Option<Vec<Trigger>> {
        let (mut at, mut way) = (self, Vec::new());
        while at != goal {
            let trigger = at.delivery_trigger()?;
            at = at.next(trigger).ok()?;
            way.push(trigger);
        }
        (!way.is_empty()).then_some(way)
    }
    /// How the goods go on from here, by themselves or by an operator's hand.
    pub fn delivery_trigger(self) -> Option<Trigger> {
        match self {
            Self::Preparing => Some(Trigger::Ship),
            Self::Shipped => Some(Trigger::Scan),
            Self::InTransit | Self::InWarehouse => Some(Trigger::Deliver),
            _ => None,
        }
    }
}
