//! JSON Schemas of the types with hand-written serialization, for the OpenAPI documents (feature `schema`). The
//! other types derive their schemas.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::ids::{CustomerId, OrderId, PolicyId, SaleId, Sku};
use crate::money::Currency;
use crate::sale::TEXT_CHARS_MAX;
use crate::timestamp::Timestamp;

/// The pattern of the name of a sale, SKU, customer or policy.
pub const NAME: &str = "^[A-Za-z0-9._-]{1,64}$";
/// The pattern of an order's id: a hyphenated lower-case UUID.
pub const ORDER_ID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// The pattern of a currency.
pub const CURRENCY: &str = "^[A-Z]{3}$";
/// The pattern of a [`Text`]: no control characters, and at least one character that is not white space.
pub const TEXT: &str = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$";

/// The schema of a text for people.
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

schema!(SaleId, "The name of a sale, chosen by the operator who defines it.",
    { "pattern": NAME, "examples": ["spring-sale"] });
schema!(Sku, "A stock keeping unit, for which stock is counted.", { "pattern": NAME, "examples": ["A"] });
schema!(CustomerId, "The name that the identity provider gives a customer.",
    { "pattern": NAME, "examples": ["alice"] });
schema!(PolicyId, "The name of a discount policy of a sale.", { "pattern": NAME, "examples": ["TEN"] });
schema!(OrderId, "An order: a UUID of version 7, in lower case.",
    { "format": "uuid", "pattern": ORDER_ID, "examples": ["019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9"] });
schema!(Currency, "A currency's ISO 4217 code. Amounts are whole numbers of its minor unit (won, cents).",
    { "pattern": CURRENCY, "examples": ["KRW"] });
schema!(Timestamp, "A timestamp, RFC 3339. Responses contain UTC with milliseconds.",
    { "format": "date-time", "examples": ["2026-03-01T10:00:00.000Z"] });
schema!(Text, "A text for people: no control characters, and at least one character that is not white space.",
    { "pattern": TEXT, "maxLength": TEXT_CHARS_MAX });
