//! The response to an order or a command: the 202 or the problem document, decoded from the body.

use contract::ids::OrderId;
use serde::Deserialize;

use crate::pool::HttpResponse;

/// The members of a 202 and of a refusal in one struct; absent members are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // named after the members of the body
pub struct Response {
    #[serde(skip)]
    pub status: u16,
    pub code: Option<String>,
    pub order_id: Option<OrderId>,
    pub sequence: Option<u64>,
    pub subtotal: Option<u64>,
    pub discount: Option<u64>,
    pub delivery_fee: Option<u64>,
    pub total: Option<u64>,
    pub sku: Option<String>,
    pub remaining: Option<u64>,
    pub status_url: Option<String>,
    #[serde(skip)]
    pub replayed: bool,
    #[serde(skip)]
    pub retry_after_seconds: Option<u32>,
}

/// The code recorded for a request without a response.
pub const NO_ANSWER: &str = "no_answer";
/// The code recorded for a response whose body does not match its status.
pub const UNREADABLE: &str = "unreadable_answer";

impl Response {
    /// Decodes an HTTP response. A body that is not JSON results in the code [`UNREADABLE`].
    pub fn from_http(response: &HttpResponse) -> Self {
        let head = response.head;
        Self::parse(head.status, head.replayed, head.retry_after_seconds, &response.body)
    }

    /// Decodes a response from its parts.
    pub fn parse(status: u16, replayed: bool, retry_after_seconds: Option<u32>, body: &[u8]) -> Self {
        let mut response: Self = serde_json::from_slice(body).unwrap_or_default();
        let complete = if status == 202 { response.order_id.is_some() } else { response.code.is_some() };
        if !complete {
            response.code = Some(UNREADABLE.into());
        }
        Self { status, replayed, retry_after_seconds, ..response }
    }

    /// Returns the value for a missing response: the client hung up, or the connection broke.
    pub fn missing() -> Self {
        Self { code: Some(NO_ANSWER.into()), ..Self::default() }
    }

    /// Returns whether the order is in the log.
    pub fn is_accepted(&self) -> bool {
        self.status == 202
    }

    /// Returns whether the request should be retried with the same key: the server may or may not have
    /// reserved stock, or reserved none and requested a retry.
    pub fn should_retry(&self) -> bool {
        matches!(self.status, 0 | 429 | 503)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acceptances_and_refusals_are_decoded() {
        let accepted =
            br#"{"order_id":"01890a5d-ac96-774b-bcce-b302099a8057","sale_id":"s","status":"processing",
            "sequence":7,"subtotal":10,"discount":1,"delivery_fee":2,"total":11,"currency":"KRW"}"#;
        let response = Response::parse(202, true, None, accepted);
        assert!(response.is_accepted() && response.replayed && response.code.is_none());
        assert_eq!((response.sequence, response.total), (Some(7), Some(11)));

        let refused =
            br#"{"type":"about:blank","title":"Sold out.","status":409,"code":"sold_out","sku":"A","remaining":1}"#;
        let response = Response::parse(409, false, None, refused);
        assert_eq!(
            (response.code.as_deref(), response.sku.as_deref(), response.remaining),
            (Some("sold_out"), Some("A"), Some(1))
        );
        assert_eq!(response.status, 409);
    }

    #[test]
    fn a_response_of_another_server_gets_a_code() {
        assert_eq!(Response::parse(202, false, None, b"{}").code.as_deref(), Some(UNREADABLE));
        assert_eq!(Response::parse(500, false, None, b"<html>").code.as_deref(), Some(UNREADABLE));
        assert!(Response::missing().should_retry());
    }
}
