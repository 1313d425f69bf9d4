//! Sale definitions in files. The contract's own types decode them and the contract's own rules validate them, so that the
//! server accepts what is valid here. This module only adds the position of each fault.

mod fault;
mod tree;

use std::ops::Range;
use std::sync::Arc;

use contract::ids::SaleId;
use contract::sale::{InvalidTerms, SaleTerms};
use serde_path_to_error::Segment;

pub(crate) use fault::Fault;
use fault::Source;
use tree::{Node, Step};

/// The maximum number of faults in one report: more do not help.
const FAULTS_MAX: usize = 20;
/// The field of a file that holds the sale's id. On the wire the id is part of the path.
const SALE_ID: &str = "sale_id";
/// A wrong name is treated as a misspelling if at most this many letters differ.
const EDIT_DISTANCE_MAX: usize = 3;

/// A sale as a file defines it.
#[derive(Debug)]
pub(crate) struct Definition {
    /// The sale's id.
    pub(crate) sale: SaleId,
    /// The terms of the sale.
    pub(crate) terms: SaleTerms,
}

/// Parses a definition. With `given`, the file need not contain the sale's id. JSON begins with a brace, TOML cannot.
pub(crate) fn read(name: &str, text: String, given: Option<SaleId>) -> Result<Definition, Vec<Fault>> {
    let source = Arc::new(Source { name: name.into(), text });
    let is_json = name.ends_with(".json") || source.text.trim_start().starts_with('{');
    let parsed = if is_json { tree::parse_json(&source.text) } else { tree::parse_toml(&source.text) };
    let mut parser = Parser { source, faults: vec![], reported: vec![], has_removed_entries: false };
    let mut root = match parsed {
        Ok(root) => root,
        Err(malformed) => {
            for fault in malformed.into_iter().take(FAULTS_MAX) {
                parser.report(fault.span, fault.why, None);
            }
            return Err(parser.faults);
        }
    };
    let sale = parser.sale_id(&mut root, given);
    let terms = parser.terms(&mut root);
    match (sale, terms) {
        (Some(sale), Some(terms)) if parser.faults.is_empty() => Ok(Definition { sale, terms }),
        _ => {
            parser.faults.sort_by_key(|fault| fault.span.start);
            Err(parser.faults)
        }
    }
}

/// Writes a definition as TOML, without fields that have their default.
pub(crate) fn write_toml(sale: &SaleId, terms: &SaleTerms) -> Result<String, toml::ser::Error> {
    Ok(format!("{SALE_ID} = {:?}\n{}", sale.as_str(), toml::to_string_pretty(terms)?))
}

/// Returns a definition as JSON.
pub(crate) fn to_json(sale: &SaleId, terms: &SaleTerms) -> serde_json::Result<serde_json::Value> {
    let mut whole = serde_json::Map::from_iter([(SALE_ID.to_owned(), sale.as_str().into())]);
    if let serde_json::Value::Object(members) = serde_json::to_value(terms)? {
        whole.extend(members);
    }
    Ok(whole.into())
}

struct Parser {
    source: Arc<Source>,
    faults: Vec<Fault>,
    /// Members that have been reported: where their table begins, and their name. They were removed, or misspelt.
    reported: Vec<(usize, String)>,
    /// Whether a whole item or policy has been removed.
    has_removed_entries: bool,
}

impl Parser {
    fn report(&mut self, span: Range<usize>, what: impl Into<String>, help: Option<String>) {
        self.faults.push(Fault { source: self.source.clone(), span, what: what.into(), help });
    }

    fn sale_id(&mut self, root: &mut Node, given: Option<SaleId>) -> Option<SaleId> {
        let written = root.remove(&[Step::Key(SALE_ID.into())]);
        if given.is_some() {
            return given;
        }
        let Some(written) = written else {
            let help = format!("add `{SALE_ID} = \"…\"`, or pass the id with --sale");
            self.report(0..0, format!("missing field `{SALE_ID}`"), Some(help));
            return None;
        };
        let name = written.to_value();
        match SaleId::parse(name.as_str().unwrap_or_default()) {
            Ok(sale) => Some(sale),
            Err(error) => {
                self.report(written.span, format!("{SALE_ID}: {error}"), None);
                None
            }
        }
    }

