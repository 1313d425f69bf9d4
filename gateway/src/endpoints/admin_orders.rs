//! The endpoints of orders, wallets and dead letters, for operators.

use contract::problem::Code;
use contract::record::{DeliveryChange, Resolution};
use serde_json::json;

use super::endpoint::{Endpoint, endpoint};
use crate::admin::dead_letters::{self, LetterBody, LetterState, LettersBody};
use crate::admin::orders;
use crate::admin::wallet::{self, Credit, Credited};
use crate::command::Recorded;
use crate::http::request_body::BYTES_MAX;
use crate::openapi::operation::Operation;
use crate::read::order_response::{OrderBody, OrdersBody};

const ORDERS: &str = "Order management";
const DEAD_LETTERS: &str = "Dead letters";
/// The label of both decisions about a dead letter in metrics.
const DECIDE: &str = "admin_decide";

/// The refusals where a sale is looked up among those that the gateway has read.
const SALE_LOOKUP: &[Code] = &[Code::Starting, Code::UnknownSale, Code::LogUnavailable];

pub(super) static ENDPOINTS: &[Endpoint] = &[
    endpoint!(
        Get("/admin/v1/sales/{sale}/orders"),
        admin_orders(ORDERS, Operator, Query),
        |gateway, request, sale| orders::search(gateway.orders(), request.context, sale),
        |operation| operation
            .does("Search orders", "A sale's settled orders, newest first.")
            .query("customer", json!({ "type": "string" }), "Only orders of this customer.")
            .query(
                "status",
                json!({ "$ref": "#/components/schemas/OrderStatus" }),
                "Only orders with this status.",
            )
            .paged(orders::PAGE_DEFAULT, orders::PAGE_MAX)
            .answers::<OrdersBody>(200, "A page of orders.")
            .refuses(SALE_LOOKUP)
            .refuses(&[Code::MalformedRequest, Code::DatabaseUnavailable]),
    ),
    endpoint!(
        Get("/admin/v1/sales/{sale}/orders/{order}"),
        admin_order(ORDERS, Operator, Query),
        |gateway, request, sale, order| orders::show(gateway.orders(), request.context, sale, order),
        |operation| operation
            .does(
                "Get an order",
                "A settled order of any customer, including the commands that had no effect."
            )
            .answers::<OrderBody>(200, "The order.")
            .refuses(SALE_LOOKUP)
            .refuses(&[Code::NotFound, Code::DatabaseUnavailable]),
    ),
    endpoint!(
        Patch("/admin/v1/sales/{sale}/orders/{order}/delivery"),
        admin_deliver(ORDERS, Operator, Change),
        |gateway, request, sale, order| {
            orders::deliver(gateway.commands(), request.context, sale, order, request.body)
        },
        |operation| {
            operation
            .does("Advance a delivery", "Advances the delivery to this status, through all statuses before it.")
            .reads::<DeliveryChange>(
                BYTES_MAX,
                json!({ "delivered": { "summary": "Delivered to the customer", "value": { "status": "delivered" } } }),
            )
            .answers::<Recorded>(202, "The change is recorded in the log, or was applied before.")
            .refuses(SALE_LOOKUP)
            .refuses(&[Code::NotFound, Code::IllegalMove, Code::DatabaseUnavailable, Code::OutcomeUnknown])
        },
    ),
    endpoint!(
        Post("/admin/v1/wallets/{customer}/credit"),
        admin_credit(ORDERS, Operator, Change),
        |gateway, request, customer| {
            wallet::credit(&gateway.write_pool, customer, request.context.head, request.body)
        },
        |operation| {
            operation
            .does("Credit a wallet", "Adds money to a customer's wallet, once per key.")
            .idempotent("customer")
            .reads::<Credit>(
                BYTES_MAX,
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
            ])
        },
    ),
    endpoint!(
        Get("/admin/v1/dead-letters"),
        admin_dead_letters(DEAD_LETTERS, Operator, Query),
        |gateway, request| dead_letters::list(&gateway.read_pool, request.context.head),
        |operation| operation
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
    ),
    endpoint!(
        Post("/admin/v1/dead-letters/{letter}/replay"),
        admin_replay(DEAD_LETTERS, Operator, Change),
        |gateway, _request, letter| {
            dead_letters::decide(&gateway.read_pool, &gateway.hand_off, letter, Resolution::Replay)
        },
        |operation| describe_decision(operation).does(
            "Replay a dead letter",
            "Decodes and applies the record again with the current code. If that fails, it stays undecided.",
        ),
    )
    .with_label(DECIDE),
    endpoint!(
        Post("/admin/v1/dead-letters/{letter}/discard"),
        admin_discard(DEAD_LETTERS, Operator, Change),
        |gateway, _request, letter| {
            dead_letters::decide(&gateway.read_pool, &gateway.hand_off, letter, Resolution::Discard)
        },
        |operation| describe_decision(operation)
            .does("Discard a dead letter", "Returns the units that are reserved for it to the stock."),
    )
    .with_label(DECIDE),
];

/// Describes a decision about a dead letter.
fn describe_decision(operation: Operation<'_>) -> Operation<'_> {
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
