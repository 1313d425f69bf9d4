//! What customers' programs may call. A call of the route table without its words here does not compile.

use contract::order::{OrderRequest, PaymentRequest};
use contract::problem::Code;
use contract::sale::TOTAL_MAX;
use contract::webhook::{self, PaymentCallback};
use hyper::Method;
use serde_json::{Value, json};

use super::operation::{Access, Operation};
use super::schemas::Schemas;
use crate::command::Recorded;
use crate::http::request_body::BYTES_MAX as BODY_BYTES_MAX;
use crate::live::change::Told;
use crate::order::accepted_response::AcceptedBody;
use crate::payment_callback;
use crate::read::order::{PAGE_DEFAULT, PAGE_MAX};
use crate::read::order_response::{DeliveryBody, OrderBody, OrdersBody, StatusBody};
use crate::read::sale::{AvailabilityBody, SaleBody, SalesBody};
use crate::read::wallet::WalletBody;
use crate::route::{DOCS, DOCUMENT, Public};

const SALES: &str = "Sales";
const ORDERS: &str = "Orders";
const LIVE: &str = "Live updates";
const MONEY: &str = "Money";
pub(super) const PAGES: &str = "Pages and documents";

/// What goes wrong where orders are looked up: in Postgres, then in Redis.
const LOOKED_UP: &[Code] = &[
    Code::UnknownSale,
    Code::NotFound,
    Code::DatabaseUnavailable,
    Code::SaleRebuilding,
    Code::StockUnavailable,
    Code::LogUnavailable,
];

/// A call's operation.
pub(super) fn operation<'s>(schemas: &'s mut Schemas, route: Public<'static>) -> Operation<'s> {
    use Access::{Anyone, Customer, Stream};
    let (method, path, tag, access) = match route {
        Public::Sales => (Method::GET, "/v1/sales", SALES, Anyone),
        Public::Sale { .. } => (Method::GET, "/v1/sales/{sale}", SALES, Anyone),
        Public::Availability { .. } => {
            (Method::GET, "/v1/sales/{sale}/items/{sku}/availability", SALES, Anyone)
        }
        Public::PlaceOrder { .. } => (Method::POST, "/v1/sales/{sale}/orders", ORDERS, Customer),
        Public::MyOrders { .. } => (Method::GET, "/v1/sales/{sale}/orders", ORDERS, Customer),
        Public::Order { .. } => (Method::GET, "/v1/sales/{sale}/orders/{order}", ORDERS, Customer),
        Public::OrderStatus { .. } => {
            (Method::GET, "/v1/sales/{sale}/orders/{order}/status", ORDERS, Customer)
        }
        Public::OrderEvents { .. } => (Method::GET, "/v1/sales/{sale}/orders/{order}/events", LIVE, Stream),
        Public::OrderSocket { .. } => (Method::GET, "/v1/sales/{sale}/orders/{order}/ws", LIVE, Stream),
        Public::CancelOrder { .. } => (Method::DELETE, "/v1/sales/{sale}/orders/{order}", ORDERS, Customer),
        Public::Delivery { .. } => {
            (Method::GET, "/v1/sales/{sale}/orders/{order}/delivery", ORDERS, Customer)
        }
        Public::PayOrder { .. } => (Method::POST, "/v1/sales/{sale}/orders/{order}/payment", MONEY, Customer),
        Public::RefundOrder { .. } => {
            (Method::POST, "/v1/sales/{sale}/orders/{order}/refund", MONEY, Customer)
        }
        Public::Wallet => (Method::GET, "/v1/wallet", MONEY, Customer),
        Public::PaymentCallback => (Method::POST, "/v1/payments/callback", MONEY, Anyone),
        Public::Page => (Method::GET, "/", PAGES, Anyone),
        Public::Document => (Method::GET, DOCUMENT, PAGES, Anyone),
        Public::Docs => (Method::GET, DOCS, PAGES, Anyone),
    };
    described(Operation::new(schemas, method, path, route.label(), tag, access), route)
}

