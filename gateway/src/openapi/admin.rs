//! The operations of the admin API. An endpoint of the route table without a description here does not compile.

use contract::problem::Code;
use contract::record::DeliveryChange;
use contract::record::Resolution;
use contract::sale::SaleTerms;
use hyper::Method;
use serde_json::{Value, json};

use super::operation::{Access, Operation};
use super::public::{PAGES, docs, document, page};
use super::schemas::Schemas;
use crate::admin::dead_letters::{self, LetterBody, LetterState, LettersBody};
use crate::admin::inventory::InventoryBody;
use crate::admin::report::ReportBody;
use crate::admin::sale_response::{SaleBody, SalesBody};
use crate::admin::state::Action;
use crate::admin::wallet::{Credit, Credited};
use crate::admin::{define, orders, overview};
use crate::command::Recorded;
use crate::http::request_body::BYTES_MAX as BODY_BYTES_MAX;
use crate::read::order_response::{OrderBody, OrdersBody};
use crate::route::{Admin, DOCS, DOCUMENT};

const SALES: &str = "Sale management";
const ORDERS: &str = "Order management";
const LETTERS: &str = "Dead letters";

/// Returns the operation of an endpoint.
pub(super) fn operation<'s>(schemas: &'s mut Schemas, route: Admin<'static>) -> Operation<'s> {
    let (method, path, tag) = match route {
        Admin::Overview => (Method::GET, "/admin/v1/overview", SALES),
        Admin::Sales => (Method::GET, "/admin/v1/sales", SALES),
        Admin::PutSale { .. } => (Method::PUT, "/admin/v1/sales/{sale}", SALES),
        Admin::Act { action, .. } => (Method::POST, action_path(action), SALES),
        Admin::Inventory { .. } => (Method::GET, "/admin/v1/sales/{sale}/inventory", SALES),
        Admin::Report { .. } => (Method::GET, "/admin/v1/sales/{sale}/report", SALES),
        Admin::Orders { .. } => (Method::GET, "/admin/v1/sales/{sale}/orders", ORDERS),
        Admin::Order { .. } => (Method::GET, "/admin/v1/sales/{sale}/orders/{order}", ORDERS),
        Admin::Deliver { .. } => (Method::PATCH, "/admin/v1/sales/{sale}/orders/{order}/delivery", ORDERS),
        Admin::Credit { .. } => (Method::POST, "/admin/v1/wallets/{customer}/credit", ORDERS),
        Admin::DeadLetters => (Method::GET, "/admin/v1/dead-letters", LETTERS),
        Admin::Decide { verdict: Resolution::Replay, .. } => {
            (Method::POST, "/admin/v1/dead-letters/{letter}/replay", LETTERS)
        }
        Admin::Decide { verdict: Resolution::Discard, .. } => {
            (Method::POST, "/admin/v1/dead-letters/{letter}/discard", LETTERS)
        }
        Admin::Page => (Method::GET, "/", PAGES),
        Admin::Document => (Method::GET, DOCUMENT, PAGES),
        Admin::Docs => (Method::GET, DOCS, PAGES),
    };
    let id = match route {
        Admin::Act { action, .. } => format!("admin_{}", action.as_str()),
        Admin::Decide { verdict: Resolution::Replay, .. } => "admin_replay".into(),
        Admin::Decide { verdict: Resolution::Discard, .. } => "admin_discard".into(),
        route => route.label().to_owned(),
    };
    let access = match route {
        Admin::Page | Admin::Document | Admin::Docs => Access::Anyone,
        _ => Access::Operator,
    };
    describe(Operation::new(schemas, method, path, &id, tag, access), route)
}

/// Returns the operation of the alias of a rebuild.
pub(super) fn sync(schemas: &mut Schemas) -> Operation<'_> {
    let path = "/admin/v1/sales/{sale}/inventory/sync";
    act(Operation::new(schemas, Method::POST, path, "admin_sync", SALES, Access::Operator), Action::Rebuild)
}

fn action_path(action: Action) -> &'static str {
    match action {
        Action::Open => "/admin/v1/sales/{sale}/open",
        Action::Pause => "/admin/v1/sales/{sale}/pause",
        Action::Resume => "/admin/v1/sales/{sale}/resume",
        Action::Close => "/admin/v1/sales/{sale}/close",
        Action::Rebuild => "/admin/v1/sales/{sale}/rebuild",
    }
}

