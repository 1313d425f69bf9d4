//! The endpoints of both listeners. Each is declared once: method, path, access, handler, refusals and description.
//! Routing, `Allow`, the labels of metrics and the API's documents are derived from the declaration. A new endpoint needs
//! its handler, its declaration here, and its test.
//!
//! | file | contents |
//! |---|---|
//! | [`endpoint`](mod@endpoint) | what a declaration contains |
//! | [`path`] | path patterns |
//! | [`routing`] | finds the endpoint of a request |
//! | `orders`, `sales`, `live_updates` | the public listener |
//! | `admin_sales`, `admin_orders`, `monitoring` | the admin listener |
//! | `pages` | pages for people and the API's documents, on both |

mod admin_orders;
mod admin_sales;
pub(crate) mod endpoint;
mod live_updates;
mod monitoring;
mod orders;
mod pages;
pub(crate) mod path;
pub(crate) mod routing;
mod sales;
#[cfg(test)]
mod tests;

use self::endpoint::Endpoint;
use self::routing::Endpoints;
use crate::openapi::document::{self, Described};

/// The endpoints of the public listener, the most frequent ones first.
pub(crate) static PUBLIC: &Endpoints =
    &[orders::ENDPOINTS, sales::ENDPOINTS, live_updates::ENDPOINTS, pages::PUBLIC];

/// The endpoints of the admin listener that are counted as requests.
pub(crate) static ADMIN: &Endpoints = &[admin_sales::ENDPOINTS, admin_orders::ENDPOINTS, pages::ADMIN];

/// The other endpoints of the admin listener.
pub(crate) static MONITORING: &Endpoints = &[monitoring::ENDPOINTS];

/// Returns the API's document of the public listener.
pub(crate) fn public_document() -> String {
    document::encode(&document::public_document(&described(PUBLIC, true)))
}

/// Returns the API's document of both listeners.
pub(crate) fn complete_document() -> String {
    let admin: Vec<_> = described(ADMIN, false).into_iter().chain(described(MONITORING, false)).collect();
    document::encode(&document::complete_document(&described(PUBLIC, true), &admin))
}

/// Describes the endpoints of a listener. `is_public`: the listener refuses requests until the sales have been read.
fn described(endpoints: &Endpoints, is_public: bool) -> Vec<Described> {
    let describe = |endpoint: &Endpoint| Described {
        method: endpoint.verb.as_str(),
        path: endpoint.path.text,
        name: endpoint.name,
        tag: endpoint.tag,
        access: endpoint.access,
        may_be_starting: is_public && endpoint.kind.rests_on_sales(),
        describe: endpoint.describe,
    };
    endpoints.iter().copied().flatten().map(describe).collect()
}
