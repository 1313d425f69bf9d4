//! Routes and serves the requests of the two listeners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use contract::problem::Code;
use hyper::Method;
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::upgrade::OnUpgrade;
use process::http;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::endpoints::endpoint::{Endpoint, Handler, Handling, Request};
use crate::endpoints::routing::{Endpoints, Route, allowed_methods, route};
use crate::endpoints::{ADMIN, MONITORING, PUBLIC};
use crate::http::authenticate::{self, Access};
use crate::http::cors::allow_origin;
use crate::http::language::preferred_language;
use crate::http::problem::{Problem, unrouted};
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::order::place::place;
use crate::settings::Settings;
use crate::start_error::StartError;
use crate::state::Gateway;

/// Connections of the admin listener at once.
const ADMIN_CONNECTIONS_MAX: usize = 1000;

/// The bound sockets of the two listeners.
pub struct Listeners {
    /// Where storefronts connect.
    pub public: TcpListener,
    /// The address of the public listener, with its actual port.
    pub public_address: SocketAddr,
    /// Where operators, Prometheus and health checks connect.
    pub admin: TcpListener,
    /// The address of the admin listener, with its actual port.
    pub admin_address: SocketAddr,
}

impl Listeners {
    /// Binds the listeners of the settings. Port 0 binds a free port.
    pub async fn bind(settings: &Settings) -> Result<Self, StartError> {
        let (public, public_address) = bind(settings.listen).await?;
        let (admin, admin_address) = bind(settings.admin_listen).await?;
        Ok(Self { public, public_address, admin, admin_address })
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |error| StartError::Listen(address, error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Serves the public listener until `stop`, then until its connections have ended.
pub async fn public(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    connections_max: usize,
    stop: CancellationToken,
) {
    let handler = move |request| serve_public(gateway.clone(), request);
    http::serve(listener, connections_max, handler, stop).await;
}

/// Spawns the admin listener, which serves health checks and metrics until `stop`.
pub fn spawn_admin(gateway: Arc<Gateway>, listener: TcpListener, stop: CancellationToken) -> JoinHandle<()> {
    let handler = move |request| serve_admin(gateway.clone(), request);
    tokio::spawn(http::serve(listener, ADMIN_CONNECTIONS_MAX, handler, stop))
}

async fn serve_public(gateway: Arc<Gateway>, request: hyper::Request<Incoming>) -> Response {
    let received = Instant::now();
    let (mut head, body) = request.into_parts();
    let upgrade = head.extensions.remove::<OnUpgrade>();
    let origin = gateway.cors.allowed(&head.headers);
    if head.method == Method::OPTIONS {
        return gateway.cors.preflight(&head.headers);
    }
    let context = RequestContext { head: &head, language: preferred_language(&head.headers) };
    let (mut response, label, outcome) = match route(PUBLIC, &head.method, head.uri.path()) {
        Err(code) => refuse_unrouted(PUBLIC, context, code),
        Ok(Route { endpoint, parameters }) => {
            let (response, outcome) = match endpoint.handler {
                _ if endpoint.kind.rests_on_sales() && !gateway.leases.load().has_begun() => {
                    respond(Err(Code::Starting.into()), endpoint, context)
                }
                Handler::PlaceOrder => {
                    let [sale] = parameters.values();
                    place(gateway.order_path(), context, sale, body).await
                }
                Handler::Boxed(handle) => {
                    let request = Request { context, parameters, body, upgrade };
                    Box::pin(finish(endpoint, context, handle(&gateway, request))).await
                }
            };
            (response, endpoint.label, outcome)
        }
    };
    if let Some(origin) = origin {
        allow_origin(&mut response, origin);
    }
    gateway.requests.count(label, outcome, received);
    response
}

async fn serve_admin(gateway: Arc<Gateway>, request: hyper::Request<Incoming>) -> Response {
    let received = Instant::now();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let context = RequestContext { head: &head, language: preferred_language(&head.headers) };
    let (route, is_counted) = match route(MONITORING, &head.method, path) {
        Err(Code::NotFound) => (route(ADMIN, &head.method, path), true),
        monitoring => (monitoring, false),
    };
    let (response, label, outcome) = match route {
        Err(code) => refuse_unrouted(if is_counted { ADMIN } else { MONITORING }, context, code),
        Ok(Route { endpoint, parameters }) => {
            let request = Request { context, parameters, body, upgrade: None };
            let (response, outcome) = match (check_access(endpoint, &head), endpoint.handler) {
                (Ok(()), Handler::Boxed(handle)) => {
                    finish(endpoint, context, handle(&gateway, request)).await
                }
                (Ok(()), Handler::PlaceOrder) => respond(Err(Code::NotFound.into()), endpoint, context),
                (Err(code), _) => respond(Err(code.into()), endpoint, context),
            };
            (response, endpoint.label, outcome)
        }
    };
    if is_counted {
        gateway.requests.count(label, outcome, received);
    }
    response
}

/// Checks that an operator calls, where one is required. Other handlers identify the caller themselves, because they
/// need the identity.
fn check_access(endpoint: &Endpoint, head: &Parts) -> Result<(), Code> {
    match endpoint.access {
        Access::Operator => authenticate::admin(&head.headers),
        Access::Anyone | Access::Customer | Access::Stream => Ok(()),
    }
}

/// Waits for the result of a handler within the endpoint's time limit.
async fn finish(
    endpoint: &Endpoint,
    context: RequestContext<'_>,
    handling: Handling<'_>,
) -> (Response, &'static str) {
    let result = match endpoint.kind.limit() {
        None => handling.await,
        Some((limit, late)) => timeout(limit, handling).await.unwrap_or_else(|_| Err(late.into())),
    };
    respond(result, endpoint, context)
}

/// Returns the response to a result, and the outcome for metrics.
fn respond(
    result: Result<Response, Problem>,
    endpoint: &Endpoint,
    context: RequestContext<'_>,
) -> (Response, &'static str) {
    match result {
        Ok(response) => (response, endpoint.kind.success()),
        Err(problem) => (problem.response(context.language), problem.code.as_str()),
    }
}

/// Returns the response to a request without an endpoint, with the label and the outcome for metrics.
fn refuse_unrouted(
    endpoints: &Endpoints,
    context: RequestContext<'_>,
    code: Code,
) -> (Response, &'static str, &'static str) {
    let allow = || allowed_methods(endpoints, context.head.uri.path());
    (unrouted(code, context.language, allow), "none", code.as_str())
}
