//! HTTP requests rendered as bytes.

use contract::ids::OrderId;
use contract::order::{OrderRequest, RequestedLine};

/// Renders `POST /v1/sales/{sale}/orders` with a development identity.
pub fn order(host: &str, sale: &str, customer: &str, key: &str, body: &str) -> Vec<u8> {
    post_order(host, sale, Some(customer), Some(key), "application/json", body)
}

/// Renders `POST /v1/sales/{sale}/orders` where a malformed request can omit or change the headers.
pub fn post_order(
    host: &str,
    sale: &str,
    customer: Option<&str>,
    key: Option<&str>,
    content_type: &str,
    body: &str,
) -> Vec<u8> {
    let mut head = format!("POST /v1/sales/{sale}/orders HTTP/1.1\r\nHost: {host}\r\n");
    if let Some(customer) = customer {
        head.push_str(&format!("Authorization: Bearer dev:{customer}\r\n"));
    }
    if let Some(key) = key {
        head.push_str(&format!("Idempotency-Key: {key}\r\n"));
    }
    head.push_str(&format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    head.into_bytes()
}

/// Renders `DELETE /v1/sales/{sale}/orders/{order}`.
pub fn cancel(host: &str, sale: &str, customer: &str, order: OrderId) -> Vec<u8> {
    for_order(host, "DELETE", (sale, customer, order), "", "")
}

/// Renders a request about a customer's order. `suffix` is `/payment`, `/refund`, `/status`, or empty for the
/// order itself.
pub fn for_order(
    host: &str,
    method: &str,
    (sale, customer, order): (&str, &str, OrderId),
    suffix: &str,
    body: &str,
) -> Vec<u8> {
    let mut head = format!(
        "{method} /v1/sales/{sale}/orders/{order}{suffix} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer dev:{customer}\r\n"
    );
    if !body.is_empty() {
        head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    head.push_str(body);
    head.into_bytes()
}

/// Renders `POST /admin/v1/wallets/{customer}/credit`.
pub fn credit(host: &str, customer: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "POST /admin/v1/wallets/{customer}/credit HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer dev-admin\r\n\
         Idempotency-Key: {key}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Renders `POST /v1/sales/{sale}/orders/{order}/payment` with a card.
pub fn pay_by_card(host: &str, sale: &str, customer: &str, order: OrderId) -> Vec<u8> {
    let body = r#"{"method":"card","token":"tok_approve"}"#;
    for_order(host, "POST", (sale, customer, order), "/payment", body)
}

/// Renders a request to the admin listener.
pub fn admin(host: &str, method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer dev-admin\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Renders a `GET` without an identity.
pub fn get(host: &str, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
}

/// Renders a `GET` with a bearer token.
pub fn get_with_token(host: &str, path: &str, token: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n").into_bytes()
}

/// Returns an order of these lines, as `(sku, quantity)`.
pub fn order_with_lines(lines: &[(&str, i64)]) -> OrderRequest {
    OrderRequest {
        items: lines
            .iter()
            .map(|(sku, quantity)| RequestedLine { sku: (*sku).to_owned(), quantity: *quantity })
            .collect(),
        discount_policy_id: None,
        expected_total: None,
        fulfilment: None,
        shipping_address: None,
        payment: None,
    }
}

/// A rendered order request whose customer and key end with digits of a fixed width, so that the next
/// customer's request differs in a few bytes only.
#[derive(Debug, Clone)]
pub struct OrderTemplate {
    bytes: Vec<u8>,
    customer_at: usize,
    key_at: usize,
}

impl OrderTemplate {
    /// The number of digits of a customer's number.
    pub const DIGITS: usize = 10;

    /// Renders the template. `prefix` precedes the digits in the customer's name and in the key.
    pub fn new(host: &str, sale: &str, prefix: &str, body: &str) -> Self {
        let blank = "0".repeat(Self::DIGITS);
        let name = format!("{prefix}{blank}");
        let bytes = order(host, sale, &name, &name, body);
        let after = |marker: &str| {
            let marker = format!("{marker}{prefix}");
            let at = bytes.windows(marker.len()).position(|window| window == marker.as_bytes());
            at.map_or(0, |at| at + marker.len()) // both markers are written by `order`
        };
        let (customer_at, key_at) = (after("Bearer dev:"), after("Idempotency-Key: "));
        Self { bytes, customer_at, key_at }
    }

    /// Returns the request of a customer.
    pub fn for_customer(&mut self, customer: u64) -> &[u8] {
        let mut digits = [b'0'; Self::DIGITS];
        let mut rest = customer;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        self.bytes[self.customer_at..][..Self::DIGITS].copy_from_slice(&digits);
        self.bytes[self.key_at..][..Self::DIGITS].copy_from_slice(&digits);
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_returns_the_bytes_that_rendering_returns() {
        let body = r#"{"items":[{"sku":"A","quantity":1}]}"#;
        let mut template = OrderTemplate::new("h:1", "s", "c-", body);
        for n in [0u64, 7, 1_234_567_890] {
            let name = format!("c-{n:010}");
            assert_eq!(template.for_customer(n), order("h:1", "s", &name, &name, body));
        }
    }

    #[test]
    fn a_request_about_an_order_has_content_headers_only_with_a_body() {
        let order: OrderId = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let text = |method, suffix, body| {
            String::from_utf8(for_order("h:1", method, ("s", "c", order), suffix, body)).unwrap()
        };
        assert_eq!(
            text("DELETE", "", ""),
            "DELETE /v1/sales/s/orders/01890a5d-ac96-774b-bcce-b302099a8057 HTTP/1.1\r\nHost: h:1\r\n\
             Authorization: Bearer dev:c\r\n\r\n"
        );
        let paying = text("POST", "/payment", "{}");
        assert!(paying.starts_with("POST /v1/sales/s/orders/01890a5d-ac96-774b-bcce-b302099a8057/payment "));
        assert!(paying.ends_with("Content-Length: 2\r\n\r\n{}"), "{paying}");
    }

    #[test]
    fn a_malformed_request_can_omit_key_and_identity() {
        let bytes = post_order("h", "s", None, None, "text/plain", "x");
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("Authorization") && !text.contains("Idempotency-Key"), "{text}");
        assert!(text.ends_with("Content-Length: 1\r\n\r\nx"), "{text}");
    }
}
