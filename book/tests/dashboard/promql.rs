//! The metrics and labels in a PromQL query, for the part of the grammar that the rules use.

/// The metrics and labels of a query.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) selectors: Vec<Selector>,
    /// The labels in `by (…)` and similar clauses.
    pub(crate) grouping: Vec<String>,
}

/// The name of a metric with its matchers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Selector {
    pub(crate) metric: String,
    /// The matchers: label, operator, value.
    pub(crate) matchers: Vec<(String, String, String)>,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Text(String),
    /// A range in `[…]`.
    Range,
    Sign(String),
}

/// Parses a query.
pub(crate) fn parse(query: &str) -> Query {
    let tokens = tokens(query);
    let mut found = Query::default();
    let mut i = 0;
    while i < tokens.len() {
        let Token::Name(name) = &tokens[i] else {
            i += 1;
            continue;
        };
        i += 1;
        let opens = |sign: &str| tokens.get(i) == Some(&Token::Sign(sign.into()));
        match name.as_str() {
            "by" | "without" | "on" | "ignoring" | "group_left" | "group_right" if opens("(") => {
                let names = tokens[i..].iter().take_while(|token| **token != Token::Sign(")".into()));
                found.grouping.extend(names.filter_map(|token| match token {
                    Token::Name(label) => Some(label.clone()),
                    _ => None,
                }));
                i += tokens[i..].iter().position(|token| *token == Token::Sign(")".into())).expect("closed");
            }
            "by" | "and" | "or" | "unless" | "bool" | "offset" => {}
            _ if opens("(") || opens("by") => {}
            _ if matches!(tokens.get(i), Some(Token::Name(next)) if next == "by") => {} // sum by (…) (…)
            _ => {
                let matchers = if opens("{") { matchers(&tokens[i + 1..]) } else { Vec::new() };
                i += if opens("{") { 4 * matchers.len() + 1 } else { 0 };
                found.selectors.push(Selector { metric: name.clone(), matchers });
            }
        }
    }
    found
}

/// Parses the matchers after `{` up to `}`: name, operator, text, and a comma or the end.
fn matchers(tokens: &[Token]) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    for part in tokens.chunks(4) {
        let [Token::Name(label), Token::Sign(operator), Token::Text(value), Token::Sign(end)] = part else {
            panic!("not a matcher: {part:?}");
        };
        all.push((label.clone(), operator.clone(), value.clone()));
        if end == "}" {
            break;
        }
    }
    all
}

fn tokens(query: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = query.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' => {
                let end = rest[1..].find('"').expect("a closed text");
                (Some(Token::Text(rest[1..=end].into())), end + 2)
            }
            '[' => (Some(Token::Range), rest.find(']').expect("a closed range") + 1),
            'a'..='z' | 'A'..='Z' | '_' | ':' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
                let end = end.unwrap_or(rest.len());
                (Some(Token::Name(rest[..end].into())), end)
            }
            '0'..='9' | '.' => {
                (None, rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.').unwrap_or(rest.len()))
            }
            _ => {
                let two = ["=~", "!~", "!=", "==", ">=", "<="].into_iter().find(|two| rest.starts_with(two));
                let sign = two.unwrap_or(&rest[..first.len_utf8()]);
                (Some(Token::Sign(sign.into())), sign.len())
            }
        };
        tokens.extend(token);
        rest = rest[length..].trim_start();
    }
    tokens
}

#[test]
fn a_query_is_parsed() {
    let query = parse(
        r#"histogram_quantile(0.99, sum by (le, route) (rate(a_bucket{route="x", s=~"$sale"}[$__rate_interval])))
           / sum(b) or vector(0) > 1e3 and on (sku) c == 1"#,
    );
    let matcher = |label: &str, operator: &str, value: &str| (label.into(), operator.into(), value.into());
    let selector = |metric: &str, matchers| Selector { metric: metric.into(), matchers };
    assert_eq!(
        query.selectors,
        [
            selector("a_bucket", vec![matcher("route", "=", "x"), matcher("s", "=~", "$sale")]),
            selector("b", vec![]),
            selector("c", vec![]),
        ]
    );
    assert_eq!(query.grouping, ["le", "route", "sku"]);
}
