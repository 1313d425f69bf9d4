//! Pagination by cursor: the parameters `limit` and `cursor` of lists.

use contract::problem::Code;
use hyper::http::request::Parts;

use crate::http::problem::Problem;
use crate::http::query_string::parameter;

/// Longest cursor, in digits: any number of this length fits into 63 bits.
pub(crate) const CURSOR_DIGITS_MAX: usize = 18;

/// Which rows of a list are requested, newest first.
pub(crate) struct Page {
    /// Most rows to return.
    pub(crate) limit: i64,
    /// Only rows below this cursor; `None`: from the newest row.
    pub(crate) before: Option<i64>,
}

impl Page {
    /// Reads the parameters `limit` and `cursor`.
    pub(crate) fn parse(head: &Parts, default: i64, max: i64) -> Result<Self, Problem> {
        let malformed = |text: String| Problem::because(Code::MalformedRequest, text);
        let limit =
            match parameter(head, "limit")? {
                None => default,
                Some(text) => text.parse().ok().filter(|n| (1..=max).contains(n)).ok_or_else(|| {
                    malformed(format!("The query parameter limit must be from 1 to {max}."))
                })?,
            };
        let before = parameter(head, "cursor")?.map(|text| {
            let digits =
                (1..=CURSOR_DIGITS_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            let detail = "The query parameter cursor must be the next_cursor of the previous page.";
            text.parse().ok().filter(|_| digits).ok_or_else(|| malformed(detail.into()))
        });
        Ok(Self { limit, before: before.transpose()? })
    }
}
