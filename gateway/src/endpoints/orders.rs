//! The endpoints of a customer's orders.

use contract::order::{OrderRequest, PaymentRequest};
use contract::problem::Code;
use contract::webhook::{self, PaymentCallback};
use serde_json::{Value, json};

use super::endpoint::{Endpoint, Handler, Kind, Verb, endpoint};
use super::path::Path;
use crate::command::{self, Recorded};
use crate::http::authenticate::Access;
use crate::http::request_body::BYTES_MAX;
use crate::openapi::operation::Operation;
use crate::order::accepted_response::AcceptedBody;
use crate::order::place::ENDPOINT as PLACE_ORDER;
use crate::payment_callback;
use crate::read::order;
use crate::read::order_response::{DeliveryBody, OrderBody, OrdersBody, StatusBody};
use crate::read::wallet::{self, WalletBody};

const ORDERS: &str = "Orders";
const MONEY: &str = "Money";

/// The refusals where an order is looked up: in Postgres, then in Redis.
pub(super) const ORDER_LOOKUP: &[Code] = &[
    Code::UnknownSale,
    Code::NotFound,
    Code::DatabaseUnavailable,
    Code::SaleRebuilding,
    Code::StockUnavailable,
    Code::LogUnavailable,
];

/// Placing an order is first, because it is the most frequent request.
pub(super) static ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        verb: Verb::Post,
        path: Path::parse("/v1/sales/{sale}/orders", &["sale"]),
        files: None,
        name: PLACE_ORDER,
        label: PLACE_ORDER,
        tag: ORDERS,
        access: Access::Customer,
        kind: Kind::Order,
        handler: Handler::PlaceOrder,
        describe: place,
    },
    endpoint!(
        Get("/v1/sales/{sale}/orders"),
        my_orders(ORDERS, Customer, Query),
        |gateway, request, sale| order::list(gateway.orders(), request.context, sale),
        |operation| {
            operation
            .does(
                "List my orders",
                "The calling customer's orders, newest first. If the sale does not limit orders per customer, an order \
                 may be missing immediately after its 202; it can be read by its ID.",
            )
            .paged(order::PAGE_DEFAULT, order::PAGE_MAX)
            .answers::<OrdersBody>(200, "A page of orders.")
            .refuses(&[Code::MalformedRequest, Code::UnknownSale, Code::DatabaseUnavailable, Code::LogUnavailable])
        },
    ),
    endpoint!(
        Get("/v1/sales/{sale}/orders/{order}"),
        order(ORDERS, Customer, Query),
        |gateway, request, sale, order| order::show(gateway.orders(), request.context, sale, order),
        |operation| {
            operation
            .does(
                "Get an order",
                "Every gateway returns the order immediately after the 202, with the status `processing`. While it \
                 is unknown whether the order exists, the response is 503, never 404. Orders of other customers are \
                 not found.",
            )
            .answers::<OrderBody>(200, "The order.")
            .refuses(ORDER_LOOKUP)
        },
    ),
    endpoint!(
        Get("/v1/sales/{sale}/orders/{order}/status"),
        order_status(ORDERS, Customer, Query),
        |gateway, request, sale, order| order::status(gateway.orders(), request.context, sale, order),
        |operation| operation
            .does(
                "Get the status of an order",
                "A summary of the order, with the same members as live updates."
            )
            .answers::<StatusBody>(200, "The status.")
            .refuses(ORDER_LOOKUP),
    ),
    endpoint!(
        Get("/v1/sales/{sale}/orders/{order}/delivery"),
        delivery(ORDERS, Customer, Query),
        |gateway, request, sale, order| order::delivery(gateway.orders(), request.context, sale, order),
        |operation| operation
            .does(
                "Get the delivery of an order",
                "Exists from the payment on; before that the response is 404."
            )
            .answers::<DeliveryBody>(200, "The delivery.")
            .refuses(ORDER_LOOKUP),
    ),
    endpoint!(
        Delete("/v1/sales/{sale}/orders/{order}"),
        cancel_order(ORDERS, Customer, Command),
        |gateway, request, sale, order| command::cancel(gateway.commands(), request.context, sale, order),
        |operation| {
            describe_command(operation).does(
            "Cancel an order",
            "Possible until the order is shipped. Its units are returned to the stock, and a payment is refunded. \
             Repeating the command returns the same 202.",
        )
        },
    ),
    endpoint!(
        Post("/v1/sales/{sale}/orders/{order}/payment"),
        pay_order(MONEY, Customer, Command),
        |gateway, request, sale, order| {
            command::pay(gateway.commands(), request.context, sale, order, request.body)
        },
        |operation| {
            describe_command(operation)
            .does(
                "Pay an order",
                "Possible until the hold expires. The payment is requested after the log has stored the command; the \
                 order's status shows its result. Repeating the command returns the same 202.",
            )
            .reads::<PaymentRequest>(
                BYTES_MAX,
                json!({
                    "wallet": { "summary": "From the customer's balance", "value": { "method": "wallet" } },
                    "card": { "summary": "By card", "value": { "method": "card", "token": "tok_ok" } },
                }),
            )
            .refuses(&[Code::InvalidPayment])
        },
    ),
    endpoint!(
        Post("/v1/sales/{sale}/orders/{order}/refund"),
        refund_order(MONEY, Customer, Command),
        |gateway, request, sale, order| command::refund(gateway.commands(), request.context, sale, order),
        |operation| {
            describe_command(operation).does(
            "Return an order for a refund",
            "Possible after the order was shipped. The payment is refunded. Repeating the command returns the same \
             202.",
        )
        },
    ),
    endpoint!(
        Get("/v1/wallet"),
        wallet(MONEY, Customer, Query),
        |gateway, request| wallet::show(&gateway.read_pool, request.context.head),
        |operation| operation
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
    ),
    endpoint!(
        Post("/v1/payments/callback"),
        payment_callback(MONEY, Anyone, Command),
        |gateway, request| {
            payment_callback::record(gateway.payment_callbacks(), request.context.head, request.body)
        },
        describe_callback,
    ),
];

fn place(operation: Operation<'_>) -> Operation<'_> {
    operation
        .does(
            "Place an order",
            "Reserves the units of all lines, or of none. 202 means that the order is recorded: it exists, whatever \
             fails afterwards. After no response, or 503, repeat the request with the same key. A refusal has no \
             effect: the same key may be used again. The precedence of refusals is that of the checks: identity, sale, \
             form, values that no sale allows; then, for a key that was not accepted before, values that the present \
             terms refuse, state, limit and stock.",
        )
        .idempotent("sale and customer")
        .reads::<OrderRequest>(BYTES_MAX, order_examples())
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

fn order_examples() -> Value {
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
    })
}

/// Describes a command to an order, which is recorded in the log.
fn describe_command(operation: Operation<'_>) -> Operation<'_> {
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

fn describe_callback(operation: Operation<'_>) -> Operation<'_> {
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
        .reads::<PaymentCallback>(BYTES_MAX, callback_examples())
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
