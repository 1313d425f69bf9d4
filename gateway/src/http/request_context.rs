//! A call as its handler gets it.

use contract::lifecycle::Language;
use hyper::http::request::Parts;

use crate::state::Gateway;

/// What every handler is given. The body, where there is one, comes beside it: it is read once.
#[derive(Clone, Copy)]
pub struct RequestContext<'a> {
    /// What it may use.
    pub gateway: &'a Gateway,
    /// Method, path and headers.
    pub head: &'a Parts,
    /// The answer's.
    pub language: Language,
}
