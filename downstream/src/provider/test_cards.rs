//! The card tokens that the simulated provider knows, and what each does. They stand for what cards and
//! networks do to a merchant; a real provider's test mode has the like.

use contract::record::PaymentOutcome;

use super::ledger::ChargeStatus;

/// What a token makes of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardBehaviour {
    /// `tok_approve`, none, or one that is not known: captured, answered at once, told by a callback.
    Approve,
    /// `tok_decline`: refused, answered at once, told by a callback.
    Decline,
    /// `tok_timeout`: captured, but the request gets no answer, however often it is repeated. A late callback
    /// and `GET` tell.
    Timeout,
    /// `tok_late`: answered `pending`; captured some time later; a callback and `GET` tell.
    Late,
    /// `tok_twice`: as `tok_approve`, and a second callback some time later.
    Twice,
    /// `tok_lie`: as `tok_approve`, and some time later a callback that says `failed`, which is not true.
    Lie,
}

impl CardBehaviour {
    /// By token.
    pub fn for_token(token: Option<&str>) -> Self {
        match token {
            Some("tok_decline") => Self::Decline,
            Some("tok_timeout") => Self::Timeout,
            Some("tok_late") => Self::Late,
            Some("tok_twice") => Self::Twice,
            Some("tok_lie") => Self::Lie,
            _ => Self::Approve,
        }
    }

    /// What is decided when the request comes, and why.
    pub fn at_once(self) -> (ChargeStatus, Option<&'static str>) {
        match self {
            Self::Decline => (ChargeStatus::Failed, Some("card_declined")),
            Self::Late => (ChargeStatus::Pending, None),
            Self::Approve | Self::Timeout | Self::Twice | Self::Lie => (ChargeStatus::Succeeded, None),
        }
    }

    /// Whether the request is answered.
    pub fn answers(self) -> bool {
        self != Self::Timeout
    }

    /// The callbacks about a decided payment: what each says, and whether it comes late.
    pub fn callbacks(self, truth: PaymentOutcome) -> Vec<(PaymentOutcome, bool)> {
        match self {
            Self::Approve | Self::Decline | Self::Late => vec![(truth, false)],
            Self::Timeout => vec![(truth, true)],
            Self::Twice => vec![(truth, false), (truth, true)],
            Self::Lie => vec![(truth, false), (PaymentOutcome::Failed, true)],
        }
    }
}
