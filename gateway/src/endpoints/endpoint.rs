//! The declaration of an endpoint: everything that routing, metrics and the API's documents need to know about it.

use std::pin::Pin;
use std::time::Duration;

use contract::problem::Code;
use hyper::Method;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;

use super::path::{Parameters, Path};
use crate::admin::CHANGE_MAX;
use crate::http::authenticate::Access;
use crate::http::problem::Problem;
use crate::http::request_context::RequestContext;
use crate::http::response::Response;
use crate::metrics::outcome;
use crate::openapi::operation::Operation;
use crate::read::QUERY_MAX;
use crate::state::Gateway;

/// One endpoint. [`endpoint!`](super::endpoint) declares it.
pub(crate) struct Endpoint {
    /// The method of its requests.
    pub(crate) verb: Verb,
    /// The pattern of its path.
    pub(crate) path: Path,
    /// A prefix of further paths that the endpoint serves: the files of a page. They are not in the documents.
    pub(crate) files: Option<&'static str>,
    /// The operation's name in the API's documents.
    pub(crate) name: &'static str,
    /// The label `route` of metrics.
    pub(crate) label: &'static str,
    /// The group in the API's documents.
    pub(crate) tag: &'static str,
    /// Who may call.
    pub(crate) access: Access,
    /// The time limit, and the outcome of a success.
    pub(crate) kind: Kind,
    /// Handles a request.
    pub(crate) handler: Handler,
    /// Describes the operation for the API's documents.
    pub(crate) describe: for<'s> fn(Operation<'s>) -> Operation<'s>,
}

/// The method of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Also accepts HEAD.
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Verb {
    /// Returns whether a request with this method is meant.
    pub(crate) fn accepts(self, method: &Method) -> bool {
        match self {
            Self::Get => method == Method::GET || method == Method::HEAD,
            Self::Post => method == Method::POST,
            Self::Put => method == Method::PUT,
            Self::Patch => method == Method::PATCH,
            Self::Delete => method == Method::DELETE,
        }
    }

    /// Returns the name of the operation in a path item of the API's documents.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Post => "post",
            Self::Put => "put",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// How an endpoint behaves in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Places an order. Its steps have time limits of their own.
    Order,
    /// Appends a command to the log. Its steps have time limits of their own.
    Command,
    /// Reads from memory or from the services.
    Query,
    /// Changes what an operator may change.
    Change,
    /// Sends changes of an order as they happen.
    Stream,
    /// Serves from memory.
    Static,
}

impl Kind {
    /// Returns the time limit, and the refusal after it.
    pub(crate) fn limit(self) -> Option<(Duration, Code)> {
        match self {
            Self::Query => Some((QUERY_MAX, Code::DatabaseUnavailable)),
            Self::Change => Some((CHANGE_MAX, Code::OutcomeUnknown)),
            Self::Order | Self::Command | Self::Stream | Self::Static => None,
        }
    }

    /// Returns whether the answers rest on the sales: until these have been read, the public listener refuses.
    pub(crate) fn rests_on_sales(self) -> bool {
        self != Self::Static
    }

    /// Returns the outcome of a success, for metrics.
    pub(crate) fn success(self) -> &'static str {
        match self {
            Self::Order | Self::Command => outcome::ACCEPTED,
            Self::Query | Self::Change | Self::Stream | Self::Static => outcome::OK,
        }
    }
}

/// A request that has been routed to an endpoint.
pub(crate) struct Request<'a> {
    /// The method, the path, the headers, and the language.
    pub(crate) context: RequestContext<'a>,
    /// The values of the path's parameters.
    pub(crate) parameters: Parameters<'a>,
    /// The body, not read yet.
    pub(crate) body: Incoming,
    /// The connection, if the client requests another protocol.
    pub(crate) upgrade: Option<OnUpgrade>,
}

/// The future of a handler.
pub(crate) type Handling<'a> = Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send + 'a>>;

/// How an endpoint's requests are handled.
#[derive(Clone, Copy)]
pub(crate) enum Handler {
    /// Places an order. Apart from the others, so that the most frequent request needs no boxed future.
    PlaceOrder,
    /// Boxed, because a connection reserves memory for its largest future for as long as it lasts.
    Boxed(for<'a> fn(&'a Gateway, Request<'a>) -> Handling<'a>),
}

impl Endpoint {
    /// Also serves the paths that begin with `prefix`.
    pub(crate) const fn with_files(mut self, prefix: &'static str) -> Self {
        self.files = Some(prefix);
        self
    }

    /// Counts requests under another label than the operation's name.
    pub(crate) const fn with_label(mut self, label: &'static str) -> Self {
        self.label = label;
        self
    }

    /// Returns whether the endpoint serves this file.
    pub(crate) fn has_file(&self, path: &str) -> bool {
        self.files.is_some_and(|prefix| path.starts_with(prefix))
    }
}

/// Declares an endpoint.
///
/// ```text
/// endpoint!(
///     Get("/v1/sales/{sale}"),
///     sale(SALES, Anyone, Query),
///     |gateway, request, sale| sale::show(gateway.sale_reads(), sale, request.context.head),
///     |operation| operation.does("Get a sale", "…").answers::<SaleBody>(200, "The sale."),
/// )
/// ```
///
/// The method and the path; the operation's name with its group, who may call, and how it behaves in time; the handler;
/// the description. The handler's parameters after `request` are those of the path, by name and in order; others do not
/// compile.
macro_rules! endpoint {
    (
        $verb:ident($path:expr),
        $name:ident($tag:expr, $access:ident, $kind:ident),
        |$gateway:pat_param, $request:ident $(, $parameter:ident)*| $handling:expr,
        $describe:expr $(,)?
    ) => {
        $crate::endpoints::endpoint::Endpoint {
            verb: $crate::endpoints::endpoint::Verb::$verb,
            path: $crate::endpoints::path::Path::parse($path, &[$(stringify!($parameter)),*]),
            files: None,
            name: stringify!($name),
            label: stringify!($name),
            tag: $tag,
            access: $crate::http::authenticate::Access::$access,
            kind: $crate::endpoints::endpoint::Kind::$kind,
            handler: $crate::endpoints::endpoint::Handler::Boxed(|$gateway, $request| {
                let [$($parameter),*] = $request.parameters.values();
                Box::pin($handling)
            }),
            describe: $describe,
        }
    };
}

pub(super) use endpoint;
