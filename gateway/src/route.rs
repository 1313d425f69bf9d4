//! Which call is this: method and path, nothing else. One table for both listeners.

use contract::problem::Code;
use contract::record::Resolution;

use hyper::Method;

use crate::admin::state::Action;

/// Where both listeners tell what they can be asked, in OpenAPI.
pub const DOCUMENT: &str = "/openapi.json";

/// Where both listeners show it to people.
pub const DOCS: &str = "/docs";

/// A call of the public listener, with its path's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Public<'a> {
    Sales,
    Sale { sale: &'a str },
    Availability { sale: &'a str, sku: &'a str },
    PlaceOrder { sale: &'a str },
    MyOrders { sale: &'a str },
    Order { sale: &'a str, order: &'a str },
    OrderStatus { sale: &'a str, order: &'a str },
    OrderEvents { sale: &'a str, order: &'a str },
    OrderSocket { sale: &'a str, order: &'a str },
    CancelOrder { sale: &'a str, order: &'a str },
    Delivery { sale: &'a str, order: &'a str },
    PayOrder { sale: &'a str, order: &'a str },
    RefundOrder { sale: &'a str, order: &'a str },
    Wallet,
    PaymentCallback,
    Page,
    Document,
    Docs,
}

impl Public<'static> {
    /// Each call once, its parameters by their names.
    pub const ALL: [Self; 18] = {
        let (sale, sku, order) = ("{sale}", "{sku}", "{order}");
        [
            Self::Sales,
            Self::Sale { sale },
            Self::Availability { sale, sku },
            Self::PlaceOrder { sale },
            Self::MyOrders { sale },
            Self::Order { sale, order },
            Self::OrderStatus { sale, order },
            Self::OrderEvents { sale, order },
            Self::OrderSocket { sale, order },
            Self::CancelOrder { sale, order },
            Self::Delivery { sale, order },
            Self::PayOrder { sale, order },
            Self::RefundOrder { sale, order },
            Self::Wallet,
            Self::PaymentCallback,
            Self::Page,
            Self::Document,
            Self::Docs,
        ]
    };
}

impl<'a> Public<'a> {
    /// By method and path.
    pub fn of(method: &Method, path: &'a str) -> Result<Self, Code> {
        let reads = method == Method::GET || method == Method::HEAD;
        if path == "/v1/wallet" {
            return if reads { Ok(Self::Wallet) } else { Err(Code::MethodNotAllowed) };
        }
        if is_page(path) {
            return if reads { Ok(Self::Page) } else { Err(Code::MethodNotAllowed) };
        }
        if path == DOCUMENT {
            return if reads { Ok(Self::Document) } else { Err(Code::MethodNotAllowed) };
        }
        if is_docs(path) {
            return if reads { Ok(Self::Docs) } else { Err(Code::MethodNotAllowed) };
        }
        if path == "/v1/payments/callback" {
            return if method == Method::POST {
                Ok(Self::PaymentCallback)
            } else {
                Err(Code::MethodNotAllowed)
            };
        }
        let mut parts = path.strip_prefix("/v1/sales").ok_or(Code::NotFound)?.split('/');
        if parts.next() != Some("") {
            return Err(Code::NotFound); // such as /v1/salesman
        }
        let parts: ([&str; 4], usize) = collect(parts).ok_or(Code::NotFound)?;
        let (read, does) = match &parts.0[..parts.1] {
            [] => (Some(Self::Sales), None),
            [sale] => (Some(Self::Sale { sale }), None),
            [sale, "orders"] => {
                (Some(Self::MyOrders { sale }), Some((Method::POST, Self::PlaceOrder { sale })))
            }
            [sale, "orders", order] => {
                let cancel = (Method::DELETE, Self::CancelOrder { sale, order });
                (Some(Self::Order { sale, order }), Some(cancel))
            }
            [sale, "orders", order, "status"] => (Some(Self::OrderStatus { sale, order }), None),
            [sale, "orders", order, "events"] => (Some(Self::OrderEvents { sale, order }), None),
            [sale, "orders", order, "ws"] => (Some(Self::OrderSocket { sale, order }), None),
            [sale, "orders", order, "delivery"] => (Some(Self::Delivery { sale, order }), None),
            [sale, "orders", order, "payment"] => {
                (None, Some((Method::POST, Self::PayOrder { sale, order })))
            }
            [sale, "orders", order, "refund"] => {
                (None, Some((Method::POST, Self::RefundOrder { sale, order })))
            }
            [sale, "items", sku, "availability"] => (Some(Self::Availability { sale, sku }), None),
            _ => return Err(Code::NotFound),
        };
        let found = match does {
            Some((does, call)) if *method == does => Some(call),
            _ => read.filter(|_| reads),
        };
        found.ok_or(Code::MethodNotAllowed)
    }

    /// The label of metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Sales => "sales",
            Self::Sale { .. } => "sale",
            Self::Availability { .. } => "availability",
            Self::PlaceOrder { .. } => "place_order",
            Self::MyOrders { .. } => "my_orders",
            Self::Order { .. } => "order",
            Self::OrderStatus { .. } => "order_status",
            Self::OrderEvents { .. } => "order_events",
            Self::OrderSocket { .. } => "order_socket",
            Self::CancelOrder { .. } => "cancel_order",
            Self::Delivery { .. } => "delivery",
            Self::PayOrder { .. } => "pay_order",
            Self::RefundOrder { .. } => "refund_order",
            Self::Wallet => "wallet",
            Self::PaymentCallback => "payment_callback",
            Self::Page => "page",
            Self::Document => "document",
            Self::Docs => "docs",
        }
    }
}

