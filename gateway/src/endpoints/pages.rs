//! The pages for people and the API's documents, of both listeners.

use std::future::ready;

use contract::problem::Code;
use hyper::http::request::Parts;
use serde_json::json;
use storefront::Page;

use super::endpoint::{Endpoint, endpoint};
use crate::http::problem::Problem;
use crate::http::response::Response;
use crate::http::static_page;
use crate::openapi::operation::Operation;
use crate::state::Gateway;

const PAGES: &str = "Pages and documents";
/// Where the files of a listener's page are.
const ASSETS: &str = "/assets/";
/// Where the API's documentation for people is.
const DOCS: &str = "/docs";
/// Where the files of that page are.
const DOCS_ASSETS: &str = "/docs/assets/";
/// Where the API's document is.
const DOCUMENT: &str = "/openapi.json";

/// The pages of the public listener, if they are enabled there.
pub(super) static PUBLIC: &[Endpoint] = &[
    endpoint!(
        Get("/"),
        page(PAGES, Anyone, Static),
        |gateway, request| {
            let head = request.context.head;
            ready(enabled(gateway).and_then(|()| serve(&storefront::SHOP, head)))
        },
        |operation| describe_page(operation)
            .does("Storefront page", "The web page for customers, if the gateway is configured to serve it.")
            .refuses(&[Code::NotFound]),
    )
    .with_files(ASSETS),
    endpoint!(
        Get(DOCUMENT),
        document(PAGES, Anyone, Static),
        |gateway, _request| ready(Ok(gateway.public_document.response())),
        describe_document,
    ),
    endpoint!(
        Get(DOCS),
        docs(PAGES, Anyone, Static),
        |gateway, request| {
            let head = request.context.head;
            ready(enabled(gateway).and_then(|()| serve_docs(head)))
        },
        |operation| describe_docs(operation).refuses(&[Code::NotFound]),
    )
    .with_files(DOCS_ASSETS),
];

/// The pages of the admin listener. They hold no secret: they request their data from the API, with the operator's
/// token.
pub(super) static ADMIN: &[Endpoint] = &[
    endpoint!(
        Get("/"),
        admin_page(PAGES, Anyone, Static),
        |_, request| ready(serve(&storefront::OPERATOR, request.context.head)),
        |operation| describe_page(operation).does("Operator page", "The web page for operators."),
    )
    .with_files(ASSETS),
    endpoint!(
        Get(DOCUMENT),
        admin_document(PAGES, Anyone, Static),
        |gateway, _request| ready(Ok(gateway.complete_document.response())),
        describe_document,
    ),
    endpoint!(
        Get(DOCS),
        admin_docs(PAGES, Anyone, Static),
        |_, request| ready(serve_docs(request.context.head)),
        describe_docs,
    )
    .with_files(DOCS_ASSETS),
];

fn enabled(gateway: &Gateway) -> Result<(), Problem> {
    if gateway.has_storefront { Ok(()) } else { Err(Code::NotFound.into()) }
}

fn serve(page: &Page, head: &Parts) -> Result<Response, Problem> {
    static_page::serve(page, head.uri.path(), &head.headers)
}

/// Serves a file of the documentation by its path below [`DOCS`].
fn serve_docs(head: &Parts) -> Result<Response, Problem> {
    let path = head.uri.path().strip_prefix(DOCS).filter(|path| !path.is_empty()).unwrap_or("/");
    static_page::serve(&storefront::DOCS, path, &head.headers)
}

/// Describes an HTML page; its assets are served beside it.
fn describe_page(operation: Operation<'_>) -> Operation<'_> {
    operation.answer(200, "The page.", Some(("text/html", json!({ "type": "string" })))).conditional()
}

/// Describes the page that shows the document.
fn describe_docs(operation: Operation<'_>) -> Operation<'_> {
    describe_page(operation)
        .does("API documentation page", "Swagger UI, in which operations can be tried out.")
}

/// Describes the document itself.
fn describe_document(operation: Operation<'_>) -> Operation<'_> {
    operation.does("This document", "The OpenAPI 3.1 document of the listener's operations.").answer(
        200,
        "The document.",
        Some(("application/json", json!({ "type": "object" }))),
    )
}