fn described<'s>(operation: Operation<'s>, route: Public<'static>) -> Operation<'s> {
    match route {
        Public::Sales => tagged(operation.answers::<SalesBody>(200, "The sales."))
            .does("All sales", "All sales that are not drafts, by name.")
            .refuses(&[Code::DatabaseUnavailable]),
        Public::Sale { .. } => tagged(operation.answers::<SaleBody>(200, "The sale."))
            .does(
                "A sale",
                "What is sold, for how much, when, and how much is left. The remaining units are at most 1 s old.",
            )
            .refuses(&[Code::UnknownSale, Code::DatabaseUnavailable]),
        Public::Availability { .. } => operation
            .does(
                "Whether so many units can be had",
                "An estimate that is at most 1 s old: only an order takes units.",
            )
            .query(
                "quantity",
                json!({ "type": "integer", "minimum": 1, "maximum": TOTAL_MAX, "default": 1 }),
                "How many units.",
            )
            .answers::<AvailabilityBody>(200, "Whether they can be had.")
            .refuses(&[Code::MalformedRequest, Code::UnknownSale, Code::NotFound, Code::DatabaseUnavailable]),
        Public::PlaceOrder { .. } => place(operation),
        Public::MyOrders { .. } => operation
            .does(
                "My orders",
                "The orders of the customer who asks, newest first. Straight after the 202 an order may still be \
                 missing where the sale does not limit orders a customer; by its id it is found.",
            )
            .paged(PAGE_DEFAULT, PAGE_MAX)
            .answers::<OrdersBody>(200, "A page of orders.")
            .refuses(&[Code::MalformedRequest, Code::UnknownSale, Code::DatabaseUnavailable]),
        Public::Order { .. } => operation
            .does(
                "An order",
                "Straight after the 202 every gateway answers, with `processing`. While it cannot be told whether \
                 the order exists, the answer is 503, never 404. Another customer's order is not found.",
            )
            .answers::<OrderBody>(200, "The order.")
            .refuses(LOOKED_UP),
        Public::OrderStatus { .. } => operation
            .does("Where an order stands", "The order in short: what live updates tell, too.")
            .answers::<StatusBody>(200, "Where it stands.")
            .refuses(LOOKED_UP),
        Public::Delivery { .. } => operation
            .does("Where an order's goods are", "From the payment on; until then there is nothing here.")
            .answers::<DeliveryBody>(200, "Where they are.")
            .refuses(LOOKED_UP),
        Public::OrderEvents { .. } => events(stream(operation)),
        Public::OrderSocket { .. } => socket(stream(operation)),
        Public::CancelOrder { .. } => commanded(operation).does(
            "Cancel an order",
            "Before it is shipped. Its units are sold again; what was paid goes back. The same 202 again for a \
             doubled command.",
        ),
        Public::PayOrder { .. } => commanded(operation)
            .does(
                "Pay an order",
                "Before its hold ends. The money is asked for when the log has the command; the order's status \
                 tells what comes of it. The same 202 again for a doubled command.",
            )
            .reads::<PaymentRequest>(
                BODY_BYTES_MAX,
                json!({
                    "wallet": { "summary": "From the customer's balance", "value": { "method": "wallet" } },
                    "card": { "summary": "By card", "value": { "method": "card", "token": "tok_ok" } },
                }),
            )
            .refuses(&[Code::InvalidPayment]),
        Public::RefundOrder { .. } => commanded(operation).does(
            "Send an order back",
            "After it was shipped. What was paid goes back. The same 202 again for a doubled command.",
        ),
        Public::Wallet => operation
            .does("My wallet", "The customer's balance and its newest movements; an empty one for whoever has none.")
            .query(
                "currency",
                json!({ "type": "string", "pattern": contract::schema::CURRENCY }),
                "The wallet of this currency (ISO 4217); without it the one that moved last.",
            )
            .answers::<WalletBody>(200, "The wallet.")
            .refuses(&[Code::MalformedRequest, Code::DatabaseUnavailable]),
        Public::PaymentCallback => callback(operation),
        Public::Page => page(operation)
            .does("The storefront", "A page for people, where the gateway is told to show it.")
            .refuses(&[Code::NotFound]),
        Public::Document => document(operation),
        Public::Docs => docs(operation).refuses(&[Code::NotFound]),
    }
}