/// Where the files of a page are, on either listener.
fn is_page(path: &str) -> bool {
    path == "/" || path.starts_with("/assets/")
}

/// Where the files of the page at [`DOCS`] are, on either listener.
fn is_docs(path: &str) -> bool {
    path.strip_prefix(DOCS).is_some_and(|rest| rest.is_empty() || rest.starts_with("/assets/"))
}

/// The methods that a path of either table has, for `Allow` (RFC 9110, 15.5.6).
pub fn allowed(of: impl Fn(&Method) -> bool) -> String {
    const METHODS: [Method; 6] =
        [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let names: Vec<_> = METHODS.iter().filter(|method| of(method)).map(Method::as_str).collect();
    names.join(", ")
}

/// Path segments into an array; `None` when there are more than fit.
fn collect<'a, const N: usize>(parts: impl Iterator<Item = &'a str>) -> Option<([&'a str; N], usize)> {
    let mut all = [""; N];
    let mut count = 0;
    for part in parts {
        *all.get_mut(count)? = part;
        count += 1;
    }
    Some((all, count))
}

/// A call of the admin API, below `/admin/v1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Admin<'a> {
    Overview,
    Sales,
    PutSale { sale: &'a str },
    Act { sale: &'a str, action: Action },
    Inventory { sale: &'a str },
    Report { sale: &'a str },
    Orders { sale: &'a str },
    Order { sale: &'a str, order: &'a str },
    Deliver { sale: &'a str, order: &'a str },
    Credit { customer: &'a str },
    DeadLetters,
    Decide { letter: &'a str, verdict: Resolution },
    Page,
    Document,
    Docs,
}

impl Admin<'static> {
    /// Each call once, its parameters by their names.
    pub const ALL: [Self; 20] = {
        let (sale, order, customer, letter) = ("{sale}", "{order}", "{customer}", "{letter}");
        [
            Self::Overview,
            Self::Sales,
            Self::PutSale { sale },
            Self::Act { sale, action: Action::Open },
            Self::Act { sale, action: Action::Pause },
            Self::Act { sale, action: Action::Resume },
            Self::Act { sale, action: Action::Close },
            Self::Act { sale, action: Action::Rebuild },
            Self::Inventory { sale },
            Self::Report { sale },
            Self::Orders { sale },
            Self::Order { sale, order },
            Self::Deliver { sale, order },
            Self::Credit { customer },
            Self::DeadLetters,
            Self::Decide { letter, verdict: Resolution::Replay },
            Self::Decide { letter, verdict: Resolution::Discard },
            Self::Page,
            Self::Document,
            Self::Docs,
        ]
    };
}

impl<'a> Admin<'a> {
    /// By method and path.
    pub fn of(method: &Method, path: &'a str) -> Result<Self, Code> {
        let reads = method == Method::GET || method == Method::HEAD;
        if is_page(path) {
            return if reads { Ok(Self::Page) } else { Err(Code::MethodNotAllowed) };
        }
        if path == DOCUMENT {
            return if reads { Ok(Self::Document) } else { Err(Code::MethodNotAllowed) };
        }
        if is_docs(path) {
            return if reads { Ok(Self::Docs) } else { Err(Code::MethodNotAllowed) };
        }
        let parts = path.strip_prefix("/admin/v1/").ok_or(Code::NotFound)?.split('/');
        let (parts, count): ([&str; 5], usize) = collect(parts).ok_or(Code::NotFound)?;
        let (route, expected) = match &parts[..count] {
            ["overview"] => (Self::Overview, Method::GET),
            ["sales"] => (Self::Sales, Method::GET),
            ["sales", sale] => (Self::PutSale { sale }, Method::PUT),
            ["sales", sale, "inventory"] => (Self::Inventory { sale }, Method::GET),
            ["sales", sale, "report"] => (Self::Report { sale }, Method::GET),
            ["sales", sale, "inventory", "sync"] => {
                (Self::Act { sale, action: Action::Rebuild }, Method::POST)
            }
            ["sales", sale, "orders"] => (Self::Orders { sale }, Method::GET),
            ["sales", sale, "orders", order] => (Self::Order { sale, order }, Method::GET),
            ["sales", sale, "orders", order, "delivery"] => (Self::Deliver { sale, order }, Method::PATCH),
            ["wallets", customer, "credit"] => (Self::Credit { customer }, Method::POST),
            ["dead-letters"] => (Self::DeadLetters, Method::GET),
            ["dead-letters", letter, "replay"] => {
                (Self::Decide { letter, verdict: Resolution::Replay }, Method::POST)
            }
            ["dead-letters", letter, "discard"] => {
                (Self::Decide { letter, verdict: Resolution::Discard }, Method::POST)
            }
            ["sales", sale, action] => {
                let action = match *action {
                    "open" => Action::Open,
                    "pause" => Action::Pause,
                    "resume" => Action::Resume,
                    "close" => Action::Close,
                    "rebuild" => Action::Rebuild,
                    _ => return Err(Code::NotFound),
                };
                (Self::Act { sale, action }, Method::POST)
            }
            _ => return Err(Code::NotFound),
        };
        let method = if method == Method::HEAD { &Method::GET } else { method };
        if *method == expected { Ok(route) } else { Err(Code::MethodNotAllowed) }
    }

    /// The label of metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Overview => "admin_overview",
            Self::Sales => "admin_sales",
            Self::PutSale { .. } => "admin_put_sale",
            Self::Act { .. } => "admin_act",
            Self::Inventory { .. } => "admin_inventory",
            Self::Report { .. } => "admin_report",
            Self::Orders { .. } => "admin_orders",
            Self::Order { .. } => "admin_order",
            Self::Deliver { .. } => "admin_deliver",
            Self::Credit { .. } => "admin_credit",
            Self::DeadLetters => "admin_dead_letters",
            Self::Decide { .. } => "admin_decide",
            Self::Page => "admin_page",
            Self::Document => "admin_document",
            Self::Docs => "admin_docs",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of an enum's variants, from this file.
    fn variants(of: &str) -> Vec<&'static str> {
        let source = include_str!("route.rs").split_once(of).unwrap().1;
        let body = source.split_once("\n}").unwrap().0;
        let name = |line: &'static str| line.trim().split(|c: char| !c.is_alphanumeric()).next();
        body.lines().skip(1).filter_map(name).collect()
    }

    #[test]
    fn no_call_is_left_out_of_the_lists_of_all() {
        let first = |shown: String| shown.split(' ').next().unwrap().to_owned();
        let public: Vec<_> = Public::ALL.iter().map(|call| first(format!("{call:?}"))).collect();
        assert_eq!(public, variants("pub enum Public<'a> {"));
        let mut admin: Vec<_> = Admin::ALL.iter().map(|call| first(format!("{call:?}"))).collect();
        admin.dedup();
        assert_eq!(admin, variants("pub enum Admin<'a> {"));
        let acts = Admin::ALL.iter().filter(|call| matches!(call, Admin::Act { .. })).count();
        assert_eq!(acts, 5, "each action has its path");
    }

    #[test]
    fn paths_lead_to_calls_and_wrong_methods_are_told_from_wrong_paths() {
        let of = Public::of;
        assert_eq!(of(&Method::GET, "/v1/sales"), Ok(Public::Sales));
        assert_eq!(of(&Method::POST, "/v1/sales/s/orders"), Ok(Public::PlaceOrder { sale: "s" }));
        assert_eq!(of(&Method::GET, "/v1/sales/s/orders"), Ok(Public::MyOrders { sale: "s" }));
        assert_eq!(
            of(&Method::GET, "/v1/sales/s/orders/o/status"),
            Ok(Public::OrderStatus { sale: "s", order: "o" })
        );
        assert_eq!(
            of(&Method::GET, "/v1/sales/s/orders/o/events"),
            Ok(Public::OrderEvents { sale: "s", order: "o" })
        );
        assert_eq!(
            of(&Method::GET, "/v1/sales/s/orders/o/ws"),
            Ok(Public::OrderSocket { sale: "s", order: "o" })
        );
        assert_eq!(
            of(&Method::DELETE, "/v1/sales/s/orders/o"),
            Ok(Public::CancelOrder { sale: "s", order: "o" })
        );
        assert_eq!(of(&Method::PUT, "/v1/sales/s/orders/o"), Err(Code::MethodNotAllowed));
        assert_eq!(of(&Method::DELETE, "/v1/sales/s"), Err(Code::MethodNotAllowed));
        assert_eq!(of(&Method::POST, "/v1/sales/s"), Err(Code::MethodNotAllowed));
        assert_eq!(of(&Method::GET, "/"), Ok(Public::Page));
        assert_eq!(of(&Method::HEAD, "/assets/x/shop.js"), Ok(Public::Page));
        assert_eq!(of(&Method::POST, "/"), Err(Code::MethodNotAllowed));
        for path in [
            "/assets",
            "/index.html",
            "/v1",
            "/v1/salesman",
            "/v1/sales/s/x",
            "/v1/sales/s/orders/o/status/x",
        ] {
            assert_eq!(of(&Method::GET, path), Err(Code::NotFound), "{path}");
        }
        assert_eq!(
            Admin::of(&Method::POST, "/admin/v1/sales/s/inventory/sync"),
            Ok(Admin::Act { sale: "s", action: Action::Rebuild })
        );
        assert_eq!(Admin::of(&Method::GET, "/"), Ok(Admin::Page));
        assert_eq!(Admin::of(&Method::GET, "/admin/v1/sales/s/open"), Err(Code::MethodNotAllowed));
        assert_eq!(Admin::of(&Method::POST, "/admin/v1/sales/s/explode"), Err(Code::NotFound));
    }
}
