//! An order's states, as customers and operators see them, and the one table of its moves.

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Between the 202 and settlement: the log has it, Postgres not yet. Never stored.
    Processing,
    /// Settled: its units are held until it is paid, cancelled or expired.
    Created,
    /// Given up by its customer, or not paid in time. Its units are sold again. Final.
    Cancelled,
}

/// What moves an order from one state to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// Postgres has the accepted order.
    Settled,
    /// The customer cancels.
    Cancel,
    /// The hold on its units has ended unpaid.
    Expire,
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
    pub const ALL: [Self; 3] = [Self::Settled, Self::Cancel, Self::Expire];

    /// As a verb.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "be settled",
            Self::Cancel => "be cancelled",
            Self::Expire => "expire",
        }
    }
}

/// Why an order was cancelled: `customer_order.cancel_reason`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CancelReason {
    /// The customer asked for it.
    Customer,
    /// It was not paid before its hold ended.
    Expired,
}

impl CancelReason {
    /// The name on the wire and in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Expired => "expired",
        }
    }
    /// By its name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Customer, Self::Expired].into_iter().find(|reason| reason.as_str() == text)
    }
}

impl OrderStatus {
    /// Every state, in the order of the lifecycle.
    pub const ALL: [Self; 3] = [Self::Processing, Self::Created, Self::Cancelled];

    /// The one table of moves. A command for an order that is not settled yet follows it in the log, so by
    /// then it is [`Created`](Self::Created).
    pub fn next(self, trigger: Trigger) -> Result<Self, IllegalMove> {
        match (self, trigger) {
            (Self::Processing, Trigger::Settled) => Ok(Self::Created),
            (Self::Created, Trigger::Cancel | Trigger::Expire) => Ok(Self::Cancelled),
            (from, trigger) => Err(IllegalMove { from, trigger }),
        }
    }

    /// The name on the wire and in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Created => "created",
            Self::Cancelled => "cancelled",
        }
    }
    /// By its name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
    /// One sentence for the customer.
    pub fn description(self, language: Language) -> &'static str {
        match (self, language) {
            (Self::Processing, Language::English) => "Your order was accepted and is being recorded.",
            (Self::Processing, Language::Korean) => "주문이 접수되어 처리 중입니다.",
            (Self::Created, Language::English) => "Your order is confirmed and held for payment.",
            (Self::Created, Language::Korean) => "주문이 확정되어 결제를 기다리고 있습니다.",
            (Self::Cancelled, Language::English) => "Your order was cancelled.",
            (Self::Cancelled, Language::Korean) => "주문이 취소되었습니다.",
        }
    }
    /// How far the order is on its way to the customer, in percent.
    pub fn progress_percentage(self) -> u8 {
        match self {
            Self::Processing => 5,
            Self::Created => 15,
            Self::Cancelled => 0,
        }
    }
    /// Whether its customer may cancel it: also before it is settled, because the command follows it in the
    /// log.
    pub fn can_cancel(self) -> bool {
        self == Self::Processing || self.next(Trigger::Cancel).is_ok()
    }
    /// Whether nothing follows.
    pub fn is_final(self) -> bool {
        Trigger::ALL.into_iter().all(|trigger| self.next(trigger).is_err())
    }
    /// Whether its units are held for it: taken, not sold.
    pub fn holds_units(self) -> bool {
        matches!(self, Self::Created)
    }
}
