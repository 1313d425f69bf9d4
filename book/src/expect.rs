//! Compares the output that a page shows with the actual output. `…` matches what differs from run to run: within a line any
//! characters, as a line any lines, as a JSON string any value, and as the last key of a JSON object any further members.

use serde_json::Value;

/// The wildcard in expected output.
pub const ANYTHING: &str = "…";

/// Returns the first difference between expected and printed JSON. If several documents were printed, only the last one
/// counts: it is the output of the block's last command.
pub fn json(shown: &str, printed: &str) -> Option<String> {
    let shown: Value = match serde_json::from_str(shown) {
        Ok(value) => value,
        Err(error) => return Some(format!("the expected output is not valid JSON: {error}")),
    };
    let documents = serde_json::Deserializer::from_str(printed).into_iter::<Value>();
    match documents.collect::<Result<Vec<_>, _>>() {
        Ok(printed) => match printed.last() {
            Some(last) => values("", &shown, last),
            None => Some("nothing was printed".to_owned()),
        },
        Err(error) => Some(format!("the output is not valid JSON ({error}): {printed}")),
    }
}

fn values(at: &str, shown: &Value, printed: &Value) -> Option<String> {
    match (shown, printed) {
        (Value::String(pattern), Value::String(text)) if line(pattern, text) => None,
        (Value::String(pattern), _) if pattern == ANYTHING => None,
        (Value::Object(shown), Value::Object(printed)) => {
            let open = shown.contains_key(ANYTHING);
            let surplus = printed.keys().find(|key| !open && !shown.contains_key(*key));
            if let Some(key) = surplus {
                return Some(format!("{at}.{key} is not expected"));
            }
            shown.iter().filter(|(key, _)| *key != ANYTHING).find_map(|(key, value)| match printed.get(key) {
                Some(printed) => values(&format!("{at}.{key}"), value, printed),
                None => Some(format!("{at}.{key} is missing")),
            })
        }
        (Value::Array(shown), Value::Array(printed)) => {
            let open = shown.last().is_some_and(|last| last == ANYTHING);
            let expected = if open { &shown[..shown.len() - 1] } else { shown };
            if expected.len() > printed.len() || (!open && expected.len() < printed.len()) {
                return Some(format!("{at} has {} elements", printed.len()));
            }
            let mut pairs = expected.iter().zip(printed).enumerate();
            pairs.find_map(|(index, (shown, printed))| values(&format!("{at}[{index}]"), shown, printed))
        }
        (shown, printed) if shown == printed => None,
        (shown, printed) => Some(format!("{at} is {printed}, expected {shown}")),
    }
}

/// Returns the actual output if it does not match the expected text. Blank lines at both ends, and blanks at the end of a
/// line, are ignored.
pub fn text(shown: &str, printed: &str) -> Option<String> {
    let lines = |text: &str| -> Vec<String> {
        text.trim_matches(['\n', '\r']).lines().map(|line| line.trim_end().to_owned()).collect()
    };
    let (shown, printed) = (lines(shown), lines(printed));
    match any_lines(&shown, &printed) {
        true => None,
        false => Some(format!("the output is\n{}", printed.join("\n"))),
    }
}

fn any_lines(shown: &[String], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first.trim() == ANYTHING => {
            (0..=printed.len()).any(|skipped| any_lines(rest, &printed[skipped..]))
        }
        Some((first, rest)) => {
            printed.split_first().is_some_and(|(found, more)| line(first, found) && any_lines(rest, more))
        }
    }
}

/// Returns whether a line matches, where each `…` matches any characters.
fn line(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|start| printed.strip_prefix(start)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((end, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wildcard_matches_anything_and_nothing_else_does() {
        assert_eq!(json(r#"{"a":"…","b":[1,"…"]}"#, r#"{"b":[1,2,3],"a":{"c":1}}"#), None);
        assert_eq!(json(r#"{"a":1,"…":"…"}"#, r#"{"a":1,"b":2}"#), None);
        assert_eq!(json(r#"{"a":"/v1/…/ws"}"#, r#"{"a":"/v1/orders/ws"}"#), None);
        for (shown, printed) in [
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"b":"…"}"#, r#"{"a":1}"#),
            (r#"{"a":1}"#, r#"{"a":2}"#),
            ("[1]", "[1,2]"),
            (r#"{"a":"/v1/…/ws"}"#, r#"{"a":"/v1/orders/sse"}"#),
            ("{}", "no"),
            ("{}", ""),
            (r#"{"a":1}"#, r#"{"a":1}{"a":2}"#),
        ] {
            assert!(json(shown, printed).is_some(), "{shown} {printed}");
        }
        assert_eq!(text("a … c\n…\nend\n", "a b c\nmore\nand more\nend"), None);
        assert_eq!(text("a\n…", "a"), None);
        assert!(text("a … c", "a b d").is_some());
        assert!(text("a\nb", "a\nx\nb").is_some());
    }
}