/// A page of HTML; what it needs lies beside it.
pub(super) fn page(operation: Operation<'_>) -> Operation<'_> {
    tagged(operation.answer(200, "The page.", Some(("text/html", json!({ "type": "string" })))))
}

/// The document for people.
pub(super) fn docs(operation: Operation<'_>) -> Operation<'_> {
    page(operation).does("The document for people", "Swagger UI, by which operations can be tried out.")
}

/// The document itself.
pub(super) fn document(operation: Operation<'_>) -> Operation<'_> {
    operation.does("This document", "The listener's operations, in OpenAPI 3.1.").answer(
        200,
        "The document.",
        Some(("application/json", json!({ "type": "object" }))),
    )
}

/// An answer that is not sent again to whoever has it.
fn tagged(operation: Operation<'_>) -> Operation<'_> {
    operation
        .header(
            "If-None-Match",
            false,
            json!({ "type": "string" }),
            "The `ETag` of the answer that the client has: where nothing but `server_time` differs, the answer is 304.",
        )
        .answer(304, "Nothing has changed.", None)
        .with_header(200, "ETag", "ETag")
        .with_header(304, "ETag", "ETag")
}

fn place(operation: Operation<'_>) -> Operation<'_> {
    operation
        .does(
            "Place an order",
            "Takes the units of all lines, or of none. 202 means that the order is recorded: it exists, whatever \
             fails from then on. Whoever gets no answer, or 503, repeats the request with the same key. A refusal \
             binds nothing: the same key may be used again. Refusals go in the order of their checks: identity, \
             sale, form, values, then state, limit and stock.",
        )
        .idempotent("sale and customer")
        .reads::<OrderRequest>(
            BODY_BYTES_MAX,
            json!({
                "short": {
                    "summary": "One unit, to be paid later",
                    "value": { "items": [{ "sku": "A", "quantity": 1 }] },
                },
                "whole": {
                    "summary": "With everything",
                    "value": {
                        "items": [{ "sku": "A", "quantity": 1 }, { "sku": "C", "quantity": 2 }],
                        "discount_policy_id": "TEN", "expected_total": 18000, "fulfilment": "ship",
                        "shipping_address": {
                            "name": "Kim Min-jun", "line1": "110 Sejong-daero", "line2": "3F", "city": "Seoul",
                            "postal_code": "04524", "country": "KR", "phone": "+82 2 120",
                        },
                        "payment": { "method": "card", "token": "tok_ok" },
                    },
                },
            }),
        )
        .answers::<AcceptedBody>(202, "The order is recorded.")
        .with_header(202, "Idempotency-Replayed", "IdempotencyReplayed")
        .leads_to(
            202,
            &["order", "order_status", "pay_order", "cancel_order", "refund_order", "delivery"],
            json!({ "sale": "$request.path.sale", "order": "$response.body#/order_id" }),
        )
        .refuses(&[
            Code::UnknownSale,
            Code::InvalidOrder,
            Code::UnknownSku,
            Code::TotalMismatch,
            Code::IdempotencyKeyReused,
            Code::SaleNotOpen,
            Code::SalePaused,
            Code::SaleClosed,
            Code::DuplicateOrder,
            Code::SoldOut,
            Code::SaleRebuilding,
            Code::Overloaded,
            Code::OutcomeUnknown,
            Code::StockUnavailable,
            Code::LogUnavailable,
        ])
}

/// A command to an order, as a record of the log.
fn commanded(operation: Operation<'_>) -> Operation<'_> {
    operation
        .answers::<Recorded>(202, "The command is in the log, or was carried out before.")
        .leads_to(
            202,
            &["order_status"],
            json!({ "sale": "$request.path.sale", "order": "$request.path.order" }),
        )
        .refuses(LOOKED_UP)
        .refuses(&[Code::IllegalMove, Code::OutcomeUnknown])
}

/// A stream of an order's changes.
fn stream(operation: Operation<'_>) -> Operation<'_> {
    let id = || json!({ "type": "string", "pattern": "^[0-9]{1,9}-[0-9]{1,18}$", "examples": ["3-17"] });
    operation
        .header(
            "Last-Event-ID",
            false,
            id(),
            "The last event that the client has seen: it is told what came after.",
        )
        .query("last_event_id", id(), "The same, for clients that cannot set the header.")
        .refuses(LOOKED_UP)
        .refuses(&[Code::MalformedRequest, Code::Overloaded])
}

fn events(operation: Operation<'_>) -> Operation<'_> {
    operation
        .does(
            "Follow an order (Server-Sent Events)",
            "What happened so far, then each change as it is settled, until nothing follows. An event's name is \
             `order.` and the status, its data an `OrderChange` in JSON without `id` and `event`. An event `reset` \
             tells a client that was too slow from where to resume. Browsers resume by themselves.",
        )
        .answer(200, "The stream.", Some(("text/event-stream", json!({ "type": "string" }))))
        .answer(204, "The client has seen the last event.", None)
}

fn socket(operation: Operation<'_>) -> Operation<'_> {
    let only = |value: &str| json!({ "type": "string", "const": value });
    operation
        .does(
            "Follow an order (WebSocket)",
            "The same as the event stream, as one message of a WebSocket (RFC 6455) a change, each an \
             `OrderChange` in JSON.",
        )
        .header("Connection", true, only("Upgrade"), "Asks for the upgrade.")
        .header("Upgrade", true, only("websocket"), "To this protocol.")
        .header("Sec-WebSocket-Version", true, only("13"), "In this version.")
        .header(
            "Sec-WebSocket-Key",
            true,
            json!({ "type": "string", "pattern": "^[A-Za-z0-9+/]{21}[AQgw]==$" }),
            "16 random bytes in base64.",
        )
        .describes::<Told>()
        .answer(101, "The connection is a WebSocket from here on.", None)
}

fn callback(operation: Operation<'_>) -> Operation<'_> {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    operation
        .does(
            "What became of a payment",
            "For the card provider. Signed by Standard Webhooks 1.0, symmetric, at most 5 minutes ago. 200 when \
             the log has it; the same again does no harm. Without a configured secret there is nothing here.",
        )
        .header(webhook::ID, true, text("^[!-~]+$"), "The message's id, the same at every delivery of it.")
        .header(webhook::TIMESTAMP, true, text("^[0-9]+$"), "When it was sent, in seconds since 1970.")
        .header(webhook::SIGNATURE, true, text("^v1,"), "Signatures, separated by spaces.")
        .reads::<PaymentCallback>(BODY_BYTES_MAX, callback_examples())
        .answers::<payment_callback::Recorded>(200, "The log has it.")
        .refuses(&[
            Code::InvalidSignature,
            Code::UnknownSale,
            Code::NotFound,
            Code::DatabaseUnavailable,
            Code::OutcomeUnknown,
            Code::LogUnavailable,
        ])
}

fn callback_examples() -> Value {
    json!({
        "succeeded": {
            "summary": "The money was taken",
            "value": {
                "payment_id": "019caa3f-8c7d-8abc-8a7b-d1bca63a8fa9", "order_id": "019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9",
                "sale_id": "spring-sale", "result": "succeeded", "amount": 10000, "currency": "KRW",
            },
        },
    })
}
