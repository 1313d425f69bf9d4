//! JSON Schemas of the values that are written in a form of their own, for the API's documents (feature
//! `schema`). Types that serde derives have their schemas derived beside it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::ids::{CustomerId, OrderId, PolicyId, SaleId, Sku};
use crate::money::Currency;
use crate::sale::TEXT_CHARS_MAX;
use crate::timestamp::Timestamp;

/// Of a sale, SKU, customer or policy.
pub const NAME: &str = "^[A-Za-z0-9._-]{1,64}$";
/// Of an order's id: a UUID in its one spelling.
pub const ORDER_ID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// Of a currency.
pub const CURRENCY: &str = "^[A-Z]{3}$";
/// Of a [`Text`]: no control characters, and not white space alone.
pub const TEXT: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";

/// A text for people to read.
pub struct Text;

macro_rules! schema {
    ($type:ident, $text:literal, { $($json:tt)* }) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": $text, $($json)* })
            }
        }
    };
}

schema!(SaleId, "The name of a sale, given by whoever defines it.",
    { "pattern": NAME, "examples": ["spring-sale"] });
schema!(Sku, "A stock keeping unit: what is counted.", { "pattern": NAME, "examples": ["A"] });
schema!(CustomerId, "A customer, as the identity provider names them.",
    { "pattern": NAME, "examples": ["alice"] });
schema!(PolicyId, "A discount policy of a sale.", { "pattern": NAME, "examples": ["TEN"] });
schema!(OrderId, "An order: a UUID of version 7, in lower case.",
    { "format": "uuid", "pattern": ORDER_ID, "examples": ["019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9"] });
schema!(Currency, "A currency's ISO 4217 code. Amounts are whole numbers of its minor unit (won, cents).",
    { "pattern": CURRENCY, "examples": ["KRW"] });
schema!(Timestamp, "An instant, RFC 3339. It is always told in UTC, with milliseconds.",
    { "format": "date-time", "examples": ["2026-03-01T10:00:00.000Z"] });
schema!(Text, "A text for people, without control characters, and not white space alone.",
    { "pattern": TEXT, "maxLength": TEXT_CHARS_MAX });
