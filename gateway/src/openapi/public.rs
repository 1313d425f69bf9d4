//! The operations of the public API. An endpoint of the route table without a description here does not compile.

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
use crate::live::change::ChangeBody;
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

/// The problems of reading an order: from Postgres, then from Redis.
const ORDER_LOOKUP: &[Code] = &[
    Code::UnknownSale,
    Code::NotFound,
    Code::DatabaseUnavailable,
    Code::SaleRebuilding,
    Code::StockUnavailable,
    Code::LogUnavailable,
];

/// Returns the operation of an endpoint.
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
    describe(Operation::new(schemas, method, path, route.label(), tag, access), route)
}

fn describe<'s>(operation: Operation<'s>, route: Public<'static>) -> Operation<'s> {
    match route {
        Public::Sales => conditional(operation.answers::<SalesBody>(200, "The sales."))
            .does("List sales", "All sales that are not drafts, by name.")
            .refuses(&[Code::DatabaseUnavailable]),
        Public::Sale { .. } => conditional(operation.answers::<SaleBody>(200, "The sale."))
            .does(
                "Get a sale",
                "The items, their prices, the window and the remaining units, which are at most 1 s old.",
            )
            .refuses(&[Code::UnknownSale, Code::DatabaseUnavailable]),
        Public::Availability { .. } => operation
            .does(
                "Check availability",
                "Checks whether the requested quantity is available. The result is an estimate that is at most 1 s old: \
                 only an order reserves units.",
            )
            .query(
                "quantity",
                json!({ "type": "integer", "minimum": 1, "maximum": TOTAL_MAX, "default": 1 }),
                "The number of units.",
            )
            .answers::<AvailabilityBody>(200, "The availability.")
            .refuses(&[Code::MalformedRequest, Code::UnknownSale, Code::NotFound, Code::DatabaseUnavailable]),
        Public::PlaceOrder { .. } => place(operation),
        Public::MyOrders { .. } => operation
            .does(
                "List my orders",
                "The calling customer's orders, newest first. If the sale does not limit orders per customer, an order \
                 may be missing immediately after its 202; it can be read by its ID.",
            )
            .paged(PAGE_DEFAULT, PAGE_MAX)
            .answers::<OrdersBody>(200, "A page of orders.")
            .refuses(&[Code::MalformedRequest, Code::UnknownSale, Code::DatabaseUnavailable]),
        Public::Order { .. } => operation
            .does(
                "Get an order",
                "Every gateway returns the order immediately after the 202, with the status `processing`. While it \
                 is unknown whether the order exists, the response is 503, never 404. Orders of other customers are \
                 not found.",
            )
            .answers::<OrderBody>(200, "The order.")
            .refuses(ORDER_LOOKUP),
        Public::OrderStatus { .. } => operation
            .does("Get the status of an order", "A summary of the order, with the same members as live updates.")
            .answers::<StatusBody>(200, "The status.")
            .refuses(ORDER_LOOKUP),
        Public::Delivery { .. } => operation
            .does("Get the delivery of an order", "Exists from the payment on; before that the response is 404.")
            .answers::<DeliveryBody>(200, "The delivery.")
            .refuses(ORDER_LOOKUP),
        Public::OrderEvents { .. } => events(stream(operation)),
        Public::OrderSocket { .. } => socket(stream(operation)),
        Public::CancelOrder { .. } => command(operation).does(
            "Cancel an order",
            "Possible until the order is shipped. Its units are returned to the stock, and a payment is refunded. \
             Repeating the command returns the same 202.",
        ),
        Public::PayOrder { .. } => command(operation)
            .does(
                "Pay an order",
                "Possible until the hold expires. The payment is requested after the log has stored the command; the \
                 order's status shows its result. Repeating the command returns the same 202.",
            )
            .reads::<PaymentRequest>(
                BODY_BYTES_MAX,
                json!({
                    "wallet": { "summary": "From the customer's balance", "value": { "method": "wallet" } },
                    "card": { "summary": "By card", "value": { "method": "card", "token": "tok_ok" } },
                }),
            )
            .refuses(&[Code::InvalidPayment]),
        Public::RefundOrder { .. } => command(operation).does(
            "Return an order for a refund",
            "Possible after the order was shipped. The payment is refunded. Repeating the command returns the same \
             202.",
        ),
        Public::Wallet => operation
            .does(
    "Get my wallet",
    "The customer's balance and the newest entries; an empty wallet if the customer has none.",
)
            .query(
                "currency",
                json!({ "type": "string", "pattern": contract::schema::CURRENCY }),
                "The currency of the wallet (ISO 4217); the default is the wallet with the newest entry.",
            )
            .answers::<WalletBody>(200, "The wallet.")
            .refuses(&[Code::MalformedRequest, Code::DatabaseUnavailable]),
        Public::PaymentCallback => callback(operation),
        Public::Page => page(operation)
            .does("Storefront page", "The web page for customers, if the gateway is configured to serve it.")
            .refuses(&[Code::NotFound]),
        Public::Document => document(operation),
        Public::Docs => docs(operation).refuses(&[Code::NotFound]),
    }
}

