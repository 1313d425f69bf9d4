//! The pages for people: the customer's on the public listener, where it is wanted, the operator's on the admin
//! listener. Static files, from memory (crate `storefront`); what they show they ask of the API, as anyone does.

use bytes::Bytes;
use contract::problem::Code;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{HeaderMap, StatusCode};
use storefront::{Asset, Encoded, Page};

use crate::http::problem::Problem;
use crate::http::response::{Response, full};

/// Scripts, styles and data come from this listener alone, nothing inline; nobody may frame the page; forms are sent
/// by scripts only.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// What pages never use, whatever is injected into them.
const PERMISSIONS: HeaderValue = HeaderValue::from_static("camera=(), microphone=(), geolocation=(), usb=()");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// A version of a file never changes.
const KEPT: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Kept, and asked about each time.
const ASKED: HeaderValue = HeaderValue::from_static("no-cache");

/// The file under this path, or 304 to whom has it.
pub(crate) fn answer(page: &Page, path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let found = page.find(path).ok_or(Code::NotFound)?;
    let asset = found.asset;
    let coded = asset.gzip.as_ref().filter(|_| takes_gzip(headers)).unwrap_or(&asset.plain);
    let known = is_known(asset, headers);
    let mut answer = Response::new(full(if known { Bytes::new() } else { coded.body.clone() }));
    if known {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = answer.headers_mut();
    headers.insert(ETAG, header(&coded.etag)?);
    headers.insert(CACHE_CONTROL, if found.immutable { KEPT } else { ASKED });
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(PERMISSIONS_POLICY, PERMISSIONS);
    headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
    if !known {
        headers.insert(CONTENT_TYPE, header(&asset.content_type)?);
        if asset.gzip.as_ref().is_some_and(|gzip| std::ptr::eq(gzip, coded)) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    Ok(answer)
}

fn header(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|_| Code::Internal.into())
}

/// Whether the client has the file, in either coding (RFC 9110, 13.1.2: weakly compared).
fn is_known(asset: &Asset, headers: &HeaderMap) -> bool {
    let tags = |coded: &Encoded, tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == coded.etag;
    let known = |tag: &str| {
        tag == "*" || tags(&asset.plain, tag) || asset.gzip.as_ref().is_some_and(|gzip| tags(gzip, tag))
    };
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').map(str::trim).any(known))
}

/// Whether the client takes gzip: named with a weight above 0, or covered by `*` (RFC 9110, 12.5.3).
fn takes_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any) = (None, None);
    for value in headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
        for offer in value.split(',') {
            let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
            let weight =
                weight.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.parse::<f32>().ok());
            let wanted = weight.is_some_and(|weight| weight > 0.0);
            match coding.trim() {
                coding if coding.eq_ignore_ascii_case("gzip") => gzip = Some(wanted),
                "*" => any = Some(wanted),
                _ => {}
            }
        }
    }
    gzip.or(any).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_those_who_take_it_only() {
        let takes = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(text));
            takes_gzip(&headers)
        };
        for text in ["gzip", "gzip, deflate, br, zstd", "GZIP;q=0.5", "br, *", "deflate;q=1, gzip ; q=0.1"] {
            assert!(takes(text), "{text}");
        }
        for text in ["", "br", "identity", "gzip;q=0", "*;q=0", "gzip;q=0, *", "gzip;q=0.0", "gzip;q=x"] {
            assert!(!takes(text), "{text}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
