//! The language of texts for people, negotiated by `Accept-Language` (RFC 9110, 12.5.4).

use contract::lifecycle::Language;
use hyper::HeaderMap;
use hyper::header::ACCEPT_LANGUAGE;

/// Returns the language that the client prefers: Korean if it comes before English, else English.
pub fn preferred_language(headers: &HeaderMap) -> Language {
    let wanted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for tag in wanted.split(',') {
        let tag = tag.trim_start();
        if tag.get(..2).is_some_and(|tag| tag.eq_ignore_ascii_case("ko")) {
            return Language::Korean;
        }
        if tag.get(..2).is_some_and(|tag| tag.eq_ignore_ascii_case("en")) {
            return Language::English;
        }
    }
    Language::English
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn the_first_supported_language_wins() {
        let language = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(text).unwrap());
            preferred_language(&headers)
        };
        assert_eq!(language("ko-KR,ko;q=0.9,en;q=0.8"), Language::Korean);
        assert_eq!(language("fr, en;q=0.5, ko;q=0.2"), Language::English);
        assert_eq!(language("k"), Language::English);
    }
}