/// Describes an HTML page; its assets are served beside it.
pub(super) fn page(operation: Operation<'_>) -> Operation<'_> {
    conditional(operation.answer(200, "The page.", Some(("text/html", json!({ "type": "string" })))))
}

/// Describes the page that shows the document.
pub(super) fn docs(operation: Operation<'_>) -> Operation<'_> {
    page(operation).does("API documentation page", "Swagger UI, in which operations can be tried out.")
}

/// Describes the document itself.
pub(super) fn document(operation: Operation<'_>) -> Operation<'_> {
    operation.does("This document", "The OpenAPI 3.1 document of the listener's operations.").answer(
        200,
        "The document.",
        Some(("application/json", json!({ "type": "object" }))),
    )
}

/// Adds the conditional request headers and the 304 response.
fn conditional(operation: Operation<'_>) -> Operation<'_> {
    operation
        .header(
            "If-None-Match",
            false,
            json!({ "type": "string" }),
            "The `ETag` of the client's cached response. If nothing but `server_time` differs, the response is 304.",
        )
        .answer(304, "The resource has not changed.", None)
        .with_header(200, "ETag", "ETag")
        .with_header(304, "ETag", "ETag")
}

fn place(operation: Operation<'_>) -> Operation<'_> {
    operation
        .does(
            "Place an order",
            "Reserves the units of all lines, or of none. 202 means that the order is recorded: it exists, whatever \
             fails afterwards. After no response, or 503, repeat the request with the same key. A refusal has no \
             effect: the same key may be used again. The precedence of refusals is that of the checks: identity, sale, \
             form, values, then state, limit and stock.",
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
                    "summary": "With all members",
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

/// Describes a command to an order, which is recorded in the log.
fn command(operation: Operation<'_>) -> Operation<'_> {
    operation
        .answers::<Recorded>(202, "The command is recorded in the log, or was applied before.")
        .leads_to(
            202,
            &["order_status"],
            json!({ "sale": "$request.path.sale", "order": "$request.path.order" }),
        )
        .refuses(ORDER_LOOKUP)
        .refuses(&[Code::IllegalMove, Code::OutcomeUnknown])
}

/// Describes a stream of an order's changes.
fn stream(operation: Operation<'_>) -> Operation<'_> {
    let id = || json!({ "type": "string", "pattern": "^[0-9]{1,9}-[0-9]{1,18}$", "examples": ["3-17"] });
    operation
        .header(
            "Last-Event-ID",
            false,
            id(),
            "The last event that the client has received; the stream continues after it.",
        )
        .query("last_event_id", id(), "The same as the header, for clients that cannot set it.")
        .refuses(ORDER_LOOKUP)
        .refuses(&[Code::MalformedRequest, Code::Overloaded])
}

fn events(operation: Operation<'_>) -> Operation<'_> {
    operation
        .does(
            "Follow an order (Server-Sent Events)",
            "Streams the history, then each change as it is settled, until the order is complete. An event's name is \
             `order.` and the status; its data is an `OrderChange` in JSON without `id` and `event`. An event `reset` \
             contains the event ID from which a client that was too slow must resume. Browsers resume automatically.",
        )
        .answer(200, "The stream.", Some(("text/event-stream", json!({ "type": "string" }))))
        .answer(204, "The client has already received the last event.", None)
}

fn socket(operation: Operation<'_>) -> Operation<'_> {
    let only = |value: &str| json!({ "type": "string", "const": value });
    operation
        .does(
            "Follow an order (WebSocket)",
            "The same as the event stream over a WebSocket (RFC 6455): each change is one message, an `OrderChange` in \
             JSON.",
        )
        .header("Connection", true, only("Upgrade"), "Requests the upgrade.")
        .header("Upgrade", true, only("websocket"), "The protocol to upgrade to.")
        .header("Sec-WebSocket-Version", true, only("13"), "The version of the protocol.")
        .header(
            "Sec-WebSocket-Key",
            true,
            json!({ "type": "string", "pattern": "^[A-Za-z0-9+/]{21}[AQgw]==$" }),
            "16 random bytes in base64.",
        )
        .describes::<ChangeBody>()
        .answer(101, "The connection is upgraded to a WebSocket.", None)
}

fn callback(operation: Operation<'_>) -> Operation<'_> {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    operation
        .does(
            "Report the result of a payment",
            "For the card provider. The request must be signed according to Standard Webhooks 1.0 (symmetric), at most \
             5 minutes ago. The response is 200 when the log has stored the result; a repetition has no effect. \
             Without a configured secret the endpoint does not exist (404).",
        )
        .header(webhook::ID, true, text("^[!-~]+$"), "The message ID, the same for every delivery of the message.")
        .header(webhook::TIMESTAMP, true, text("^[0-9]+$"), "The time of sending, in seconds since 1970.")
        .header(webhook::SIGNATURE, true, text("^v1,"), "One or more signatures, separated by spaces.")
        .reads::<PaymentCallback>(BODY_BYTES_MAX, callback_examples())
        .answers::<payment_callback::Recorded>(200, "The result is recorded in the log.")
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
            "summary": "The payment was captured",
            "value": {
                "payment_id": "019caa3f-8c7d-8abc-8a7b-d1bca63a8fa9", "order_id": "019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9",
                "sale_id": "spring-sale", "result": "succeeded", "amount": 10000, "currency": "KRW",
            },
        },
    })
}
