//! The endpoints of sales, for operators.

use contract::problem::Code;
use contract::sale::SaleTerms;
use serde_json::{Value, json};

use super::endpoint::{Endpoint, endpoint};
use crate::admin::inventory::{self, InventoryBody};
use crate::admin::report::{self, ReportBody};
use crate::admin::sale_response::{SaleBody, SalesBody};
use crate::admin::state::{self, Action};
use crate::admin::{define, overview, sales};
use crate::openapi::operation::Operation;

const SALES: &str = "Sale management";
/// The label of all actions in metrics.
const ACT: &str = "admin_act";

/// Declares an endpoint that moves a sale to another state.
macro_rules! action {
    ($path:expr, $name:ident, $action:expr, $describe:ident($($text:expr),* $(,)?) $(,)?) => {
        endpoint!(
            Post($path),
            $name(SALES, Operator, Change),
            |gateway, _request, sale| state::act(&gateway.write_pool, &gateway.leases, sale, $action),
            |operation| $describe(operation $(, $text)*),
        )
        .with_label(ACT)
    };
}

pub(super) static ENDPOINTS: &[Endpoint] = &[
    endpoint!(
        Get("/admin/v1/overview"),
        admin_overview(SALES, Operator, Query),
        |gateway, _request| async { Ok(overview::show(gateway.overview_sources()).await) },
        |operation| {
            operation
            .does(
                "Get the overview of a sale in progress",
                "This gateway's responses, the lag of settlement, the stock, and every failure with its reason. \
                 Requests within 500 ms share one result, so the endpoint is cheap. Totals count from the gateway's \
                 start; compute rates from two results. Values that are unavailable are `null`, with the reason in \
                 `why`.",
            )
            .answers::<overview::Body>(200, "The overview.")
            .refuses(&[Code::DatabaseUnavailable])
        },
    ),
    endpoint!(
        Get("/admin/v1/sales"),
        admin_sales(SALES, Operator, Query),
        |gateway, _request| sales::list(&gateway.read_pool, &gateway.leases),
        |operation| operation
            .does(
                "List all sales",
                "Every sale, including drafts, with its definition and its current state."
            )
            .answers::<SalesBody>(200, "The sales.")
            .refuses(&[Code::DatabaseUnavailable]),
    ),
    endpoint!(
        Put("/admin/v1/sales/{sale}"),
        admin_put_sale(SALES, Operator, Change),
        |gateway, request, sale| {
            define::put(gateway.sale_editor(), sale, request.context.head, request.body)
        },
        describe_definition,
    ),
    action!(
        "/admin/v1/sales/{sale}/open",
        admin_open,
        Action::Open,
        describe_action(
            "Open a draft",
            "The sale accepts orders within its window as soon as its stock is in Redis."
        )
    ),
    action!(
        "/admin/v1/sales/{sale}/pause",
        admin_pause,
        Action::Pause,
        describe_action("Pause a sale", "New orders are refused until the sale is resumed.")
    ),
    action!(
        "/admin/v1/sales/{sale}/resume",
        admin_resume,
        Action::Resume,
        describe_action("Resume a sale", "The sale accepts orders again.")
    ),
    action!(
        "/admin/v1/sales/{sale}/close",
        admin_close,
        Action::Close,
        describe_action("Close a sale", "Closes the sale permanently.")
    ),
    action!("/admin/v1/sales/{sale}/rebuild", admin_rebuild, Action::Rebuild, describe_rebuild()),
    action!("/admin/v1/sales/{sale}/inventory/sync", admin_sync, Action::Rebuild, describe_rebuild()),
    endpoint!(
        Get("/admin/v1/sales/{sale}/inventory"),
        admin_inventory(SALES, Operator, Query),
        |gateway, _request, sale| inventory::show(&gateway.read_pool, &gateway.redis, sale),
        |operation| operation
            .does("Get the inventory of a sale", "The stock in Postgres and in Redis, and the difference.")
            .answers::<InventoryBody>(200, "The inventory.")
            .refuses(&[Code::UnknownSale, Code::InvalidSale, Code::DatabaseUnavailable]),
    ),
    endpoint!(
        Get("/admin/v1/sales/{sale}/report"),
        admin_report(SALES, Operator, Query),
        |gateway, _request, sale| report::show(&gateway.read_pool, sale),
        |operation| {
            operation
            .does(
                "Get the report of a sale",
                "Funnel, revenue, sell-out time, order rate and deliveries, computed from the events up to `counted_at`.",
            )
            .answers::<ReportBody>(200, "The report.")
            .refuses(&[Code::UnknownSale, Code::InvalidSale, Code::DatabaseUnavailable])
        },
    ),
];

fn describe_definition(operation: Operation<'_>) -> Operation<'_> {
    operation
        .does(
            "Define a sale",
            "Replaces a draft completely. After the sale has been opened, prices apply to new orders only, a total may \
             be raised, or lowered by the free units, and added or removed items take effect with a rebuild. The change \
             is in force when every gateway shows it.",
        )
        .reads::<SaleTerms>(define::BODY_BYTES_MAX, sale_examples())
        .answers::<SaleBody>(201, "The sale was created as a draft.")
        .answers::<SaleBody>(200, "The sale was changed.")
        .refuses(&[
            Code::InvalidSale,
            Code::IllegalMove,
            Code::StockInUse,
            Code::SaleRebuilding,
            Code::OutcomeUnknown,
            Code::StockUnavailable,
            Code::LogUnavailable,
            Code::DatabaseUnavailable,
            Code::UnknownSale,
        ])
}

/// Returns the sample sale.
fn sale_examples() -> Value {
    let item = |sku: &str, name: &str, price: u64, total: Option<u64>| json!({ "sku": sku, "name": name, "price": price, "total": total, "max_quantity_per_order": 10 });
    json!({
        "sample": {
            "summary": "Three items, one of them unlimited",
            "value": {
                "title": "Spring sale", "currency": "KRW", "opens_at": null, "closes_at": null,
                "max_orders_per_customer": 1, "hold_seconds": 3600, "delivery_fee": 3000,
                "free_delivery_from": 50000,
                "discount_policies": [
                    { "id": "TEN", "kind": "percent", "value": 10, "min_total": 0, "max_discount": 5000 },
                ],
                "items": [
                    item("A", "Product A", 10000, Some(50)),
                    item("B", "Product B", 20000, Some(30)),
                    item("C", "Product C", 5000, None),
                ],
            },
        },
    })
}

/// Describes an action that moves a sale to another state.
fn describe_action<'s>(operation: Operation<'s>, title: &str, text: &str) -> Operation<'s> {
    let operation = operation.answers::<SaleBody>(200, "The sale. Repeating the request has no effect.");
    refusals_of_actions(operation).does(title, text)
}

fn describe_rebuild(operation: Operation<'_>) -> Operation<'_> {
    refusals_of_actions(operation.answers::<SaleBody>(202, "The rebuild is requested.")).does(
        "Rebuild a sale's state in Redis",
        "Rebuilds the state from Postgres and the log. Orders get 503 until it is complete; none is lost.",
    )
}

fn refusals_of_actions(operation: Operation<'_>) -> Operation<'_> {
    operation.refuses(&[
        Code::UnknownSale,
        Code::InvalidSale,
        Code::IllegalMove,
        Code::DatabaseUnavailable,
        Code::OutcomeUnknown,
    ])
}
