//! The test cards: the card tokens that the simulated provider accepts, and the behaviour of each. They represent what
//! cards and networks do to a merchant; the test mode of a real provider has similar ones.

use contract::record::PaymentOutcome;

use super::protocol::ChargeStatus;

/// The behaviour of a test card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CardBehaviour {
    /// `tok_approve`, no token, or an unknown one: captured at once; the response and a callback report it.
    Approve,
    /// `tok_decline`: declined at once; the response and a callback report it.
    Decline,
    /// `tok_timeout`: captured, but the request gets no response, however often it is repeated. A late callback and
    /// `GET` report it.
    Timeout,
    /// `tok_late`: the response is `pending`; captured some time later; a callback and `GET` report it.
    Late,
    /// `tok_twice`: as `tok_approve`, with a second callback some time later.
    Twice,
    /// `tok_lie`: as `tok_approve`, with a later callback that reports `failed`, which is false.
    Lie,
}

impl CardBehaviour {
    /// Returns the behaviour of a card token.
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

    /// Returns the status when the request arrives, and the reason of a failure.
    pub fn immediate_status(self) -> (ChargeStatus, Option<&'static str>) {
        match self {
            Self::Decline => (ChargeStatus::Failed, Some("card_declined")),
            Self::Late => (ChargeStatus::Pending, None),
            Self::Approve | Self::Timeout | Self::Twice | Self::Lie => (ChargeStatus::Succeeded, None),
        }
    }

    /// Returns whether the request gets a response.
    pub fn responds(self) -> bool {
        self != Self::Timeout
    }

    /// Returns the callbacks about a decided payment: the outcome that each reports, and whether it is late.
    pub fn callbacks(self, actual: PaymentOutcome) -> Vec<(PaymentOutcome, bool)> {
        match self {
            Self::Approve | Self::Decline | Self::Late => vec![(actual, false)],
            Self::Timeout => vec![(actual, true)],
            Self::Twice => vec![(actual, false), (actual, true)],
            Self::Lie => vec![(actual, false), (PaymentOutcome::Failed, true)],
        }
    }
}
