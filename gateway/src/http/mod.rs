//! The HTTP tools that every endpoint shares: reading a request and writing a response.
//!
//! | file | what it does |
//! |---|---|
//! | [`request_context`] | what a handler receives beside its dependencies |
//! | [`authenticate`] | identifies the caller |
//! | [`request_body`] | reads a JSON body within its limits, and the header `Idempotency-Key` |
//! | [`query_string`] | reads and decodes query parameters |
//! | [`pagination`] | the parameters `limit` and `cursor` |
//! | [`language`] | negotiates the language of texts for people |
//! | [`response`] | the response type |
//! | [`problem`] | RFC 9457 problems, and the conversions from errors into them |
//! | [`json`] | a response with a JSON body |
//! | [`cors`] | cross-origin requests from browsers |
//! | [`static_page`] | the files of the pages for people |

pub mod authenticate;
pub mod cors;
pub mod json;
pub mod language;
pub mod pagination;
pub mod problem;
pub mod query_string;
pub mod request_body;
pub mod request_context;
pub mod response;
pub mod static_page;
