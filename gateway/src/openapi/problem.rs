//! The schema of every problem document. `http::problem` writes the documents by hand, because their additional
//! members depend on the code; the tests compare them with this schema.

use contract::ids::{OrderId, Sku};
use contract::lifecycle::OrderStatus;
use contract::problem::Code;
use contract::sale::SaleState;
use contract::timestamp::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

/// The reason of a refusal as a problem document (RFC 9457). Programs evaluate `code`; `title` and `detail` are for
/// people.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
#[allow(dead_code)] // only its schema is used
pub(super) struct ProblemBody {
    /// The stable identifier of the problem, in every language.
    #[schemars(schema_with = "codes")]
    code: String,
    /// A sentence for people, in the client's preferred language.
    title: String,
    /// The HTTP status code.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// Details of this occurrence.
    detail: String,
    /// `sale_not_open`: when the sale opens; `null` if no time is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_at: Option<Timestamp>,
    /// `duplicate_order`: the customer's newest live order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OrderId")]
    order_id: Option<OrderId>,
    /// `sold_out`, `unknown_sku`, `stock_in_use`: the SKU of the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Sku")]
    sku: Option<Sku>,
    /// `sold_out`: the number of remaining units, which is less than the requested quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    remaining: Option<u64>,
    /// `total_mismatch`: the actual total of the order, in the minor unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    total: Option<u64>,
    /// `illegal_move`, and `not_found` of a delivery: the status of the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OrderStatus")]
    order_status: Option<OrderStatus>,
    /// `illegal_move` of a sale: the state of the sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SaleState")]
    state: Option<SaleState>,
    /// `invalid_sale`: the invalid member of the definition, such as `items[0].price`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    field: Option<String>,
    /// `stock_in_use`: the number of free units.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    free: Option<u64>,
}

fn codes(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json_schema!({ "type": "string", "enum": names })
}
