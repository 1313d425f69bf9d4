//! What a customer means to do with an order once it is theirs: pay or not, keep it, give it up, send it
//! back. Pure and repeatable: the same customer of the same seed always means the same.

use contract::ids::customer_hash;
use contract::order::{PaymentMethod, PaymentRequest};

use crate::crowd::Dice;

/// How an order is paid. Tokens are those of the simulated card provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Payment {
    /// From the wallet, into which an operator puts enough beforehand.
    Wallet,
    /// From the wallet, with too little in it.
    EmptyWallet,
    /// By a card that pays at once.
    Card,
    /// By a card whose provider takes its time.
    LateCard,
    /// By a card whose provider tells the result twice.
    TwiceToldCard,
    /// By a card that pays, and whose provider never answers the request.
    SilentCard,
    /// By a card that pays, and whose provider later tells that it did not.
    LyingCard,
    /// By a card that is declined.
    DeclinedCard,
}

impl Payment {
    /// Whether it needs somebody who charges cards.
    pub fn is_card(self) -> bool {
        self.token().is_some()
    }

    /// Whether money will be taken.
    pub fn succeeds(self) -> bool {
        !matches!(self, Self::EmptyWallet | Self::DeclinedCard)
    }

    /// The same where nobody charges cards.
    pub fn from_wallet(self) -> Self {
        if self.succeeds() { Self::Wallet } else { Self::EmptyWallet }
    }

    /// As it is sent.
    pub fn request(self) -> PaymentRequest {
        let method = if self.is_card() { PaymentMethod::Card } else { PaymentMethod::Wallet };
        PaymentRequest { method, token: self.token().map(str::to_owned) }
    }

    fn token(self) -> Option<&'static str> {
        match self {
            Self::Wallet | Self::EmptyWallet => None,
            Self::Card => Some("tok_approve"),
            Self::LateCard => Some("tok_late"),
            Self::TwiceToldCard => Some("tok_twice"),
            Self::SilentCard => Some("tok_timeout"),
            Self::LyingCard => Some("tok_lie"),
            Self::DeclinedCard => Some("tok_decline"),
        }
    }
}

/// What becomes of the order, as far as its customer decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Intent {
    /// Pays and keeps it, if the payment goes through.
    Keep(Payment),
    /// Pays, and cancels before it is shipped.
    CancelPaid(Payment),
    /// Pays, and sends it back once it is shipped.
    SendBack(Payment),
    /// Cancels instead of paying.
    CancelUnpaid,
    /// Lets it expire.
    Forget,
}

/// How many of a thousand customers mean what.
const WEIGHTS: [(u64, Intent); 14] = [
    (330, Intent::Keep(Payment::Wallet)),
    (260, Intent::Keep(Payment::Card)),
    (20, Intent::Keep(Payment::LateCard)),
    (20, Intent::Keep(Payment::TwiceToldCard)),
    (60, Intent::Keep(Payment::DeclinedCard)),
    (20, Intent::Keep(Payment::EmptyWallet)),
    (30, Intent::CancelPaid(Payment::Wallet)),
    (25, Intent::CancelPaid(Payment::Card)),
    (5, Intent::CancelPaid(Payment::LateCard)),
    (40, Intent::SendBack(Payment::Wallet)),
    (35, Intent::SendBack(Payment::Card)),
    (5, Intent::SendBack(Payment::TwiceToldCard)),
    (50, Intent::CancelUnpaid),
    (100, Intent::Forget),
];

impl Intent {
    /// Of this customer. `cards`: somebody charges them.
    pub fn of(customer: &str, seed: u64, cards: bool) -> Self {
        let all = WEIGHTS.iter().map(|(weight, _)| weight).sum();
        let mut roll = Dice::new(seed ^ customer_hash(customer)).roll(all);
        for (weight, intent) in WEIGHTS {
            if roll < weight {
                return if cards { intent } else { intent.without_cards() };
            }
            roll -= weight;
        }
        Self::Forget // the roll is below the sum
    }

    /// How it is paid; `None`: not at all.
    pub fn payment(self) -> Option<Payment> {
        match self {
            Self::Keep(payment) | Self::CancelPaid(payment) | Self::SendBack(payment) => Some(payment),
            Self::CancelUnpaid | Self::Forget => None,
        }
    }

    fn without_cards(self) -> Self {
        match self {
            Self::Keep(payment) => Self::Keep(payment.from_wallet()),
            Self::CancelPaid(payment) => Self::CancelPaid(payment.from_wallet()),
            Self::SendBack(payment) => Self::SendBack(payment.from_wallet()),
            unpaid => unpaid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn crowd(cards: bool) -> BTreeMap<Intent, u64> {
        let mut counts = BTreeMap::new();
        for n in 0..20_000 {
            *counts.entry(Intent::of(&format!("customer-{n:05}"), 1, cards)).or_default() += 1;
        }
        counts
    }

    #[test]
    fn every_intent_is_met_as_often_as_its_weight_says() {
        assert_eq!(WEIGHTS.iter().map(|(weight, _)| weight).sum::<u64>(), 1000);
        let counts = crowd(true);
        for (weight, intent) in WEIGHTS {
            let (seen, expected) = (counts.get(&intent).copied().unwrap_or(0), weight * 20);
            assert!(seen.abs_diff(expected) <= 20 + expected / 5, "{intent:?}: {seen}, not {expected}");
        }
        assert_eq!(counts, crowd(true), "repeatable");
        assert_ne!(Intent::of("a", 1, true), Intent::of("a", 2, true), "by seed, too");
    }

    #[test]
    fn without_cards_the_same_customers_succeed_and_fail() {
        for n in 0..2000 {
            let name = format!("c{n}");
            let (with, without) = (Intent::of(&name, 3, true), Intent::of(&name, 3, false));
            assert_eq!(std::mem::discriminant(&with), std::mem::discriminant(&without));
            let succeeds = |intent: Intent| intent.payment().map(Payment::succeeds);
            assert_eq!(succeeds(with), succeeds(without));
            assert!(!without.payment().is_some_and(Payment::is_card), "{without:?}");
        }
    }

    #[test]
    fn cards_carry_tokens_and_wallets_none() {
        let json = |payment: Payment| serde_json::to_string(&payment.request()).unwrap();
        assert_eq!(json(Payment::DeclinedCard), r#"{"method":"card","token":"tok_decline"}"#);
        assert_eq!(json(Payment::EmptyWallet), r#"{"method":"wallet"}"#);
    }
}
