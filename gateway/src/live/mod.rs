//! Live updates: an order's changes as they are settled, over Server-Sent Events or a WebSocket, from any gateway.
//!
//! | file | contents |
//! |---|---|
//! | [`topic`] | consumes `order-events` and publishes the changes to the registry |
//! | [`reader`] | the Kafka consumer, which is replaced when it stalls |
//! | [`registry`] | the streams by order |
//! | [`follower`] | one stream: history, then live changes, without duplicates or gaps |
//! | [`history`] | the changes so far, from Postgres |
//! | [`sse`], [`ws`] | the two transports |
//! | [`change`] | a change and its encodings |
//!
//! No change is missed, because a stream is registered and the topic is being consumed before its history is read. No
//! change is sent twice, because the sequences of an order's events increase ([`change::EventId`]). A stream that ends
//! before the order is complete is resumed with `Last-Event-ID`.

pub(crate) mod change;
pub(crate) mod follower;
mod history;
mod reader;
pub(crate) mod registry;
pub(crate) mod sse;
mod topic;
pub(crate) mod ws;

use std::sync::Arc;
use std::time::Duration;

use contract::ids::CustomerId;
use contract::lifecycle::OrderStatus;
use contract::problem::Code;
use contract::timestamp::Timestamp;
use contract::topics::ORDER_EVENTS;
use deadpool_postgres::Pool;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use lua::find_orders::FoundOrder;
use process::kafka::STALL_MAX;
use process::settings::Services;
use process::supervisor::Supervisor;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::change::{Change, EventId};
use self::follower::Follower;
use self::reader::Source;
use self::registry::Registry;
use crate::http::authenticate;
use crate::http::problem::Problem;
use crate::http::query_string::parameter;
use crate::http::request_context::RequestContext;
use crate::read::QUERY_MAX;
use crate::read::order_lookup::OrderLookup;
use crate::read::order_response::fresh_status;

/// The interval of heartbeats on an idle stream, so that no intermediary considers it dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The time for which a new stream waits for the consumer of the topic to start.
const TOPIC_WAIT_MAX: Duration = Duration::from_millis(1500);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Starts the consumer of the topic, and the task that ends every stream at `stop`.
pub(crate) fn start(
    registry: &Arc<Registry>,
    pool: &Pool,
    services: &Services,
    name: &str,
    supervisor: &Supervisor,
    stop: CancellationToken,
) -> Vec<JoinHandle<()>> {
    let topic = topic::Topic {
        source: Source {
            brokers: services.kafka_brokers.clone(),
            name: name.into(),
            topic: services.topic(ORDER_EVENTS.name),
            stall_max: STALL_MAX,
            // Registered at start, so that `rate()` sees the first increment.
            replaced: process::kafka::CLIENTS_REPLACED.with(["live_updates"]),
        },
        registry: registry.clone(),
    };
    let stopped = stop.clone();
    let guard = supervisor.guard("read order events");
    let reading = tokio::task::spawn_blocking(move || {
        topic.run(&stopped);
        drop(guard);
    });
    let catching_up = history::catch_up(registry.clone(), pool.clone(), stop.clone());
    let catching_up = tokio::spawn(supervisor.watch("read the history of orders", catching_up));
    let registry = registry.clone();
    let closing = tokio::spawn(async move {
        stop.cancelled().await;
        registry.close();
        registry.tasks.close();
        registry.tasks.wait().await;
    });
    vec![reading, catching_up, closing]
}

/// The state that streams need.
#[derive(Clone, Copy)]
pub(crate) struct Streams<'a> {
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) orders: OrderLookup<'a>,
}

/// Opens a stream of an order's changes, which continues after the last event that the client has received.
async fn open(
    streams: Streams<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
) -> Result<Follower, Problem> {
    let opening = tokio::time::timeout(QUERY_MAX, open_in_time(streams, context, sale, order));
    opening.await.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into()))
}

async fn open_in_time(
    streams: Streams<'_>,
    context: RequestContext<'_>,
    sale: &str,
    order: &str,
) -> Result<Follower, Problem> {
    let Streams { registry, orders } = streams;
    let head = context.head;
    let customer = customer(head)?;
    let (view, id) = orders.parse_path(sale, order)?;
    let sale = &view.publication.sale_id;
    let last_received = last_event_id(head, view.publication.partition)?;
    // The registration must precede the query of the history.
    let mut follower = Follower::register(registry, id, TOPIC_WAIT_MAX).await?;
    let settled_history = history::read(orders.pool, sale, id, &customer);
    let settled_history = async { settled_history.await.map(|history| history.map(Begin::Settled)) };
    let fresh = |found: &FoundOrder, unsettled| Begin::Remembered {
        // A newer status, if there is one, arrives through the topic.
        status: if unsettled { OrderStatus::Processing } else { fresh_status(found) },
        at: found.order.accepted_at,
        unsettled,
    };
    match orders.settled_or_remembered(&view, id, &customer, settled_history, fresh).await? {
        Begin::Settled(history) => follower.begin(history, last_received),
        // Only Postgres stores the events after the last one that the client has received.
        Begin::Remembered { unsettled: false, .. } if last_received.is_some() => {
            return Err(Code::DatabaseUnavailable.into());
        }
        Begin::Remembered { status, at, unsettled } => {
            follower.begin_unsettled(Change { order_id: id, id: None, status, cancel_reason: None, at });
            if !unsettled {
                registry.note_unread(id, sale.clone(), customer);
            }
        }
    }
    Ok(follower)
}

/// The data of an order that is available when a stream opens.
enum Begin {
    /// Every change so far, from Postgres.
    Settled(Vec<Change>),
    /// The status from Redis. `unsettled` means that Postgres does not store the order yet; otherwise Postgres did
    /// not respond.
    Remembered { status: OrderStatus, at: Timestamp, unsettled: bool },
}

/// Returns the calling customer. Browsers do not let a page set headers of event streams and WebSockets, so the bearer
/// token may be sent as the query parameter `access_token` here. No part of a query string is ever logged.
fn customer(head: &Parts) -> Result<CustomerId, Problem> {
    if head.headers.contains_key(AUTHORIZATION) {
        return Ok(authenticate::customer(&head.headers)?);
    }
    let token = parameter(head, "access_token")?.ok_or(Code::Unauthenticated)?;
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Code::Unauthenticated)?;
    Ok(authenticate::customer(&HeaderMap::from_iter([(AUTHORIZATION, bearer)]))?)
}

/// Returns the last event that the client has received: from the header that browsers send when they reconnect, or
/// from the query parameter `last_event_id`.
fn last_event_id(head: &Parts, partition: i32) -> Result<Option<EventId>, Problem> {
    let text = match head.headers.get(LAST_EVENT_ID) {
        Some(header) => header.to_str().ok().map(str::to_owned),
        None => match parameter(head, "last_event_id")? {
            Some(text) => Some(text),
            None => return Ok(None),
        },
    };
    let id = text.and_then(|text| text.parse::<EventId>().ok()).filter(|id| id.partition == partition);
    let why = "The last event ID does not belong to an event of this order.";
    id.map(Some).ok_or_else(|| Problem::because(Code::MalformedRequest, why))
}
