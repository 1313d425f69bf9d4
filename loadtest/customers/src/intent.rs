//! What a customer intends to do with an accepted order: pay or not, keep it, cancel it, send it back. Pure
//! and repeatable: the same customer and seed always result in the same intent.

use contract::ids::customer_hash;
use contract::order::{PaymentMethod, PaymentRequest};

use fastrand::Rng;

/// How an order is paid. The tokens are test cards of the simulated card provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Payment {
    /// A wallet that an operator has credited with enough money.
    Wallet,
    /// A wallet whose balance is too low.
    EmptyWallet,
    /// A card that is charged immediately.
    Card,
    /// A card whose provider confirms the charge late.
    LateCard,
    /// A card whose provider sends the callback twice.
    DuplicateCallbackCard,
    /// A card that is charged although the request to the provider times out.
    TimeoutCard,
    /// A card that is charged, and whose provider later reports a failure.
    ContradictoryCard,
    /// A card that is declined.
    DeclinedCard,
}

impl Payment {
    /// Returns whether the payment needs the payments program.
    pub fn is_card(self) -> bool {
        self.token().is_some()
    }

    /// Returns whether money will be captured.
    pub fn succeeds(self) -> bool {
        !matches!(self, Self::EmptyWallet | Self::DeclinedCard)
    }

    /// Returns the payment from a wallet with the same result, for a stack without the payments program.
    pub fn from_wallet(self) -> Self {
        if self.succeeds() { Self::Wallet } else { Self::EmptyWallet }
    }

    /// Returns the body of the request.
    pub fn request(self) -> PaymentRequest {
        let method = if self.is_card() { PaymentMethod::Card } else { PaymentMethod::Wallet };
        PaymentRequest { method, token: self.token().map(str::to_owned) }
    }

    fn token(self) -> Option<&'static str> {
        match self {
            Self::Wallet | Self::EmptyWallet => None,
            Self::Card => Some("tok_approve"),
            Self::LateCard => Some("tok_late"),
            Self::DuplicateCallbackCard => Some("tok_twice"),
            Self::TimeoutCard => Some("tok_timeout"),
            Self::ContradictoryCard => Some("tok_lie"),
            Self::DeclinedCard => Some("tok_decline"),
        }
    }
}

/// What the customer decides to do with the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Intent {
    /// Pays and keeps the order if the payment succeeds.
    Keep(Payment),
    /// Pays, then cancels before the order is shipped.
    CancelPaid(Payment),
    /// Pays, then requests a refund after the order is shipped.
    SendBack(Payment),
    /// Cancels instead of paying.
    CancelUnpaid,
    /// Does nothing, so that the order expires.
    Forget,
}

/// The number of customers in a thousand with each intent.
const WEIGHTS: [(u64, Intent); 14] = [
    (330, Intent::Keep(Payment::Wallet)),
    (260, Intent::Keep(Payment::Card)),
    (20, Intent::Keep(Payment::LateCard)),
    (20, Intent::Keep(Payment::DuplicateCallbackCard)),
    (60, Intent::Keep(Payment::DeclinedCard)),
    (20, Intent::Keep(Payment::EmptyWallet)),
    (30, Intent::CancelPaid(Payment::Wallet)),
    (25, Intent::CancelPaid(Payment::Card)),
    (5, Intent::CancelPaid(Payment::LateCard)),
    (40, Intent::SendBack(Payment::Wallet)),
    (35, Intent::SendBack(Payment::Card)),
    (5, Intent::SendBack(Payment::DuplicateCallbackCard)),
    (50, Intent::CancelUnpaid),
    (100, Intent::Forget),
];

impl Intent {
    /// Chooses the intent of a customer. `cards`: whether the payments program is ready to charge cards.
    pub fn choose(customer: &str, seed: u64, cards: bool) -> Self {
        let all = WEIGHTS.iter().map(|(weight, _)| weight).sum();
        let mut point = Rng::with_seed(seed ^ customer_hash(customer)).u64(0..all);
        for (weight, intent) in WEIGHTS {
            if point < weight {
                return if cards { intent } else { intent.without_cards() };
            }
            point -= weight;
        }
        Self::Forget // unreachable: the point is below the sum of the weights
    }

    /// Returns how the order is paid; `None`: it is not paid.
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
    use contract::wire;
    use std::collections::BTreeMap;

    fn count_intents(cards: bool) -> BTreeMap<Intent, u64> {
        let mut counts = BTreeMap::new();
        for n in 0..20_000 {
            *counts.entry(Intent::choose(&format!("customer-{n:05}"), 1, cards)).or_default() += 1;
        }
        counts
    }

    #[test]
    fn every_intent_is_chosen_as_often_as_its_weight_says() {
        assert_eq!(WEIGHTS.iter().map(|(weight, _)| weight).sum::<u64>(), 1000);
        let counts = count_intents(true);
        for (weight, intent) in WEIGHTS {
            let (found, expected) = (counts.get(&intent).copied().unwrap_or(0), weight * 20);
            assert!(found.abs_diff(expected) <= 20 + expected / 5, "{intent:?}: {found}, not {expected}");
        }
        assert_eq!(counts, count_intents(true), "repeatable");
        assert_ne!(Intent::choose("a", 1, true), Intent::choose("a", 2, true), "the seed changes the intent");
    }

    #[test]
    fn without_cards_the_same_customers_succeed_and_fail() {
        for n in 0..2000 {
            let name = format!("c{n}");
            let (with, without) = (Intent::choose(&name, 3, true), Intent::choose(&name, 3, false));
            assert_eq!(std::mem::discriminant(&with), std::mem::discriminant(&without));
            let succeeds = |intent: Intent| intent.payment().map(Payment::succeeds);
            assert_eq!(succeeds(with), succeeds(without));
            assert!(!without.payment().is_some_and(Payment::is_card), "{without:?}");
        }
    }

    #[test]
    fn card_payments_have_a_token_and_wallet_payments_have_none() {
        let json = |payment: Payment| wire::encode_text(&payment.request());
        assert_eq!(json(Payment::DeclinedCard), r#"{"method":"card","token":"tok_decline"}"#);
        assert_eq!(json(Payment::EmptyWallet), r#"{"method":"wallet"}"#);
    }
}
