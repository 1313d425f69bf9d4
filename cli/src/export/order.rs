//! The columns and rows of an exported order, the same for every format.

use std::borrow::Cow;

use contract::ids::{CustomerId, OrderId, SaleId, Sku};
use contract::lifecycle::{CancelReason, OrderStatus};
use contract::money::Currency;
use contract::order::PaymentMethod;
use contract::timestamp::Timestamp;
use serde::{Deserialize, Serialize};

/// A settled order, as the admin API returns it.
#[derive(Debug, Deserialize)]
pub(super) struct Order {
    order_id: OrderId,
    sale_id: SaleId,
    sequence: u64,
    customer_id: CustomerId,
    #[serde(default)]
    customer_email: Option<String>,
    status: OrderStatus,
    #[serde(default)]
    cancel_reason: Option<CancelReason>,
    accepted_at: Timestamp,
    last_updated: Timestamp,
    hold_expires_at: Timestamp,
    subtotal: u64,
    discount: u64,
    delivery_fee: u64,
    total: u64,
    currency: Currency,
    #[serde(default)]
    fulfilment: Option<String>,
    payment: Option<Payment>,
    delivery: Option<Delivery>,
    pub(super) lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Payment {
    method: PaymentMethod,
    status: String,
}

#[derive(Debug, Deserialize)]
struct Delivery {
    status: String,
    tracking_number: Option<String>,
}

/// A line of an order.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Line {
    pub(super) sku: Sku,
    pub(super) quantity: u64,
    pub(super) unit_price: u64,
}

/// A row of the file: an order, or one of its lines with its number, counted from 1.
pub(super) struct Row<'a> {
    pub(super) order: &'a Order,
    pub(super) line: Option<(usize, &'a Line)>,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A text that may be missing.
    MaybeText,
    /// A count or an amount, at most 2^53 - 1.
    Integer,
    /// A time in UTC, in milliseconds.
    Time,
}

/// The value of one cell.
#[derive(Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Text(Cow<'a, str>),
    Integer(u64),
    Time(Timestamp),
    Nothing,
}

/// A column: its name, its type, and the function that returns its value in a row.
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) cell: for<'a> fn(&Row<'a>) -> Cell<'a>,
}

fn text<'a>(value: impl Into<Cow<'a, str>>) -> Cell<'a> {
    Cell::Text(value.into())
}

fn maybe<'a>(value: Option<impl Into<Cow<'a, str>>>) -> Cell<'a> {
    value.map_or(Cell::Nothing, text)
}

macro_rules! columns {
    ($($name:literal $kind:ident |$row:ident| $cell:expr;)*) => {
        &[$(Column { name: $name, kind: Kind::$kind, cell: |$row| $cell }),*]
    };
}

/// The columns of both shapes, which identify the order.
const COMMON: &[Column] = columns! {
    "order_id" Text |row| text(row.order.order_id.to_string());
    "sale_id" Text |row| text(row.order.sale_id.as_str());
    "sequence" Integer |row| Cell::Integer(row.order.sequence);
    "customer_id" Text |row| text(row.order.customer_id.as_str());
    "status" Text |row| text(row.order.status.as_str());
    "accepted_at" Time |row| Cell::Time(row.order.accepted_at);
    "currency" Text |row| text(row.order.currency.to_string());
};

/// The further columns of an order.
const OF_ORDER: &[Column] = columns! {
    "subtotal" Integer |row| Cell::Integer(row.order.subtotal);
    "discount" Integer |row| Cell::Integer(row.order.discount);
    "delivery_fee" Integer |row| Cell::Integer(row.order.delivery_fee);
    "total" Integer |row| Cell::Integer(row.order.total);
    "updated_at" Time |row| Cell::Time(row.order.last_updated);
    "hold_expires_at" Time |row| Cell::Time(row.order.hold_expires_at);
    "cancel_reason" MaybeText |row| maybe(row.order.cancel_reason.map(CancelReason::as_str));
    "customer_email" MaybeText |row| maybe(row.order.customer_email.as_deref());
    "fulfilment" MaybeText |row| maybe(row.order.fulfilment.as_deref());
    "payment_method" MaybeText |row| maybe(row.order.payment.as_ref().map(|payment| payment.method.as_str()));
    "payment_status" MaybeText |row| maybe(row.order.payment.as_ref().map(|payment| payment.status.as_str()));
    "delivery_status" MaybeText |row| maybe(row.order.delivery.as_ref().map(|delivery| delivery.status.as_str()));
    "tracking_number" MaybeText |row| maybe(row.order.delivery.as_ref().and_then(|delivery| delivery.tracking_number.as_deref()));
};

/// The further columns of an order line.
const OF_LINE: &[Column] = columns! {
    "line" Integer |row| Cell::Integer(row.line.map_or(0, |(number, _)| number as u64));
    "sku" Text |row| text(row.line.map_or("", |(_, line)| line.sku.as_str()));
    "quantity" Integer |row| Cell::Integer(row.line.map_or(0, |(_, line)| line.quantity));
    "unit_price" Integer |row| Cell::Integer(row.line.map_or(0, |(_, line)| line.unit_price));
};

/// The unit of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One row per order. Its lines are a further column, `lines`, encoded as each format does.
    Orders,
    /// One row per order line.
    Lines,
}

impl Shape {
    /// Returns the columns, without `lines`.
    pub(super) fn columns(self) -> Vec<&'static Column> {
        let further = if self == Self::Orders { OF_ORDER } else { OF_LINE };
        COMMON.iter().chain(further).collect()
    }

    /// Returns the rows of an order.
    pub(super) fn rows(self, order: &Order) -> Vec<Row<'_>> {
        match self {
            Self::Orders => vec![Row { order, line: None }],
            Self::Lines => {
                let numbered = order.lines.iter().enumerate();
                numbered.map(|(at, line)| Row { order, line: Some((at + 1, line)) }).collect()
            }
        }
    }
}
