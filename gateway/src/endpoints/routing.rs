//! Finds the endpoint of a request: by method and path, nothing else.

use contract::problem::Code;
use hyper::Method;

use super::endpoint::Endpoint;
use super::path::{Parameters, SplitPath};

/// The endpoints of a listener, in groups.
pub(crate) type Endpoints = [&'static [Endpoint]];

/// The endpoint of a request, and the values of its path's parameters.
#[derive(Clone, Copy)]
pub(crate) struct Route<'a> {
    /// The endpoint that serves the request.
    pub(crate) endpoint: &'static Endpoint,
    /// The values in its path.
    pub(crate) parameters: Parameters<'a>,
}

/// Returns the endpoint of a request, or why there is none: the path or the method.
pub(crate) fn route<'a>(endpoints: &Endpoints, method: &Method, path: &'a str) -> Result<Route<'a>, Code> {
    let mut refusal = Code::NotFound;
    for route in matching(endpoints, path) {
        if route.endpoint.verb.accepts(method) {
            return Ok(route);
        }
        refusal = Code::MethodNotAllowed;
    }
    Err(refusal)
}

/// Returns the methods of a path, for `Allow` (RFC 9110, 15.5.6).
pub(crate) fn allowed_methods(endpoints: &Endpoints, path: &str) -> String {
    const METHODS: [Method; 6] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let is_allowed =
        |method: &&Method| matching(endpoints, path).any(|route| route.endpoint.verb.accepts(method));
    let names: Vec<_> = METHODS.iter().filter(is_allowed).map(Method::as_str).collect();
    names.join(", ")
}

/// Returns the endpoints that a path has, by any method.
fn matching<'a>(endpoints: &Endpoints, path: &'a str) -> impl Iterator<Item = Route<'a>> {
    let split = SplitPath::new(path);
    endpoints.iter().copied().flatten().filter_map(move |endpoint| {
        let parameters = match &split {
            Some(split) => endpoint.path.capture(split),
            None => None,
        };
        let parameters = parameters.or_else(|| endpoint.has_file(path).then(Parameters::none))?;
        Some(Route { endpoint, parameters })
    })
}
