//! The 202 of an order that the log has.

use contract::ids::{OrderId, SaleId};
use contract::lifecycle::{Language, OrderStatus};
use contract::money::Currency;
use contract::order::Amounts;
use contract::timestamp::Timestamp;
use hyper::StatusCode;
use schemars::JsonSchema;
use serde::Serialize;

use crate::http::json::json;
use crate::http::response::Response;
use crate::sales::sale_view::SaleView;

/// How long a customer may expect to wait between the 202 and settlement. A constant, so that replays are
/// identical.
const ESTIMATED_PROCESSING_MS: u64 = 500;

/// An order that is recorded. A repeated request gets an identical response, apart from the language of
/// `message`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AcceptedOrder")]
pub(crate) struct AcceptedBody<'a> {
    order_id: OrderId,
    #[schemars(with = "SaleId")]
    sale_id: &'a str,
    /// The status is always `processing`.
    status: OrderStatus,
    /// The order's place among the sale's accepted orders: 1, 2, 3, … without a gap.
    sequence: u64,
    /// A sentence for the customer.
    message: &'static str,
    /// The sum of the lines, in the minor unit.
    subtotal: u64,
    /// The discount, in the minor unit.
    discount: u64,
    /// The delivery fee, in the minor unit.
    delivery_fee: u64,
    /// The amount that the customer pays, in the minor unit.
    total: u64,
    currency: Currency,
    /// When the hold on the units ends unless the order is paid.
    hold_expires_at: Timestamp,
    /// How long it usually takes until the order is settled, in milliseconds.
    estimated_processing_ms: u64,
    /// The path of the order's status.
    status_url: String,
    /// The path of the order's live updates, as Server-Sent Events.
    events_url: String,
    /// The path of the order's live updates, as a WebSocket.
    websocket_url: String,
}

/// The members of a 202 that differ from order to order.
pub(crate) struct AcceptedOrder {
    pub(crate) id: OrderId,
    pub(crate) sequence: u64,
    pub(crate) amounts: Amounts,
    pub(crate) hold_expires_at: Timestamp,
}

/// Returns the 202.
pub(crate) fn accepted(view: &SaleView, order: &AcceptedOrder, language: Language) -> Response {
    let AcceptedOrder { id: order_id, sequence, amounts, hold_expires_at } = *order;
    let sale_id = view.publication.sale_id.as_str();
    let url = |resource: &str| format!("/v1/sales/{sale_id}/orders/{order_id}/{resource}");
    let body = AcceptedBody {
        order_id,
        sale_id,
        status: OrderStatus::Processing,
        sequence,
        message: OrderStatus::Processing.description(language),
        subtotal: amounts.subtotal,
        discount: amounts.discount,
        delivery_fee: amounts.delivery_fee,
        total: amounts.total(),
        currency: view.publication.terms.currency,
        hold_expires_at,
        estimated_processing_ms: ESTIMATED_PROCESSING_MS,
        status_url: url("status"),
        events_url: url("events"),
        websocket_url: url("ws"),
    };
    json(StatusCode::ACCEPTED, &body)
}
