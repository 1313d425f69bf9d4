use contract::problem::Code;
use hyper::Method;

use super::routing::{allowed_methods, route};
use super::*;

/// Returns the name of the endpoint and the values of its parameters.
fn routed<'a>(
    endpoints: &Endpoints,
    method: Method,
    path: &'a str,
) -> Result<(&'static str, [&'a str; 2]), Code> {
    let route = route(endpoints, &method, path)?;
    Ok((route.endpoint.name, route.parameters.values()))
}

#[test]
fn paths_lead_to_endpoints_and_a_wrong_method_differs_from_a_wrong_path() {
    let public = |method, path| routed(PUBLIC, method, path);
    for (method, path, name, parameters) in [
        (Method::GET, "/v1/sales", "sales", ["", ""]),
        (Method::GET, "/v1/sales/s", "sale", ["s", ""]),
        (Method::GET, "/v1/sales/", "sale", ["", ""]),
        (Method::HEAD, "/v1/sales/s/items/A/availability", "availability", ["s", "A"]),
        (Method::POST, "/v1/sales/s/orders", "place_order", ["s", ""]),
        (Method::GET, "/v1/sales/s/orders", "my_orders", ["s", ""]),
        (Method::GET, "/v1/sales/s/orders/o", "order", ["s", "o"]),
        (Method::DELETE, "/v1/sales/s/orders/o", "cancel_order", ["s", "o"]),
        (Method::GET, "/v1/sales/s/orders/o/status", "order_status", ["s", "o"]),
        (Method::GET, "/v1/sales/s/orders/o/events", "order_events", ["s", "o"]),
        (Method::GET, "/v1/sales/s/orders/o/ws", "order_socket", ["s", "o"]),
        (Method::GET, "/v1/sales/s/orders/o/delivery", "delivery", ["s", "o"]),
        (Method::POST, "/v1/sales/s/orders/o/payment", "pay_order", ["s", "o"]),
        (Method::POST, "/v1/sales/s/orders/o/refund", "refund_order", ["s", "o"]),
        (Method::GET, "/v1/wallet", "wallet", ["", ""]),
        (Method::POST, "/v1/payments/callback", "payment_callback", ["", ""]),
        (Method::GET, "/", "page", ["", ""]),
        (Method::HEAD, "/assets/x/y/z/shop.js", "page", ["", ""]),
        (Method::GET, "/openapi.json", "document", ["", ""]),
        (Method::GET, "/docs", "docs", ["", ""]),
        (Method::GET, "/docs/assets/x/docs.js", "docs", ["", ""]),
    ] {
        assert_eq!(public(method, path), Ok((name, parameters)), "{path}");
    }
    for (method, path) in [
        (Method::PUT, "/v1/sales/s/orders/o"),
        (Method::DELETE, "/v1/sales/s"),
        (Method::POST, "/v1/sales/s"),
        (Method::GET, "/v1/sales/s/orders/o/payment"),
        (Method::GET, "/v1/payments/callback"),
        (Method::POST, "/"),
        (Method::POST, "/assets/shop.js"),
        (Method::PUT, "/openapi.json"),
    ] {
        assert_eq!(public(method, path), Err(Code::MethodNotAllowed), "{path}");
    }
    for path in [
        "",
        "*",
        "/assets",
        "/index.html",
        "/docs/",
        "/docs/index.html",
        "/documents",
        "/v1",
        "/v1/salesman",
        "/v1/wallet/",
        "/v1/sales/s/x",
        "/v1/sales/s/orders/o/status/x",
        "/1/2/3/4/5/6/7/8/9",
        "/admin/v1/sales",
    ] {
        assert_eq!(public(Method::GET, path), Err(Code::NotFound), "{path}");
    }
    let admin = |method, path| routed(ADMIN, method, path);
    for (method, path, name, parameters) in [
        (Method::HEAD, "/admin/v1/overview", "admin_overview", ["", ""]),
        (Method::PUT, "/admin/v1/sales/s", "admin_put_sale", ["s", ""]),
        (Method::POST, "/admin/v1/sales/s/rebuild", "admin_rebuild", ["s", ""]),
        (Method::POST, "/admin/v1/sales/s/inventory/sync", "admin_sync", ["s", ""]),
        (Method::GET, "/admin/v1/sales/s/inventory", "admin_inventory", ["s", ""]),
        (Method::PATCH, "/admin/v1/sales/s/orders/o/delivery", "admin_deliver", ["s", "o"]),
        (Method::POST, "/admin/v1/dead-letters/7/discard", "admin_discard", ["7", ""]),
        (Method::GET, "/", "admin_page", ["", ""]),
    ] {
        assert_eq!(admin(method, path), Ok((name, parameters)), "{path}");
    }
    assert_eq!(admin(Method::GET, "/admin/v1/sales/s/open"), Err(Code::MethodNotAllowed));
    assert_eq!(admin(Method::POST, "/admin/v1/sales/s/explode"), Err(Code::NotFound));
    assert_eq!(admin(Method::GET, "/admin/v1/"), Err(Code::NotFound));
}

#[test]
fn allow_lists_the_methods_of_a_path() {
    for (path, methods) in [
        ("/v1/sales", "GET, HEAD"),
        ("/v1/sales/s/orders", "GET, HEAD, POST"),
        ("/v1/sales/s/orders/o", "GET, HEAD, DELETE"),
        ("/v1/sales/s/orders/o/payment", "POST"),
        ("/assets/x/shop.js", "GET, HEAD"),
    ] {
        assert_eq!(allowed_methods(PUBLIC, path), methods, "{path}");
    }
    assert_eq!(allowed_methods(ADMIN, "/admin/v1/sales/s"), "PUT");
    assert_eq!(allowed_methods(MONITORING, "/metrics"), "GET, HEAD");
}

/// Boards and alerts select requests by these labels.
#[test]
fn the_labels_of_metrics_are_those_that_boards_and_alerts_use() {
    let labels = |endpoints: &Endpoints| {
        let mut labels: Vec<_> = endpoints.iter().copied().flatten().map(|endpoint| endpoint.label).collect();
        labels.sort_unstable();
        labels.dedup();
        labels.join(" ")
    };
    assert_eq!(
        labels(PUBLIC),
        "availability cancel_order delivery docs document my_orders order order_events order_socket order_status page \
         pay_order payment_callback place_order refund_order sale sales wallet"
    );
    assert_eq!(
        labels(ADMIN),
        "admin_act admin_credit admin_dead_letters admin_decide admin_deliver admin_docs admin_document \
         admin_inventory admin_order admin_orders admin_overview admin_page admin_put_sale admin_report admin_sales"
    );
}

/// A request must not reach an endpoint because another one is declared after it.
#[test]
fn no_two_endpoints_of_a_listener_serve_the_same_request() {
    for endpoints in [PUBLIC, ADMIN, MONITORING] {
        for endpoint in endpoints.iter().copied().flatten() {
            let same = endpoints.iter().copied().flatten().filter(|other| {
                let path = super::path::SplitPath::new(other.path.text).unwrap();
                other.verb == endpoint.verb && endpoint.path.capture(&path).is_some()
            });
            assert_eq!(same.count(), 1, "{}", endpoint.path.text);
        }
    }
}
