//! Routes and serves the requests of the two listeners.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::lifecycle::Language;
use contract::problem::Code;
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request};
use process::{health, http};
use storefront::Page;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::admin::sales::parse_sale_id;
use crate::http::authenticate;
use crate::http::cors::allow_origin;
use crate::http::language::preferred_language;
use crate::http::problem::{Problem, unrouted};
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::http::static_page;
use crate::live::{sse, ws};
use crate::metrics::outcome;
use crate::openapi::{self, Part};
use crate::route::{Admin, DOCS, Public, allowed};
use crate::settings::Settings;
use crate::start_error::StartError;
use crate::state::Gateway;
use crate::{admin, command, order, payment_callback, read};

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

async fn serve_public(gateway: Arc<Gateway>, request: Request<Incoming>) -> Response {
    let received = Instant::now();
    let (mut head, body) = request.into_parts();
    let upgrade = head.extensions.remove::<OnUpgrade>();
    let origin = gateway.cors.allowed(&head.headers);
    if head.method == Method::OPTIONS {
        return gateway.cors.preflight(&head.headers);
    }
    let language = preferred_language(&head.headers);
    let (mut response, route, outcome) = match Public::of(&head.method, head.uri.path()) {
        Err(code) => {
            let allow = || allowed(|method| Public::of(method, head.uri.path()).is_ok());
            (unrouted(code, language, allow), "none", code.as_str())
        }
        Ok(route) => {
            let context = RequestContext { head: &head, language };
            let (response, outcome) = match route {
                Public::PlaceOrder { sale } => {
                    order::place::place(gateway.order_path(), context, sale, body).await
                }
                // Boxed, because a connection reserves memory for the largest future for as long as it lasts.
                route => Box::pin(dispatch_public(&gateway, context, route, body, upgrade)).await,
            };
            (response, route.label(), outcome)
        }
    };
    if let Some(origin) = origin {
        allow_origin(&mut response, origin);
    }
    gateway.requests.count(route, outcome, received);
    response
}

/// Handles a request of the public listener other than an order.
async fn dispatch_public(
    gateway: &Gateway,
    context: RequestContext<'_>,
    route: Public<'_>,
    body: Incoming,
    upgrade: Option<OnUpgrade>,
) -> (Response, &'static str) {
    let head = context.head;
    let (success, result) = match route {
        Public::CancelOrder { sale, order } => {
            (outcome::ACCEPTED, command::cancel(gateway.commands(), context, sale, order).await)
        }
        Public::PayOrder { sale, order } => {
            (outcome::ACCEPTED, command::pay(gateway.commands(), context, sale, order, body).await)
        }
        Public::RefundOrder { sale, order } => {
            (outcome::ACCEPTED, command::refund(gateway.commands(), context, sale, order).await)
        }
        Public::PaymentCallback => {
            (outcome::ACCEPTED, payment_callback::record(gateway.payment_callbacks(), head, body).await)
        }
        Public::Document => (outcome::OK, Ok(openapi::answer(Part::Public))),
        Public::Page => (outcome::OK, public_page(gateway, context, &storefront::SHOP, head.uri.path())),
        Public::Docs => {
            (outcome::OK, public_page(gateway, context, &storefront::DOCS, path_inside_docs(head.uri.path())))
        }
        Public::OrderEvents { sale, order } => {
            (outcome::OK, sse::answer(gateway.streams(), context, sale, order).await)
        }
        Public::OrderSocket { sale, order } => {
            (outcome::OK, ws::answer(gateway.streams(), context, sale, order, upgrade).await)
        }
        route => {
            let query = timeout(read::QUERY_MAX, dispatch_query(gateway, context, route)).await;
            (outcome::OK, query.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into())))
        }
    };
    with_outcome(result, success, context.language)
}

async fn dispatch_query(
    gateway: &Gateway,
    context: RequestContext<'_>,
    route: Public<'_>,
) -> Result<Response, Problem> {
    use read::{order, sale, wallet};
    let head = context.head;
    match route {
        Public::Sales => sale::list(gateway.sale_reads(), head).await,
        Public::Sale { sale } => sale::show(gateway.sale_reads(), sale, head).await,
        Public::Availability { sale, sku } => sale::availability(gateway.sale_reads(), sale, sku, head).await,
        Public::MyOrders { sale } => order::list(gateway.orders(), context, sale).await,
        Public::Order { sale, order } => order::show(gateway.orders(), context, sale, order).await,
        Public::OrderStatus { sale, order } => order::status(gateway.orders(), context, sale, order).await,
        Public::Delivery { sale, order } => order::delivery(gateway.orders(), context, sale, order).await,
        Public::Wallet => wallet::show(&gateway.read_pool, head).await,
        _ => Err(Code::MethodNotAllowed.into()), // dispatched before
    }
}

