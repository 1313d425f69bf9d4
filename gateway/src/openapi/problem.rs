//! Every refusal's shape. `response::Problem` writes it by hand, since its further members differ by code; the
//! tests compare what it writes with this.

use contract::ids::{OrderId, Sku};
use contract::lifecycle::OrderStatus;
use contract::problem::Code;
use contract::sale::SaleState;
use contract::timestamp::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;

/// Why a request was refused: a problem by RFC 9457. Programs look at `code`, people read `title` and `detail`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
#[allow(dead_code)] // it describes, and is never made
pub(super) struct ProblemBody {
    /// What it is; never changes, whatever the language.
    #[schemars(schema_with = "codes")]
    code: String,
    /// A sentence for a person, in the language that the client prefers.
    title: String,
    /// The answer's status.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// More about this one case.
    detail: String,
    /// `sale_not_open`: when it opens; `null`: it is not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_at: Option<Timestamp>,
    /// `duplicate_order`: the customer's newest live order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OrderId")]
    order_id: Option<OrderId>,
    /// `sold_out`, `unknown_sku`, `stock_in_use`: which item.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Sku")]
    sku: Option<Sku>,
    /// `sold_out`: how many units are left, fewer than were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    remaining: Option<u64>,
    /// `total_mismatch`: what the order would cost, in the minor unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    total: Option<u64>,
    /// `illegal_move`, `not_found` of a delivery: where the order stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "OrderStatus")]
    order_status: Option<OrderStatus>,
    /// `illegal_move` of a sale: its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "SaleState")]
    state: Option<SaleState>,
    /// `invalid_sale`: which member of the definition, such as `items[0].price`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    field: Option<String>,
    /// `stock_in_use`: how many units are free.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    free: Option<u64>,
}

fn codes(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json_schema!({ "type": "string", "enum": names })
}
