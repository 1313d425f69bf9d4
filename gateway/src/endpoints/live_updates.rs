//! The endpoints of live updates.

use contract::problem::Code;
use serde_json::json;

use super::endpoint::{Endpoint, endpoint};
use super::orders::ORDER_LOOKUP;
use crate::live::change::ChangeBody;
use crate::live::{sse, ws};
use crate::openapi::operation::Operation;

const LIVE: &str = "Live updates";

pub(super) static ENDPOINTS: &[Endpoint] = &[
    endpoint!(
        Get("/v1/sales/{sale}/orders/{order}/events"),
        order_events(LIVE, Stream, Stream),
        |gateway, request, sale, order| sse::answer(gateway.streams(), request.context, sale, order),
        |operation| {
            describe_stream(operation)
            .does(
                "Follow an order (Server-Sent Events)",
                "Streams the history, then each change as it is settled, until the order is complete. An event's name is \
                 `order.` and the status; its data is an `OrderChange` in JSON without `id` and `event`. An event `reset` \
                 contains the event ID from which a client that was too slow must resume. Browsers resume automatically.",
            )
            .answer(200, "The stream.", Some(("text/event-stream", json!({ "type": "string" }))))
            .answer(204, "The client has already received the last event.", None)
        },
    ),
    endpoint!(
        Get("/v1/sales/{sale}/orders/{order}/ws"),
        order_socket(LIVE, Stream, Stream),
        |gateway, request, sale, order| {
            ws::answer(gateway.streams(), request.context, sale, order, request.upgrade)
        },
        |operation| describe_socket(describe_stream(operation)),
    ),
];

/// Describes a stream of an order's changes.
fn describe_stream(operation: Operation<'_>) -> Operation<'_> {
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

fn describe_socket(operation: Operation<'_>) -> Operation<'_> {
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
