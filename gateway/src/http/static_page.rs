//! The pages for people: the storefront on the public listener, if it is enabled, and the operator's view on the
//! admin listener. They are static files in memory (crate `storefront`); their data comes from the API, as for any
//! other client.

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

/// Scripts, styles and data come from this listener alone, nothing is inline; no page may frame this one; only
/// scripts send forms.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
     connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// Features that the pages never use, whatever is injected into them.
const PERMISSIONS: HeaderValue = HeaderValue::from_static("camera=(), microphone=(), geolocation=(), usb=()");
const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
/// The policy of files whose path contains their version: they never change.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// The policy of all other files: they are cached, and revalidated each time.
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");

/// Returns the file at this path, or 304 Not Modified if the client's ETag matches.
pub(crate) fn serve(page: &Page, path: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let found = page.find(path).ok_or(Code::NotFound)?;
    let asset = found.asset;
    let coded = asset.gzip.as_ref().filter(|_| accepts_gzip(headers)).unwrap_or(&asset.plain);
    let matches = etag_matches(asset, headers);
    let mut response = Response::new(full(if matches { Bytes::new() } else { coded.body.clone() }));
    if matches {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(ETAG, header(&coded.etag)?);
    headers.insert(CACHE_CONTROL, if found.immutable { IMMUTABLE } else { REVALIDATED });
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(PERMISSIONS_POLICY, PERMISSIONS);
    headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
    if !matches {
        headers.insert(CONTENT_TYPE, header(&asset.content_type)?);
        if asset.gzip.as_ref().is_some_and(|gzip| std::ptr::eq(gzip, coded)) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
    }
    Ok(response)
}

fn header(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|_| Code::Internal.into())
}

/// Returns whether the client has the file, in either coding (RFC 9110, 13.1.2: weak comparison).
fn etag_matches(asset: &Asset, headers: &HeaderMap) -> bool {
    let names = |coded: &Encoded, tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == coded.etag;
    let matches = |tag: &str| {
        tag == "*" || names(&asset.plain, tag) || asset.gzip.as_ref().is_some_and(|gzip| names(gzip, tag))
    };
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.split(',').map(str::trim).any(matches))
}

/// Returns whether the client accepts gzip: by name with a weight above 0, or by `*` (RFC 9110, 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let (mut gzip, mut any) = (None, None);
    for value in headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()) {
        for offer in value.split(',') {
            let (coding, weight) = offer.split_once(';').unwrap_or((offer, ""));
            let weight =
                weight.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.parse::<f32>().ok());
            let accepted = weight.is_some_and(|weight| weight > 0.0);
            match coding.trim() {
                coding if coding.eq_ignore_ascii_case("gzip") => gzip = Some(accepted),
                "*" => any = Some(accepted),
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
    fn gzip_is_sent_only_to_clients_that_accept_it() {
        let accepts = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(text));
            accepts_gzip(&headers)
        };
        for text in ["gzip", "gzip, deflate, br, zstd", "GZIP;q=0.5", "br, *", "deflate;q=1, gzip ; q=0.1"] {
            assert!(accepts(text), "{text}");
        }
        for text in ["", "br", "identity", "gzip;q=0", "*;q=0", "gzip;q=0, *", "gzip;q=0.0", "gzip;q=x"] {
            assert!(!accepts(text), "{text}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
