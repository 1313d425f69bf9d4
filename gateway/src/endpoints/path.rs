//! Path patterns such as `/v1/sales/{sale}/orders/{order}`, parsed at compile time.

/// Most segments of a path.
const SEGMENTS_MAX: usize = 7;
/// Most parameters of a path.
const PARAMETERS_MAX: usize = 2;

/// A path pattern.
pub(crate) struct Path {
    /// The pattern as it is written in the API's documents.
    pub(crate) text: &'static str,
    segments: [Segment; SEGMENTS_MAX],
    count: usize,
}

#[derive(Clone, Copy)]
enum Segment {
    Literal(&'static str),
    Parameter,
}

/// The values of a path's parameters, in the order of the pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parameters<'a>([&'a str; PARAMETERS_MAX]);

impl<'a> Parameters<'a> {
    /// Returns the values of a path without parameters.
    pub(crate) fn none() -> Self {
        Self([""; PARAMETERS_MAX])
    }

    /// Returns the first `N` values.
    pub(crate) fn values<const N: usize>(self) -> [&'a str; N] {
        const { assert!(N <= PARAMETERS_MAX, "a path has more parameters than PARAMETERS_MAX") };
        std::array::from_fn(|i| self.0[i])
    }
}

impl Path {
    /// Parses a pattern. In a constant, a pattern whose parameters are not `names` does not compile.
    pub(crate) const fn parse(text: &'static str, names: &[&str]) -> Self {
        let (empty, mut rest) = text.split_at(1);
        assert!(is_equal(empty, "/"), "a path begins with a slash");
        let mut path = Self { text, segments: [Segment::Literal(""); SEGMENTS_MAX], count: 0 };
        let mut parameters = 0;
        loop {
            let (segment, after) = split_segment(rest);
            path.segments[path.count] = match parameter_name(segment) {
                None => Segment::Literal(segment),
                Some(name) => {
                    assert!(parameters < names.len(), "the path has a parameter that the handler lacks");
                    assert!(is_equal(name, names[parameters]), "the handler names a parameter differently");
                    parameters += 1;
                    Segment::Parameter
                }
            };
            path.count += 1;
            match after {
                Some(after) => rest = after,
                None => break,
            }
        }
        assert!(parameters == names.len(), "the handler has a parameter that the path lacks");
        path
    }

    /// Returns the parameters of a path that matches this pattern.
    pub(crate) fn capture<'a>(&self, path: &SplitPath<'a>) -> Option<Parameters<'a>> {
        if path.count != self.count {
            return None;
        }
        let mut parameters = Parameters::none();
        let mut captured = 0;
        for (expected, segment) in self.segments[..self.count].iter().zip(&path.segments) {
            match expected {
                Segment::Literal(literal) if literal == segment => {}
                Segment::Literal(_) => return None,
                Segment::Parameter => {
                    parameters.0[captured] = segment;
                    captured += 1;
                }
            }
        }
        Some(parameters)
    }
}

/// A request's path in segments. It is split once and compared with all patterns.
pub(crate) struct SplitPath<'a> {
    segments: [&'a str; SEGMENTS_MAX],
    count: usize,
}

impl<'a> SplitPath<'a> {
    /// Splits a path; `None` if no pattern has so many segments.
    pub(crate) fn new(path: &'a str) -> Option<Self> {
        let mut split = Self { segments: [""; SEGMENTS_MAX], count: 0 };
        let mut rest = path.strip_prefix('/')?;
        // Faster than `str::split` for segments as short as these.
        while let Some(slash) = rest.bytes().position(|byte| byte == b'/') {
            split.push(&rest[..slash])?;
            rest = &rest[slash + 1..];
        }
        split.push(rest)?;
        Some(split)
    }

    fn push(&mut self, segment: &'a str) -> Option<()> {
        *self.segments.get_mut(self.count)? = segment;
        self.count += 1;
        Some(())
    }
}

/// Returns the text up to the next slash, and the text after it.
const fn split_segment(text: &'static str) -> (&'static str, Option<&'static str>) {
    let mut i = 0;
    while i < text.len() {
        if text.as_bytes()[i] == b'/' {
            let (segment, after) = text.split_at(i);
            return (segment, Some(after.split_at(1).1));
        }
        i += 1;
    }
    (text, None)
}

/// Returns the name in a segment `{name}`.
const fn parameter_name(segment: &'static str) -> Option<&'static str> {
    let bytes = segment.as_bytes();
    if bytes.len() < 3 || bytes[0] != b'{' || bytes[bytes.len() - 1] != b'}' {
        return None;
    }
    Some(segment.split_at(1).1.split_at(bytes.len() - 2).0)
}

const fn is_equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capture<'a>(pattern: &Path, path: &'a str) -> Option<Parameters<'a>> {
        pattern.capture(&SplitPath::new(path)?)
    }

    #[test]
    fn a_pattern_matches_whole_segments_and_captures_its_parameters() {
        let pattern = Path::parse("/v1/sales/{sale}/orders/{order}", &["sale", "order"]);
        let captured = capture(&pattern, "/v1/sales/s/orders/o").unwrap();
        assert_eq!(captured.values::<2>(), ["s", "o"]);
        assert_eq!(capture(&pattern, "/v1/sales//orders/").unwrap().values::<2>(), ["", ""]);
        for other in
            ["/v1/sales/s/orders", "/v1/sales/s/orders/o/x", "/v1/sales/s/items/o", "v1/sales/s/orders/o"]
        {
            assert_eq!(capture(&pattern, other), None, "{other}");
        }
        let root = Path::parse("/", &[]);
        assert!(capture(&root, "/").is_some() && capture(&root, "/x").is_none());
    }

    #[test]
    #[should_panic(expected = "the handler names a parameter differently")]
    fn a_parameter_that_the_handler_names_differently_is_found() {
        Path::parse("/v1/sales/{sale}", &["sku"]);
    }

    #[test]
    #[should_panic(expected = "the handler has a parameter that the path lacks")]
    fn a_parameter_that_the_path_lacks_is_found() {
        Path::parse("/v1/wallet", &["customer"]);
    }
}