/// Returns a file of a page on the public listener, if pages are enabled there.
fn public_page(
    gateway: &Gateway,
    context: RequestContext<'_>,
    page: &Page,
    path: &str,
) -> Result<Response, Problem> {
    if !gateway.has_storefront {
        return Err(Code::NotFound.into());
    }
    static_page::serve(page, path, &context.head.headers)
}

/// Returns a path below the documents' page, relative to it.
fn path_inside_docs(path: &str) -> &str {
    path.strip_prefix(DOCS).filter(|rest| !rest.is_empty()).unwrap_or("/")
}

/// Returns the response to a result, and the outcome for metrics.
fn with_outcome(
    result: Result<Response, Problem>,
    success: &'static str,
    language: Language,
) -> (Response, &'static str) {
    match result {
        Ok(response) => (response, success),
        Err(problem) => (problem.response(language), problem.code.as_str()),
    }
}

fn is_read(method: &Method) -> bool {
    method == Method::GET || method == Method::HEAD
}

async fn serve_admin(gateway: Arc<Gateway>, request: Request<Incoming>) -> Response {
    let received = Instant::now();
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let language = preferred_language(&head.headers);
    if let Some(response) = health::respond(path, &gateway.health, &gateway.metrics) {
        if !is_read(&head.method) {
            return unrouted(Code::MethodNotAllowed, language, || allowed(is_read));
        }
        return response.map(Either::Left);
    }
    let (response, route, outcome) = match Admin::of(&head.method, path) {
        Err(code) => {
            let allow = || allowed(|method| Admin::of(method, path).is_ok());
            (unrouted(code, language, allow), "none", code.as_str())
        }
        Ok(route) => {
            let result = match (route, authenticate::admin(&head.headers)) {
                // The page holds no secret; it requests its data from the API, with its operator's token.
                (Admin::Page, _) => static_page::serve(&storefront::OPERATOR, path, &head.headers),
                (Admin::Docs, _) => {
                    static_page::serve(&storefront::DOCS, path_inside_docs(path), &head.headers)
                }
                (Admin::Document, _) => Ok(openapi::answer(Part::All)),
                (_, Err(code)) => Err(code.into()),
                (route, Ok(())) => {
                    let context = RequestContext { head: &head, language };
                    let (limit, late) = admin_limit(&head.method);
                    let done = timeout(limit, dispatch_admin(&gateway, context, route, body)).await;
                    done.unwrap_or_else(|_| Err(late.into()))
                }
            };
            let (response, outcome) = with_outcome(result, outcome::OK, language);
            (response, route.label(), outcome)
        }
    };
    gateway.requests.count(route, outcome, received);
    response
}

/// Returns the time limit of an admin request, and the refusal after it.
fn admin_limit(method: &Method) -> (Duration, Code) {
    if is_read(method) {
        (read::QUERY_MAX, Code::DatabaseUnavailable)
    } else {
        (admin::CHANGE_MAX, Code::OutcomeUnknown)
    }
}

async fn dispatch_admin(
    gateway: &Gateway,
    context: RequestContext<'_>,
    route: Admin<'_>,
    body: Incoming,
) -> Result<Response, Problem> {
    use admin::{dead_letters, define, inventory, orders, overview, report, sales, state, wallet};
    let head = context.head;
    let (reads, writes) = (&gateway.read_pool, &gateway.write_pool);
    match route {
        Admin::Overview => Ok(overview::show(gateway.overview_sources()).await),
        Admin::Sales => sales::list(reads, &gateway.leases).await,
        Admin::PutSale { sale } => {
            define::put(gateway.sale_editor(), &parse_sale_id(sale)?, head, body).await
        }
        Admin::Act { sale, action } => {
            state::act(writes, &gateway.leases, &parse_sale_id(sale)?, action).await
        }
        Admin::DeadLetters => dead_letters::list(reads, head).await,
        Admin::Decide { letter, verdict } => {
            dead_letters::decide(reads, &gateway.hand_off, letter, verdict).await
        }
        Admin::Inventory { sale } => inventory::show(reads, &gateway.redis, &parse_sale_id(sale)?).await,
        Admin::Report { sale } => report::show(reads, &parse_sale_id(sale)?).await,
        Admin::Orders { sale } => orders::search(gateway.orders(), context, sale).await,
        Admin::Order { sale, order } => orders::show(gateway.orders(), context, sale, order).await,
        Admin::Deliver { sale, order } => {
            orders::deliver(gateway.commands(), context, sale, order, body).await
        }
        Admin::Credit { customer } => wallet::credit(writes, customer, head, body).await,
        Admin::Page | Admin::Document | Admin::Docs => Err(Code::NotFound.into()), // dispatched before
    }
}
