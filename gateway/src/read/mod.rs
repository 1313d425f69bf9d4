//! Queries: the sale from memory and the last look at Redis; orders from Postgres, and from Redis
//! while Postgres does not have them yet.

pub mod order;
pub mod sale;
pub mod shown;
pub mod standing;
pub mod wallet;

use std::time::Duration;

use contract::problem::Code;
use hyper::http::request::Parts;

use crate::call::Call;
use crate::respond::{Answer, Problem};
use crate::route::Public;

/// A query takes no longer, whatever hangs.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(3);

/// Answers a query.
pub async fn answer(call: Call<'_>, route: Public<'_>) -> Result<Answer, Problem> {
    let answered = tokio::time::timeout(ANSWER_MAX, dispatch(call, route)).await;
    answered.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into()))
}

async fn dispatch(call: Call<'_>, route: Public<'_>) -> Result<Answer, Problem> {
    let Call { gateway, head, .. } = call;
    match route {
        Public::Sales => sale::all(gateway, head).await,
        Public::Sale { sale } => sale::one(gateway, sale, head).await,
        Public::Availability { sale, sku } => sale::availability(gateway, sale, sku, head).await,
        Public::MyOrders { sale } => order::mine(call, sale).await,
        Public::Order { sale, order } => order::one(call, sale, order).await,
        Public::OrderStatus { sale, order } => order::status(call, sale, order).await,
        Public::Delivery { sale, order } => order::delivery(call, sale, order).await,
        Public::Wallet => wallet::show(gateway, head).await,
        Public::Page
        | Public::Document
        | Public::Docs
        | Public::PlaceOrder { .. }
        | Public::CancelOrder { .. }
        | Public::PayOrder { .. }
        | Public::RefundOrder { .. }
        | Public::PaymentCallback
        | Public::OrderEvents { .. }
        | Public::OrderSocket { .. } => Err(Code::MethodNotAllowed.into()),
    }
}

/// Longest cursor: what 63 bits always hold.
pub(crate) const CURSOR_DIGITS_MAX: usize = 18;

/// Which part of a list is asked for: rows below a cursor, newest first.
pub(crate) struct Page {
    pub(crate) limit: i64,
    /// `None`: from the newest on.
    pub(crate) before: Option<i64>,
}

/// The parameters `limit` and `cursor`.
pub(crate) fn page(head: &Parts, default: i64, max: i64) -> Result<Page, Problem> {
    let malformed = |text: String| Problem::because(Code::MalformedRequest, text);
    let limit = match parameter(head, "limit")? {
        None => default,
        Some(text) => text
            .parse()
            .ok()
            .filter(|n| (1..=max).contains(n))
            .ok_or_else(|| malformed(format!("The parameter limit is 1 to {max}.")))?,
    };
    let before = parameter(head, "cursor")?.map(|text| {
        let digits =
            (1..=CURSOR_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let why = "The parameter cursor is the next_cursor of the page before.";
        text.parse().ok().filter(|_| digits).ok_or_else(|| malformed(why.into()))
    });
    Ok(Page { limit, before: before.transpose()? })
}

/// A parameter of the query string, its first occurrence, percent-decoded.
pub(crate) fn parameter(head: &Parts, name: &str) -> Result<Option<String>, Problem> {
    let query = head.uri.query().unwrap_or_default();
    for pair in query.split('&') {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        if key == name {
            let bad =
                || Problem::because(Code::MalformedRequest, format!("The parameter {name} is not legible."));
            return percent_decode(value).map(Some).ok_or_else(bad);
        }
    }
    Ok(None)
}

fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let (high, low) = (rest.next()?, rest.next()?);
                (char::from(high).to_digit(16)? * 16 + char::from(low).to_digit(16)?) as u8
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
