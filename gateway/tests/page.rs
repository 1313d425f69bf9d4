//! The storefront and operator pages as a browser fetches them.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

use reqwest::{Method, RequestBuilder, Response};
use testkit::System;
use testkit::system::Shape;

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

/// An HTTP client that sees the bytes as sent. The client of other tests may request gzip and decompress it
/// transparently.
struct Browser {
    http: reqwest::Client,
    address: String,
}

impl Browser {
    fn connect(system: &System, gateway: usize) -> Self {
        testkit::tls::install_crypto_provider();
        let http = reqwest::Client::builder().no_gzip().build().unwrap();
        Self { http, address: system.gateways[gateway].0.clone() }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.address))
    }
}

fn get(browser: &Browser, path: &str) -> RequestBuilder {
    browser.request(Method::GET, path)
}

async fn code(request: RequestBuilder) -> String {
    let answer = send(request).await;
    assert_eq!(header(&answer, "content-type"), "application/problem+json");
    let problem: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    problem["code"].as_str().unwrap().to_owned()
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Returns the paths of the page's own assets.
fn assets(html: &str) -> Vec<String> {
    html.split('"').filter(|text| text.starts_with("assets/")).map(|text| format!("/{text}")).collect()
}

#[tokio::test]
async fn the_storefront_is_served_only_where_it_is_enabled() {
    let shape = Shape { gateway_args: vec!["--storefront".into()], ..Shape::default() };
    let mut system = System::start(shape).await;
    let client = Browser::connect(&system, 0);

    let index = send(get(&client, "/")).await;
    assert_eq!(index.status(), 200);
    assert_eq!(header(&index, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&index, "cache-control"), "no-cache");
    let policy = header(&index, "content-security-policy").to_owned();
    for part in ["default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(header(&index, "x-content-type-options"), "nosniff");
    assert_eq!(header(&index, "referrer-policy"), "no-referrer");
    let (tag, html) = (header(&index, "etag").to_owned(), index.text().await.unwrap());
    assert!(tag.starts_with('"'), "a strong tag: {tag}");

    // Every asset exists, is immutable, and is smaller when compressed.
    let assets = assets(&html);
    assert!(assets.iter().any(|path| path.ends_with(".js")), "{assets:?}");
    for path in &assets {
        let plain = send(get(&client, path)).await;
        assert_eq!(plain.status(), 200, "{path}");
        assert_eq!(header(&plain, "cache-control"), "public, max-age=31536000, immutable");
        assert_eq!((header(&plain, "content-encoding"), header(&plain, "vary")), ("", "Accept-Encoding"));
        let gzip = send(get(&client, path).header("Accept-Encoding", "br, gzip")).await;
        if header(&gzip, "content-encoding") == "gzip" {
            assert_ne!(header(&plain, "etag"), header(&gzip, "etag"), "{path}");
            let (plain, gzip) = (plain.bytes().await.unwrap(), gzip.bytes().await.unwrap());
            assert!(gzip.len() < plain.len(), "{path}");
        }
    }

    // A matching ETag gets 304, and a HEAD request gets the headers.
    for tags in [tag.as_str(), "\"other\", *", &format!("W/{tag}")] {
        let again = send(get(&client, "/").header("If-None-Match", tags)).await;
        assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, tag.as_str()), "{tags}");
        assert_eq!(again.bytes().await.unwrap().len(), 0);
    }
    let changed = send(get(&client, "/").header("If-None-Match", "\"other\"")).await;
    assert_eq!(changed.status(), 200);
    let head = send(client.request(Method::HEAD, "/")).await;
    assert_eq!((head.status().as_u16(), header(&head, "etag")), (200, tag.as_str()));
    assert_eq!(header(&head, "content-length"), html.len().to_string());

    // Other paths are unaffected.
    for (method, path, code) in [
        (Method::GET, "/assets/nothing.js", "not_found"),
        (Method::GET, "/assets/%2e%2e/Cargo.toml", "not_found"),
        (Method::GET, "/index.html", "not_found"),
        (Method::GET, "/anything", "not_found"),
        (Method::POST, "/", "method_not_allowed"),
    ] {
        assert_eq!(self::code(client.request(method, path)).await, code, "{path}");
    }

    // Page requests have a metric label of their own, apart from the API's.
    let metrics =
        reqwest::get(format!("{}/metrics", system.gateways[0].1)).await.unwrap().text().await.unwrap();
    assert!(metrics.contains(r#"gateway_requests_total{route="page",outcome="ok"}"#), "{metrics}");

    // Without the flag, no page is served.
    system.add_gateway(&[]);
    let without = Browser::connect(&system, 1);
    testkit::until("the other gateway is up", async || {
        get(&without, "/v1/sales").send().await.is_ok() // the listener is not open at first
    })
    .await;
    for path in ["/", assets[0].as_str()] {
        assert_eq!(code(get(&without, path)).await, "not_found");
    }
}

#[tokio::test]
async fn the_operators_page_is_public_on_the_admin_listener_but_its_data_is_not() {
    let system = System::start(Shape::default()).await;
    let admin = &system.gateways[0].1;
    let index = reqwest::get(format!("{admin}/")).await.unwrap();
    assert_eq!((index.status().as_u16(), header(&index, "cache-control")), (200, "no-cache"));
    assert!(header(&index, "content-security-policy").contains("default-src 'none'"));
    for path in assets(&index.text().await.unwrap()) {
        assert_eq!(reqwest::get(format!("{admin}{path}")).await.unwrap().status(), 200, "{path}");
    }
    assert_eq!(reqwest::get(format!("{admin}/admin/v1/sales")).await.unwrap().status(), 401);
    assert_eq!(reqwest::get(format!("{admin}/anything")).await.unwrap().status(), 404);
}
