//! The language of texts for people, negotiated by `Accept-Language` (RFC 9110, 12.5.4).

use contract::lifecycle::Language;
use hyper::HeaderMap;
use hyper::header::ACCEPT_LANGUAGE;

/// Returns the language that the client prefers: the one with the greatest weight, of equal ones the first, English
/// without a preference.
pub fn preferred_language(headers: &HeaderMap) -> Language {
    let mut preferred = (Language::English, 0);
    for value in headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok()) {
        for range in value.split(',') {
            let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
            if let Some(language) = supported_language(tag.trim())
                && let Some(weight) = weight(parameters.trim())
                && weight > preferred.1
            {
                preferred = (language, weight);
            }
        }
    }
    preferred.0
}

/// Returns the supported language of a language range such as `ko-KR`, by its primary subtag.
fn supported_language(range: &str) -> Option<Language> {
    let primary = range.split('-').next().unwrap_or_default();
    match primary {
        _ if primary.eq_ignore_ascii_case("ko") => Some(Language::Korean),
        _ if primary.eq_ignore_ascii_case("en") => Some(Language::English),
        _ => None,
    }
}

/// Returns a weight such as `q=0.8` in thousandths (RFC 9110, 12.4.2). Without parameters it is 1000; `None` if it is
/// malformed.
fn weight(parameters: &str) -> Option<u16> {
    if parameters.is_empty() {
        return Some(1000);
    }
    let (name, value) = parameters.split_once('=')?;
    let (whole, decimals) = value.split_once('.').unwrap_or((value, ""));
    let is_number = decimals.len() <= 3 && decimals.bytes().all(|byte| byte.is_ascii_digit());
    if !name.eq_ignore_ascii_case("q") || !is_number {
        return None;
    }
    let digits = decimals.bytes().chain(std::iter::repeat(b'0')).take(3);
    let thousandths = digits.fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match (whole, thousandths) {
        ("0", _) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn the_supported_language_with_the_greatest_weight_wins() {
        let language = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_str(text).unwrap());
            preferred_language(&headers)
        };
        assert_eq!(language("ko-KR,ko;q=0.9,en;q=0.8"), Language::Korean);
        assert_eq!(language("fr, en;q=0.5, ko;q=0.2"), Language::English);
        assert_eq!(language("k"), Language::English);
        for korean in [
            "ko",
            "KO-kr",
            "en;q=0.2, ko;q=0.9",
            "en;q=0.5,ko",
            "ko, en",
            "en;q=0, ko;q=0.001",
            "fr,ko; q=0.5",
        ] {
            assert_eq!(language(korean), Language::Korean, "{korean}");
        }
        for english in [
            "",
            "*",
            "en",
            "ko;q=0.5, en;q=0.9",
            "en, ko",
            "ko;q=0",
            "kok",
            "ko;q=2",
            "ko;q=NaN",
            "ko;q=0.1234",
            "ko;x=1",
        ] {
            assert_eq!(language(english), Language::English, "{english}");
        }
    }
}
