//! What a handler receives beside its dependencies.

use contract::lifecycle::Language;
use hyper::http::request::Parts;

/// One request, without its body: a handler that reads a body receives it apart, because it is read once.
#[derive(Clone, Copy)]
pub struct RequestContext<'a> {
    /// The method, the path and the headers.
    pub head: &'a Parts,
    /// The language of the response's texts for people.
    pub language: Language,
}
