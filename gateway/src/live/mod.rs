//! Live updates: an order's changes as they are settled, by Server-Sent Events or a WebSocket, from any
//! gateway.
//!
//! | file | what it is |
//! |---|---|
//! | [`topic`] | what is read from `order-events` |
//! | [`reader`] | by which client, and by which after it |
//! | [`registry`] | who follows which order |
//! | [`follower`] | one stream: history, then changes, none twice, none left out |
//! | [`history`] | what happened so far, from Postgres |
//! | [`sse`], [`ws`] | the two ways to tell it |
//! | [`change`] | what is told |
//!
//! Nothing is left out because a stream is registered, and the topic is being read, before its history is
//! read; nothing is told twice because an order's events have growing sequences ([`change::EventId`]). A stream
//! that ends for another reason than the order's end is resumed by `Last-Event-ID`.

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
use metrics::counter;
use process::kafka::STALL_MAX;
use process::settings::Services;
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

/// Between two signs of life of a stream on which nothing happens, so that nothing on the way takes it for dead.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A new stream waits so long for the topic to be read.
const TOPIC_WAIT_MAX: Duration = Duration::from_millis(1500);
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Starts the reader of the topic, and what ends every stream at `stop`.
pub(crate) fn start(
    registry: &Arc<Registry>,
    pool: &Pool,
    services: &Services,
    name: &str,
    stop: CancellationToken,
) -> Vec<JoinHandle<()>> {
    let topic = topic::Topic {
        source: Source {
            brokers: services.kafka_brokers.clone(),
            name: name.into(),
            topic: services.topic(ORDER_EVENTS.name),
            stall_max: STALL_MAX,
            // Shown from the start, so that an alert has a 0 to rise from.
            replaced: counter!("kafka_clients_replaced_total", "client" => "live_updates"),
        },
        registry: registry.clone(),
    };
    let stopped = stop.clone();
    let reading = tokio::task::spawn_blocking(move || topic.run(&stopped));
    let catching_up = tokio::spawn(history::catch_up(registry.clone(), pool.clone(), stop.clone()));
    let registry = registry.clone();
    let closing = tokio::spawn(async move {
        stop.cancelled().await;
        registry.close();
        registry.tasks.close();
        registry.tasks.wait().await;
    });
    vec![reading, catching_up, closing]
}

/// What streams need.
#[derive(Clone, Copy)]
pub(crate) struct Streams<'a> {
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) orders: OrderLookup<'a>,
}

/// A stream of an order's changes, from where its reader has come.
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
    let seen = last_event_id(head, view.publication.partition)?;
    // First the registration, then the history.
    let mut follower = Follower::register(registry, id, TOPIC_WAIT_MAX).await?;
    let asked = history::read(orders.pool, sale, id, &customer);
    let asked = async { asked.await.map(|history| history.map(Begin::Settled)) };
    let fresh = |found: &FoundOrder, unsettled| Begin::Remembered {
        // What it has become meanwhile, if anything, is on its way here.
        status: if unsettled { OrderStatus::Processing } else { fresh_status(found) },
        at: found.order.accepted_at,
        unsettled,
    };
    match orders.settled_or_remembered(&view, id, &customer, asked, fresh).await? {
        Begin::Settled(history) => follower.begin(history, seen),
        // What lies behind the event that the reader has seen is in Postgres alone.
        Begin::Remembered { unsettled: false, .. } if seen.is_some() => {
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

/// What is known of an order when a stream begins.
enum Begin {
    /// By Postgres: every change so far.
    Settled(Vec<Change>),
    /// By Redis. `unsettled`: Postgres does not have it yet; else Postgres did not answer.
    Remembered { status: OrderStatus, at: Timestamp, unsettled: bool },
}

/// Who asks. Browsers let a page set no headers of event streams and WebSockets, so the bearer token may be the
/// parameter `access_token` here. It is never logged, nor is any other part of a query string.
fn customer(head: &Parts) -> Result<CustomerId, Problem> {
    if head.headers.contains_key(AUTHORIZATION) {
        return Ok(authenticate::customer(&head.headers)?);
    }
    let token = parameter(head, "access_token")?.ok_or(Code::Unauthenticated)?;
    let bearer = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| Code::Unauthenticated)?;
    Ok(authenticate::customer(&HeaderMap::from_iter([(AUTHORIZATION, bearer)]))?)
}

/// The event that the reader has seen: the header that browsers send when they return, or the parameter
/// `last_event_id`.
fn last_event_id(head: &Parts, partition: i32) -> Result<Option<EventId>, Problem> {
    let told = match head.headers.get(LAST_EVENT_ID) {
        Some(header) => header.to_str().ok().map(str::to_owned),
        None => match parameter(head, "last_event_id")? {
            Some(text) => Some(text),
            None => return Ok(None),
        },
    };
    let id = told.and_then(|text| text.parse::<EventId>().ok()).filter(|id| id.partition == partition);
    let why = "The last event id is not the id of an event of this order.";
    id.map(Some).ok_or_else(|| Problem::because(Code::MalformedRequest, why))
}
