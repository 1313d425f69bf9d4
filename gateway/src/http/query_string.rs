//! The parameters of query strings.

use std::borrow::Cow;

use contract::problem::Code;
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;

use crate::http::problem::Problem;

/// Returns the first occurrence of a query parameter, decoded.
///
/// A value that is not valid percent-encoded UTF-8 is refused rather than repaired: a search for a name that
/// the client did not mean would return the wrong rows.
pub(crate) fn parameter(head: &Parts, name: &str) -> Result<Option<String>, Problem> {
    let query = head.uri.query().unwrap_or_default();
    let value = query.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    });
    let Some(value) = value else { return Ok(None) };
    decode(value).map(Some).ok_or_else(|| {
        let detail = format!("The query parameter {name} is not valid percent-encoded UTF-8.");
        Problem::because(Code::MalformedRequest, detail)
    })
}

fn decode(value: &str) -> Option<String> {
    if has_stray_percent(value) {
        return None;
    }
    let spaced = if value.contains('+') { Cow::Owned(value.replace('+', " ")) } else { Cow::Borrowed(value) };
    percent_decode_str(&spaced).decode_utf8().ok().map(Cow::into_owned)
}

/// Returns whether a `%` is not followed by two hexadecimal digits. Decoders keep such a `%` as it is.
fn has_stray_percent(value: &str) -> bool {
    value
        .split('%')
        .skip(1)
        .any(|rest| !rest.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_and_malformed_ones_are_refused() {
        for (text, decoded) in
            [("a%20b+c", "a b c"), ("%2B", "+"), ("%ED%95%9C", "한"), ("", ""), ("%00", "\0")]
        {
            assert_eq!(decode(text).as_deref(), Some(decoded), "{text}");
        }
        for text in ["%", "%4", "%zz", "%+1", "%ff", "%ED%95", "a%2"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
