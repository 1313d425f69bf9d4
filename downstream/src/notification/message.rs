//! The texts of notifications: one template for each kind of message and language. The first line of a template is the
//! subject. The compiler checks that a template uses exactly the values that it is given.

use contract::event::OrderEvent;
use contract::lifecycle::{CancelReason, Language, OrderStatus};
use contract::money::{Currency, thousands};

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// The payment was received.
    PaymentCompleted,
    /// The payment was declined.
    PaymentFailed,
    /// The order was not paid in time.
    Expired,
    /// The customer has cancelled the order.
    Cancelled,
    /// The order was handed to a courier.
    Shipped,
    /// The order was delivered.
    Delivered,
    /// The payment was refunded.
    Refunded,
}

impl MessageKind {
    /// All kinds of messages.
    pub const ALL: [Self; 7] = [
        Self::PaymentCompleted,
        Self::PaymentFailed,
        Self::Expired,
        Self::Cancelled,
        Self::Shipped,
        Self::Delivered,
        Self::Refunded,
    ];

    /// Returns the kind of message that an event needs, if any.
    pub fn for_event(event: &OrderEvent) -> Option<Self> {
        match event.status {
            OrderStatus::PaymentCompleted => Some(Self::PaymentCompleted),
            OrderStatus::PaymentFailed => Some(Self::PaymentFailed),
            OrderStatus::Shipped => Some(Self::Shipped),
            OrderStatus::Delivered => Some(Self::Delivered),
            OrderStatus::Refunded => Some(Self::Refunded),
            OrderStatus::Cancelled => match event.cancel_reason {
                Some(CancelReason::Expired) => Some(Self::Expired),
                Some(CancelReason::PaymentFailed) => None, // the message about the failed payment says so
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

    /// Returns the name on the wire and in Postgres.
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
}

/// The data about an order that its events do not contain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderDetails {
    /// The customer's e-mail address.
    pub email: Option<String>,
    /// The title of the sale.
    pub sale: String,
    /// The tracking number, once the order is shipped.
    pub tracking: Option<String>,
    /// The name of the courier.
    pub courier: Option<String>,
}

/// A notification about an event of an order.
#[derive(Debug, Clone, Copy)]
pub struct Notification<'a> {
    /// The kind of the message.
    pub kind: MessageKind,
    /// The event of the order.
    pub event: &'a OrderEvent,
    /// The further data about the order.
    pub details: &'a OrderDetails,
}

/// A message in one language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalizedMessage {
    /// The subject, a single line.
    pub subject: String,
    /// The body in plain text.
    pub body: String,
}

/// Fills a template. The values are not parsed again, so a value may contain braces.
macro_rules! template {
    ($language:expr, $name:literal, $($values:tt)*) => {
        match $language {
            Language::English => {
                format!(include_str!(concat!("../../templates/en/", $name, ".txt")), $($values)*)
            }
            Language::Korean => {
                format!(include_str!(concat!("../../templates/ko/", $name, ".txt")), $($values)*)
            }
        }
    };
}

impl Notification<'_> {
    /// Renders the message in a language.
    pub fn render(&self, language: Language) -> LocalizedMessage {
        let (order, sale) = (self.event.order_id, &self.details.sale);
        let total = format_amount(self.event.total, self.event.currency, language);
        let tracking = self.details.tracking.as_deref().unwrap_or("-");
        let courier = self.details.courier.as_deref().unwrap_or("-");
        let text = match self.kind {
            MessageKind::PaymentCompleted => {
                template!(language, "payment_completed", order = order, sale = sale, total = total)
            }
            MessageKind::PaymentFailed => {
                template!(language, "payment_failed", order = order, sale = sale, total = total)
            }
            MessageKind::Expired => template!(language, "expired", order = order, sale = sale),
            MessageKind::Cancelled => {
                template!(language, "cancelled", order = order, sale = sale, total = total)
            }
            MessageKind::Shipped => template!(
                language,
                "shipped",
                order = order,
                sale = sale,
                tracking = tracking,
                courier = courier
            ),
            MessageKind::Delivered => template!(language, "delivered", order = order, sale = sale),
            MessageKind::Refunded => {
                template!(language, "refunded", order = order, sale = sale, total = total)
            }
        };
        let (subject, body) = text.split_once("\n\n").unwrap_or((&text, ""));
        let subject = subject.strip_prefix("Subject: ").unwrap_or(subject);
        LocalizedMessage { subject: subject.into(), body: body.trim_end().into() }
    }
}

/// Formats an amount. Korean texts write won as 원, not as its code.
fn format_amount(amount: u64, currency: Currency, language: Language) -> String {
    if currency == Currency::KRW && language == Language::Korean {
        format!("{}원", thousands(amount))
    } else {
        currency.format_amount(amount)
    }
}

#[cfg(test)]
mod tests {
    use contract::ids::{CustomerId, OrderId, SaleId, Sequence};
    use contract::timestamp::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn event() -> OrderEvent {
        OrderEvent {
            order_id: OrderId(Uuid::nil()),
            customer_id: CustomerId::parse("c").unwrap(),
            sale_id: SaleId::parse("s").unwrap(),
            status: OrderStatus::Shipped,
            description: String::new(),
            time: Timestamp(0),
            sequence: Sequence(1),
            subtotal: 9000,
            discount: 0,
            delivery_fee: 1000,
            total: 10_000,
            currency: Currency::KRW,
            cancel_reason: None,
        }
    }

    #[test]
    fn amounts_are_formatted_in_the_language_of_the_text() {
        assert_eq!(format_amount(1_234_567, Currency::KRW, Language::English), "1,234,567 KRW");
        assert_eq!(format_amount(1_234_567, Currency::KRW, Language::Korean), "1,234,567원");
        let usd = Currency::parse("USD").unwrap();
        assert_eq!(format_amount(5, usd, Language::Korean), "0.05 USD");
    }

    #[test]
    fn a_value_is_not_parsed_as_a_template() {
        let details = OrderDetails { sale: "{order}/{".into(), ..OrderDetails::default() };
        let notification = Notification { kind: MessageKind::Shipped, event: &event(), details: &details };
        let message = notification.render(Language::English);
        assert_eq!(message.subject, "Your order from {order}/{ is on its way");
    }

    #[test]
    fn every_message_has_a_subject_and_a_body_that_names_the_order() {
        let details = OrderDetails { sale: "Spring sale".into(), ..OrderDetails::default() };
        for kind in MessageKind::ALL {
            for language in [Language::English, Language::Korean] {
                let message = Notification { kind, event: &event(), details: &details }.render(language);
                assert!(message.subject.contains("Spring sale"), "{message:?}");
                assert!(!message.subject.contains(['\n', ':']), "{message:?}");
                assert!(message.body.contains(&Uuid::nil().to_string()), "{message:?}");
            }
        }
    }
}
