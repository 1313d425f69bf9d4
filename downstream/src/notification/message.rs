//! What a customer is told, and in which words: templates, one file a kind and language. The first line is
//! the subject.

use contract::event::OrderEvent;
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::money::Currency;

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// The money has arrived.
    PaymentCompleted,
    /// The payment was refused.
    PaymentFailed,
    /// It was not paid in time.
    Expired,
    /// The customer gave it up.
    Cancelled,
    /// It is on its way.
    Shipped,
    /// It has arrived.
    Delivered,
    /// The money is back.
    Refunded,
}

impl MessageKind {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::PaymentCompleted,
        Self::PaymentFailed,
        Self::Expired,
        Self::Cancelled,
        Self::Shipped,
        Self::Delivered,
        Self::Refunded,
    ];

    /// What an event is worth telling; `None`: nothing.
    pub fn for_event(event: &OrderEvent) -> Option<Self> {
        match event.status {
            OrderStatus::PaymentCompleted => Some(Self::PaymentCompleted),
            OrderStatus::PaymentFailed => Some(Self::PaymentFailed),
            OrderStatus::Shipped => Some(Self::Shipped),
            OrderStatus::Delivered => Some(Self::Delivered),
            OrderStatus::Refunded => Some(Self::Refunded),
            OrderStatus::Cancelled => match event.cancel_reason {
                Some(CancelReason::Expired) => Some(Self::Expired),
                Some(CancelReason::PaymentFailed) => None, // was told when it failed
                Some(CancelReason::Customer) | None => Some(Self::Cancelled),
            },
            OrderStatus::Processing
            | OrderStatus::Created
            | OrderStatus::PaymentRequested
            | OrderStatus::Preparing
            | OrderStatus::InWarehouse
            | OrderStatus::InTransit
            | OrderStatus::RefundRequested => None,
        }
    }

    /// The name on the wire and in Postgres.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PaymentCompleted => "payment_completed",
            Self::PaymentFailed => "payment_failed",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Shipped => "shipped",
            Self::Delivered => "delivered",
            Self::Refunded => "refunded",
        }
    }

    fn template(self, language: Language) -> &'static str {
        macro_rules! template {
            ($name:literal) => {
                match language {
                    Language::English => include_str!(concat!("../../templates/en/", $name, ".txt")),
                    Language::Korean => include_str!(concat!("../../templates/ko/", $name, ".txt")),
                }
            };
        }
        match self {
            Self::PaymentCompleted => template!("payment_completed"),
            Self::PaymentFailed => template!("payment_failed"),
            Self::Expired => template!("expired"),
            Self::Cancelled => template!("cancelled"),
            Self::Shipped => template!("shipped"),
            Self::Delivered => template!("delivered"),
            Self::Refunded => template!("refunded"),
        }
    }
}

/// What Postgres knows of an order beside its event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderDetails {
    /// Its customer's address.
    pub email: Option<String>,
    /// Its sale's title.
    pub sale: String,
    /// Its tracking number, once it is shipped.
    pub tracking: Option<String>,
    /// Who brings it.
    pub courier: Option<String>,
}

/// A message in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalizedMessage {
    /// One line.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// Writes a message.
pub fn write(
    kind: MessageKind,
    language: Language,
    event: &OrderEvent,
    about: &OrderDetails,
) -> LocalizedMessage {
    let order = event.order_id.to_string();
    let total = amount(event.total, event.currency);
    let unknown = || String::from("-");
    let (tracking, courier) = (about.tracking.clone(), about.courier.clone());
    let values = [
        ("order", order),
        ("sale", about.sale.clone()),
        ("total", total),
        ("tracking", tracking.unwrap_or_else(unknown)),
        ("courier", courier.unwrap_or_else(unknown)),
    ];
    let filled = fill(kind.template(language), &values);
    let (subject, text) = filled.split_once("\n\n").unwrap_or((&filled, ""));
    let subject = subject.strip_prefix("Subject: ").unwrap_or(subject);
    LocalizedMessage { subject: subject.into(), text: text.trim_end().into() }
}

/// Puts values in place of `{name}`. One pass: what a value contains is not looked at again.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(template.len() + 128);
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        filled.push_str(before);
        let named = behind.split_once('}').and_then(|(name, behind)| {
            Some((values.iter().find(|(known, _)| *known == name)?.1.as_str(), behind))
        });
        match named {
            Some((value, behind)) => {
                filled.push_str(value);
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = behind;
            }
        }
    }
    filled + rest
}

/// An amount for people: the minor unit is a hundredth, except where there is none.
fn amount(amount: u64, currency: Currency) -> String {
    const WITHOUT_MINOR_UNIT: [&str; 5] = ["KRW", "JPY", "VND", "CLP", "ISK"];
    let code = currency.as_str();
    if WITHOUT_MINOR_UNIT.contains(&code) {
        format!("{} {code}", grouped(amount))
    } else {
        format!("{}.{:02} {code}", grouped(amount / 100), amount % 100)
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_for_people() {
        assert_eq!(amount(1_234_567, Currency::KRW), "1,234,567 KRW");
        assert_eq!(amount(5, Currency::parse("USD").unwrap()), "0.05 USD");
        assert_eq!(amount(123_456, Currency::parse("EUR").unwrap()), "1,234.56 EUR");
    }

    #[test]
    fn a_value_is_not_taken_for_a_template() {
        let values = [("sale", "{order}".to_string()), ("order", "7".to_string())];
        assert_eq!(fill("{sale}/{order}/{other}/{", &values), "{order}/7/{other}/{");
    }

    #[test]
    fn every_template_has_a_subject_and_a_text_and_only_known_names() {
        for kind in MessageKind::ALL {
            for language in [Language::English, Language::Korean] {
                let template = kind.template(language);
                let (subject, text) = template.split_once("\n\n").unwrap();
                assert!(subject.starts_with("Subject: ") && !subject.contains('\n'), "{template}");
                assert!(text.contains("{order}"), "{template}");
                let names =
                    ["order", "sale", "total", "tracking", "courier"].map(|name| (name, String::new()));
                assert!(!fill(template, &names).contains(['{', '}']), "{template}");
            }
        }
    }
}
