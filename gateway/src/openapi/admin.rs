//! What operators' programs may call. A call of the route table without its words here does not compile.

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

const SALES: &str = "Operating sales";
const ORDERS: &str = "Operating orders";
const LETTERS: &str = "Dead letters";

/// A call's operation.
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
    described(Operation::new(schemas, method, path, &id, tag, access), route)
}

/// A rebuild by its other name.
pub(super) fn sync(schemas: &mut Schemas) -> Operation<'_> {
    let path = "/admin/v1/sales/{sale}/inventory/sync";
    acted(Operation::new(schemas, Method::POST, path, "admin_sync", SALES, Access::Operator), Action::Rebuild)
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

fn described<'s>(operation: Operation<'s>, route: Admin<'static>) -> Operation<'s> {
    match route {
        Admin::Page => page(operation).does("The operator's view", "A page for people."),
        Admin::Document => document(operation),
        Admin::Docs => docs(operation),
        Admin::Overview => operation
            .does(
                "What is watched during a sale",
                "What this gateway has answered, how far settlement is behind, where the units are, what is broken \
                 and why. Cheap: one look serves whoever asks within 500 ms. Totals are since the gateway's start: \
                 rates come from two looks. What cannot be told now is `null`, with the reason in `why`.",
            )
            .answers::<overview::Body>(200, "The look.")
            .refuses(&[Code::DatabaseUnavailable]),
        Admin::Sales => operation
            .does("All sales", "As they were defined, drafts too, with what has become of them.")
            .answers::<SalesBody>(200, "The sales.")
            .refuses(&[Code::DatabaseUnavailable]),
        Admin::PutSale { .. } => define(operation),
        Admin::Act { action, .. } => acted(operation, action),
        Admin::Inventory { .. } => operation
            .does("Where a sale's units are", "What Postgres says, what Redis says, and how far they are apart.")
            .answers::<InventoryBody>(200, "Where they are.")
            .refuses(&[Code::UnknownSale, Code::InvalidSale, Code::DatabaseUnavailable]),
        Admin::Report { .. } => operation
            .does(
                "What became of a sale's orders",
                "Funnel, revenue, sell-out, pace and deliveries, counted from the events: `counted_at` tells until when.",
            )
            .answers::<ReportBody>(200, "The report.")
            .refuses(&[Code::UnknownSale, Code::InvalidSale, Code::DatabaseUnavailable]),
        Admin::Orders { .. } => operation
            .does("Look for orders", "A sale's settled orders, newest first.")
            .query("customer", json!({ "type": "string" }), "Those of this customer alone.")
            .query(
                "status",
                json!({ "$ref": "#/components/schemas/OrderStatus" }),
                "Those that stand here alone.",
            )
            .paged(orders::PAGE_DEFAULT, orders::PAGE_MAX)
            .answers::<OrdersBody>(200, "A page of orders.")
            .refuses(&[Code::MalformedRequest, Code::UnknownSale, Code::DatabaseUnavailable]),
        Admin::Order { .. } => operation
            .does("An order", "Any customer's, once it is settled, with what was asked of it in vain.")
            .answers::<OrderBody>(200, "The order.")
            .refuses(&[Code::UnknownSale, Code::NotFound, Code::DatabaseUnavailable]),
        Admin::Deliver { .. } => operation
            .does("Move an order's goods on", "They have come so far, through all states before it.")
            .reads::<DeliveryChange>(
                BODY_BYTES_MAX,
                json!({ "delivered": { "summary": "The customer has them", "value": { "status": "delivered" } } }),
            )
            .answers::<Recorded>(202, "The change is in the log, or was carried out before.")
            .refuses(&[
                Code::UnknownSale,
                Code::NotFound,
                Code::IllegalMove,
                Code::DatabaseUnavailable,
                Code::OutcomeUnknown,
                Code::LogUnavailable,
            ]),
        Admin::Credit { .. } => operation
            .does("Put money into a wallet", "Once for each key.")
            .idempotent("customer")
            .reads::<Credit>(
                BODY_BYTES_MAX,
                json!({ "won": { "summary": "10,000 won", "value": { "amount": 10000, "currency": "KRW" } } }),
            )
            .answers::<Credited<'_>>(201, "It is in.")
            .answers::<Credited<'_>>(200, "It was put in before, by the same key.")
            .refuses(&[
                Code::NotFound,
                Code::InvalidAmount,
                Code::IdempotencyKeyReused,
                Code::DatabaseUnavailable,
                Code::OutcomeUnknown,
            ]),
        Admin::DeadLetters => operation
            .does("Records that could not be applied", "Newest first.")
            .query(
                "state",
                json!({ "type": "string", "enum": LetterState::ALL.map(LetterState::as_str) }),
                "Those in this state alone.",
            )
            .query("sale", json!({ "type": "string" }), "Those of this sale alone.")
            .paged(dead_letters::PAGE_DEFAULT, dead_letters::PAGE_MAX)
            .answers::<LettersBody>(200, "A page of dead letters.")
            .refuses(&[Code::MalformedRequest, Code::DatabaseUnavailable]),
        Admin::Decide { verdict, .. } => decided(operation).does(
            match verdict {
                Resolution::Replay => "Judge a dead letter again",
                Resolution::Discard => "Give a dead letter up",
            },
            match verdict {
                Resolution::Replay => "Perhaps it can be read or applied now. Where it cannot it stays undecided.",
                Resolution::Discard => "The units that are kept back for it are sold again.",
            },
        ),
    }
}

fn define(operation: Operation<'_>) -> Operation<'_> {
    operation
        .does(
            "Define a sale",
            "A draft is replaced as a whole. Once the sale has been opened prices apply to new orders only, a total \
             may be raised, or lowered by what is free, and items that come or go take effect by a rebuild. In \
             force when each gateway shows it.",
        )
        .reads::<SaleTerms>(define::BODY_BYTES_MAX, sale_examples())
        .answers::<SaleBody>(201, "Created, as a draft.")
        .answers::<SaleBody>(200, "Changed.")
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

/// The sample sale.
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

fn acted(operation: Operation<'_>, action: Action) -> Operation<'_> {
    let (summary, description) = match action {
        Action::Open => ("Open a draft", "It sells from then on, in its window, once its stock is in Redis."),
        Action::Pause => ("Pause a sale", "New orders are refused until it is resumed."),
        Action::Resume => ("Resume a sale", "It sells again."),
        Action::Close => ("Close a sale", "For good."),
        Action::Rebuild => (
            "Rebuild a sale's state in Redis",
            "From Postgres and the log. Orders are answered 503 until it is done; none is lost.",
        ),
    };
    let (status, told) = match action {
        Action::Rebuild => (202, "The rebuild is due."),
        _ => (200, "The sale. A repetition changes nothing."),
    };
    operation.does(summary, description).answers::<SaleBody>(status, told).refuses(&[
        Code::UnknownSale,
        Code::InvalidSale,
        Code::IllegalMove,
        Code::DatabaseUnavailable,
        Code::OutcomeUnknown,
    ])
}

fn decided(operation: Operation<'_>) -> Operation<'_> {
    operation
        .answers::<LetterBody>(200, "Settlement has carried it out.")
        .answers::<LetterBody>(202, "The decision is in the log; settlement has not carried it out yet.")
        .refuses(&[
            Code::NotFound,
            Code::IllegalMove,
            Code::DatabaseUnavailable,
            Code::OutcomeUnknown,
            Code::LogUnavailable,
        ])
}
