//! What a customer was told: the 202 or the problem document, read from the body.

use contract::ids::OrderId;
use serde::Deserialize;

use crate::pool::Answered;

/// The members of a 202 and of a refusal, in one shape; what is absent is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // as on the wire
pub struct Answer {
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

/// The code written for a request that got no answer, or one that is not ours.
pub const NO_ANSWER: &str = "no_answer";
/// The code written for an answer whose body is not what its status promises.
pub const UNREADABLE: &str = "unreadable_answer";

impl Answer {
    /// Reads an answer. A body that is not JSON becomes the code [`UNREADABLE`].
    pub fn read(answered: &Answered) -> Self {
        Self::parse(
            answered.head.status,
            answered.head.replayed,
            answered.head.retry_after_seconds,
            &answered.body,
        )
    }

    /// The same from its parts.
    pub fn parse(status: u16, replayed: bool, retry_after_seconds: Option<u32>, body: &[u8]) -> Self {
        let mut answer: Self = serde_json::from_slice(body).unwrap_or_default();
        let told = if status == 202 { answer.order_id.is_some() } else { answer.code.is_some() };
        if !told {
            answer.code = Some(UNREADABLE.into());
        }
        Self { status, replayed, retry_after_seconds, ..answer }
    }

    /// No answer: the client hung up, or the connection broke.
    pub fn none() -> Self {
        Self { code: Some(NO_ANSWER.into()), ..Self::default() }
    }

    /// The order is in the log.
    pub fn is_accepted(&self) -> bool {
        self.status == 202
    }

    /// The server may have taken stock or not: only the same key again can tell. Also where nothing
    /// was taken but the answer says "again".
    pub fn wants_retry(&self) -> bool {
        matches!(self.status, 0 | 429 | 503)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_answer_are_read() {
        let accepted =
            br#"{"order_id":"01890a5d-ac96-774b-bcce-b302099a8057","sale_id":"s","status":"processing",
            "sequence":7,"subtotal":10,"discount":1,"delivery_fee":2,"total":11,"currency":"KRW"}"#;
        let answer = Answer::parse(202, true, None, accepted);
        assert!(answer.is_accepted() && answer.replayed && answer.code.is_none());
        assert_eq!((answer.sequence, answer.total), (Some(7), Some(11)));

        let refused =
            br#"{"type":"about:blank","title":"Sold out.","status":409,"code":"sold_out","sku":"A","remaining":1}"#;
        let answer = Answer::parse(409, false, None, refused);
        assert_eq!(
            (answer.code.as_deref(), answer.sku.as_deref(), answer.remaining),
            (Some("sold_out"), Some("A"), Some(1))
        );
        assert_eq!(answer.status, 409);
    }

    #[test]
    fn an_answer_that_is_not_ours_is_named() {
        assert_eq!(Answer::parse(202, false, None, b"{}").code.as_deref(), Some(UNREADABLE));
        assert_eq!(Answer::parse(500, false, None, b"<html>").code.as_deref(), Some(UNREADABLE));
        assert!(Answer::none().wants_retry());
    }
}