    /// Decodes the terms as far as possible: each faulty part is reported and removed, and the rest is decoded again.
    fn terms(&mut self, root: &mut Node) -> Option<SaleTerms> {
        let terms = loop {
            match serde_path_to_error::deserialize::<_, SaleTerms>(&root.to_value()) {
                Ok(terms) => break terms,
                Err(_) if self.faults.len() >= FAULTS_MAX => return None,
                Err(error) => {
                    let path: Vec<Step> = error.path().iter().filter_map(step).collect();
                    if !self.remove_faulty(root, path, &error.inner().to_string()) {
                        return None;
                    }
                }
            }
        };
        for InvalidTerms { field, why } in terms.faults() {
            // Without its faulty items, a list may seem to be too short.
            if self.faults.len() >= FAULTS_MAX || (self.has_removed_entries && field == "items") {
                continue;
            }
            let path = steps(&field);
            let span = root.find(&path).map_or(0..0, |node| node.span.clone());
            self.report(span, with_field_name(&path, &why), None);
        }
        Some(terms)
    }

    /// Reports one fault and removes the faulty part. Returns false if nothing is left to decode.
    fn remove_faulty(&mut self, root: &mut Node, mut path: Vec<Step>, why: &str) -> bool {
        let allowed = || quoted(why.split_once(", expected ").map_or("", |(_, allowed)| allowed));
        if let Some(field) = quoted_after(why, "unknown field ") {
            if path.last() == Some(&Step::Key(field.clone())) {
                path.pop();
            }
            let mut fields = allowed();
            if path.is_empty() {
                fields.push(SALE_ID.into());
            }
            let entry = root.find(&path).and_then(|table| table.entry(&field));
            let span = entry.map_or(0..0, |entry| entry.key_span.clone());
            self.report(span, format!("unknown field `{field}`"), Some(suggestion(&field, &fields)));
            if let (Some(table), Some(meant)) = (root.find(&path), closest(&field, &fields)) {
                self.reported.push((table.span.start, meant.clone())); // one fault, not two
            }
            path.push(Step::Key(field));
            return root.remove(&path).is_some();
        }
        let Some(node) = root.find(&path) else { return false };
        if let Some(field) = quoted_after(why, "missing field ") {
            // A field that is missing because it was faulty has already been reported.
            if !self.reported.contains(&(node.span.start, field.clone())) {
                self.report(node.span.clone(), format!("missing field `{field}`"), None);
            }
            self.has_removed_entries = true;
            return root.remove(&path).is_some();
        }
        let help = quoted_after(why, "unknown variant ").map(|wrong| suggestion(&wrong, &allowed()));
        self.report(node.span.clone(), with_field_name(&path, &in_plain_words(why)), help);
        if let Some((Step::Key(key), table)) = path.split_last()
            && let Some(table) = root.find(table)
        {
            self.reported.push((table.span.start, key.clone()));
        }
        root.remove(&path).is_some()
    }
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

/// Splits a path such as `items[1].price` into steps.
fn steps(field: &str) -> Vec<Step> {
    let part = |part: &str| match part.strip_suffix(']') {
        Some(index) => Step::Index(index.parse().unwrap_or_default()),
        None => Step::Key(part.into()),
    };
    field.split(['.', '[']).filter(|text| !text.is_empty()).map(part).collect()
}

/// Prefixes a message with the field's name. Its position is shown separately: indices would refer to a list that shrinks.
fn with_field_name(path: &[Step], why: &str) -> String {
    match path.iter().rev().find_map(|step| if let Step::Key(key) = step { Some(key) } else { None }) {
        Some(key) => format!("{key}: {why}"),
        None => why.into(),
    }
}

/// Replaces Rust's terms for what was expected by common ones.
fn in_plain_words(why: &str) -> String {
    let words = [
        ("expected a whole number within its bounds", "expected a whole number, 0 or more"),
        ("expected a string", "expected a text in quotes"),
        ("expected a sequence", "expected a list"),
        ("expected struct SaleTerms", "expected a sale's definition"),
        ("expected struct Item", "expected an item, as in [[items]]"),
        ("expected struct DiscountPolicy", "expected a policy, as in [[discount_policies]]"),
    ];
    words.iter().fold(why.to_owned(), |text, (word, plain)| text.replace(word, plain))
}

/// Returns the word in backticks that follows `before`.
fn quoted_after(text: &str, before: &str) -> Option<String> {
    let rest = text.strip_prefix(before)?.strip_prefix('`')?;
    Some(rest.split_once('`')?.0.into())
}

/// Returns all words in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(String::from).collect()
}

/// Returns the name that was probably meant.
fn closest<'a>(wrong: &str, right: &'a [String]) -> Option<&'a String> {
    let distance = |right: &&String| strsim::damerau_levenshtein(wrong, right);
    right.iter().min_by_key(distance).filter(|right| distance(right) <= EDIT_DISTANCE_MAX)
}

/// Suggests the name that was probably meant, otherwise all names.
fn suggestion(wrong: &str, right: &[String]) -> String {
    match closest(wrong, right) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("expected one of: {}", right.join(", ")),
    }
}