fn describe<'s>(operation: Operation<'s>, route: Admin<'static>) -> Operation<'s> {
    match route {
        Admin::Page => page(operation).does("Operator page", "The web page for operators."),
        Admin::Document => document(operation),
        Admin::Docs => docs(operation),
        Admin::Overview => operation
            .does(
                "Get the overview of a sale in progress",
                "This gateway's responses, the lag of settlement, the stock, and every failure with its reason. \
                 Requests within 500 ms share one result, so the endpoint is cheap. Totals count from the gateway's \
                 start; compute rates from two results. Values that are unavailable are `null`, with the reason in \
                 `why`.",
            )
            .answers::<overview::Body>(200, "The overview.")
            .refuses(&[Code::DatabaseUnavailable]),
        Admin::Sales => operation
            .does("List all sales", "Every sale, including drafts, with its definition and its current state.")
            .answers::<SalesBody>(200, "The sales.")
            .refuses(&[Code::DatabaseUnavailable]),
        Admin::PutSale { .. } => define(operation),
        Admin::Act { action, .. } => act(operation, action),
        Admin::Inventory { .. } => operation
            .does("Get the inventory of a sale", "The stock in Postgres and in Redis, and the difference.")
            .answers::<InventoryBody>(200, "The inventory.")
            .refuses(&[Code::UnknownSale, Code::InvalidSale, Code::DatabaseUnavailable]),
        Admin::Report { .. } => operation
            .does(
                "Get the report of a sale",
                "Funnel, revenue, sell-out time, order rate and deliveries, computed from the events up to `counted_at`.",
            )
            .answers::<ReportBody>(200, "The report.")
            .refuses(&[Code::UnknownSale, Code::InvalidSale, Code::DatabaseUnavailable]),
        Admin::Orders { .. } => operation
            .does("Search orders", "A sale's settled orders, newest first.")
            .query("customer", json!({ "type": "string" }), "Only orders of this customer.")
            .query(
                "status",
                json!({ "$ref": "#/components/schemas/OrderStatus" }),
                "Only orders with this status.",
            )
            .paged(orders::PAGE_DEFAULT, orders::PAGE_MAX)
            .answers::<OrdersBody>(200, "A page of orders.")
            .refuses(&[Code::MalformedRequest, Code::UnknownSale, Code::DatabaseUnavailable]),
        Admin::Order { .. } => operation
            .does("Get an order", "A settled order of any customer, including the commands that had no effect.")
            .answers::<OrderBody>(200, "The order.")
            .refuses(&[Code::UnknownSale, Code::NotFound, Code::DatabaseUnavailable]),
        Admin::Deliver { .. } => operation
            .does("Advance a delivery", "Advances the delivery to this status, through all statuses before it.")
            .reads::<DeliveryChange>(
                BODY_BYTES_MAX,
                json!({ "delivered": { "summary": "Delivered to the customer", "value": { "status": "delivered" } } }),
            )
            .answers::<Recorded>(202, "The change is recorded in the log, or was applied before.")
            .refuses(&[
                Code::UnknownSale,
                Code::NotFound,
                Code::IllegalMove,
                Code::DatabaseUnavailable,
                Code::OutcomeUnknown,
                Code::LogUnavailable,
            ]),
        Admin::Credit { .. } => operation
            .does("Credit a wallet", "Adds money to a customer's wallet, once per key.")
            .idempotent("customer")
            .reads::<Credit>(
                BODY_BYTES_MAX,
                json!({ "won": { "summary": "10,000 won", "value": { "amount": 10000, "currency": "KRW" } } }),
            )
            .answers::<Credited<'_>>(201, "The amount was credited.")
            .answers::<Credited<'_>>(200, "The amount was credited before with the same key.")
            .refuses(&[
                Code::NotFound,
                Code::InvalidAmount,
                Code::IdempotencyKeyReused,
                Code::DatabaseUnavailable,
                Code::OutcomeUnknown,
            ]),
        Admin::DeadLetters => operation
            .does("List dead letters", "Records that could not be applied, newest first.")
            .query(
                "state",
                json!({ "type": "string", "enum": LetterState::ALL.map(LetterState::as_str) }),
                "Only dead letters in this state.",
            )
            .query("sale", json!({ "type": "string" }), "Only dead letters of this sale.")
            .paged(dead_letters::PAGE_DEFAULT, dead_letters::PAGE_MAX)
            .answers::<LettersBody>(200, "A page of dead letters.")
            .refuses(&[Code::MalformedRequest, Code::DatabaseUnavailable]),
        Admin::Decide { verdict, .. } => decide(operation).does(
            match verdict {
                Resolution::Replay => "Replay a dead letter",
                Resolution::Discard => "Discard a dead letter",
            },
            match verdict {
                Resolution::Replay => "Decodes and applies the record again with the current code. If that fails, it stays undecided.",
                Resolution::Discard => "Returns the units that are reserved for it to the stock.",
            },
        ),
    }
}

fn define(operation: Operation<'_>) -> Operation<'_> {
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

fn act(operation: Operation<'_>, action: Action) -> Operation<'_> {
    let (summary, description) = match action {
        Action::Open => {
            ("Open a draft", "The sale accepts orders within its window as soon as its stock is in Redis.")
        }
        Action::Pause => ("Pause a sale", "New orders are refused until the sale is resumed."),
        Action::Resume => ("Resume a sale", "The sale accepts orders again."),
        Action::Close => ("Close a sale", "Closes the sale permanently."),
        Action::Rebuild => (
            "Rebuild a sale's state in Redis",
            "Rebuilds the state from Postgres and the log. Orders get 503 until it is complete; none is lost.",
        ),
    };
    let (status, response) = match action {
        Action::Rebuild => (202, "The rebuild is requested."),
        _ => (200, "The sale. Repeating the request has no effect."),
    };
    operation.does(summary, description).answers::<SaleBody>(status, response).refuses(&[
        Code::UnknownSale,
        Code::InvalidSale,
        Code::IllegalMove,
        Code::DatabaseUnavailable,
        Code::OutcomeUnknown,
    ])
}

fn decide(operation: Operation<'_>) -> Operation<'_> {
    operation
        .answers::<LetterBody>(200, "Settlement has applied the decision.")
        .answers::<LetterBody>(202, "The decision is recorded in the log; settlement has not applied it yet.")
        .refuses(&[
            Code::NotFound,
            Code::IllegalMove,
            Code::DatabaseUnavailable,
            Code::OutcomeUnknown,
            Code::LogUnavailable,
        ])
}
