//! An order's states, as customers and operators see them.

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
}

impl OrderStatus {
    /// Every state, in the order of the lifecycle.
    pub const ALL: [Self; 2] = [Self::Processing, Self::Created];

    /// The name on the wire and in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Processing => "processing",
            Self::Created => "created",
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
        }
    }
    /// How far the order is on its way to the customer, in percent.
    pub fn progress_percentage(self) -> u8 {
        match self {
            Self::Processing => 5,
            Self::Created => 15,
        }
    }
    /// Whether the customer may cancel it.
    pub fn can_cancel(self) -> bool {
        matches!(self, Self::Created)
    }
}
