//! A sale in a file. It is read by the contract's own types and checked by the contract's own rules, so that what
//! passes here is taken by the server; only the place of each fault is found here.

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

/// Faults that are told at once: more do not help.
const FAULTS_MAX: usize = 20;
/// Where the sale's name stands in a file. On the wire it is part of the path.
const SALE_ID: &str = "sale_id";
/// A wrong name is taken for a misspelt one when so few letters differ.
const LETTERS_WRONG_MAX: usize = 3;

/// What a file defines.
#[derive(Debug)]
pub(crate) struct Definition {
    /// Which sale.
    pub(crate) sale: SaleId,
    /// What is sold.
    pub(crate) terms: SaleTerms,
}

/// Reads a definition. `given`: the sale's name where the file need not tell it. JSON begins with a brace, TOML
/// cannot.
pub(crate) fn read(name: &str, text: String, given: Option<SaleId>) -> Result<Definition, Vec<Fault>> {
    let source = Arc::new(Source { name: name.into(), text });
    let is_json = name.ends_with(".json") || source.text.trim_start().starts_with('{');
    let parsed = if is_json { tree::of_json(&source.text) } else { tree::of_toml(&source.text) };
    let mut reading = Reading { source, faults: vec![], gone: vec![], dropped: false };
    let mut root = match parsed {
        Ok(root) => root,
        Err(malformed) => {
            for one in malformed.into_iter().take(FAULTS_MAX) {
                reading.fault(one.span, one.why, None);
            }
            return Err(reading.faults);
        }
    };
    let sale = reading.sale_id(&mut root, given);
    let terms = reading.terms(&mut root);
    match (sale, terms) {
        (Some(sale), Some(terms)) if reading.faults.is_empty() => Ok(Definition { sale, terms }),
        _ => {
            reading.faults.sort_by_key(|fault| fault.span.start);
            Err(reading.faults)
        }
    }
}

/// A definition as a file, without what is as it would be anyway.
pub(crate) fn write_toml(sale: &SaleId, terms: &SaleTerms) -> Result<String, toml::ser::Error> {
    Ok(format!("{SALE_ID} = {:?}\n{}", sale.as_str(), toml::to_string_pretty(terms)?))
}

/// The same in JSON.
pub(crate) fn to_json(sale: &SaleId, terms: &SaleTerms) -> serde_json::Result<serde_json::Value> {
    let mut whole = serde_json::Map::from_iter([(SALE_ID.to_owned(), sale.as_str().into())]);
    if let serde_json::Value::Object(members) = serde_json::to_value(terms)? {
        whole.extend(members);
    }
    Ok(whole.into())
}

struct Reading {
    source: Arc<Source>,
    faults: Vec<Fault>,
    /// Where a table begins, and a member of it that has been told about: it was taken out, or misspelt.
    gone: Vec<(usize, String)>,
    /// A whole item or policy was taken out.
    dropped: bool,
}

impl Reading {
    fn fault(&mut self, span: Range<usize>, what: impl Into<String>, help: Option<String>) {
        self.faults.push(Fault { source: self.source.clone(), span, what: what.into(), help });
    }

    fn sale_id(&mut self, root: &mut Node, given: Option<SaleId>) -> Option<SaleId> {
        let written = root.remove(&[Step::Key(SALE_ID.into())]);
        if given.is_some() {
            return given;
        }
        let Some(written) = written else {
            let help = format!("add `{SALE_ID} = \"…\"`, or give the name by --sale");
            self.fault(0..0, format!("missing field `{SALE_ID}`"), Some(help));
            return None;
        };
        let name = written.to_value();
        match SaleId::parse(name.as_str().unwrap_or_default()) {
            Ok(sale) => Some(sale),
            Err(error) => {
                self.fault(written.span, format!("{SALE_ID}: {error}"), None);
                None
            }
        }
    }

    /// The terms as far as they can be read: what is wrong is told, taken out, and the rest is read again.
    fn terms(&mut self, root: &mut Node) -> Option<SaleTerms> {
        let terms = loop {
            match serde_path_to_error::deserialize::<_, SaleTerms>(&root.to_value()) {
                Ok(terms) => break terms,
                Err(_) if self.faults.len() >= FAULTS_MAX => return None,
                Err(error) => {
                    let path: Vec<Step> = error.path().iter().filter_map(step).collect();
                    if !self.mend(root, path, &error.inner().to_string()) {
                        return None;
                    }
                }
            }
        };
        for InvalidTerms { field, why } in terms.faults() {
            // Without its faulty items, a list may seem too short.
            if self.faults.len() >= FAULTS_MAX || (self.dropped && field == "items") {
                continue;
            }
            let path = steps(&field);
            let span = root.at(&path).map_or(0..0, |node| node.span.clone());
            self.fault(span, named(&path, &why), None);
        }
        Some(terms)
    }

    /// Tells one fault and takes it out; false where nothing is left to read.
    fn mend(&mut self, root: &mut Node, mut path: Vec<Step>, why: &str) -> bool {
        let allowed = || quoted(why.split_once(", expected ").map_or("", |(_, allowed)| allowed));
        if let Some(field) = quoted_after(why, "unknown field ") {
            if path.last() == Some(&Step::Key(field.clone())) {
                path.pop();
            }
            let mut fields = allowed();
            if path.is_empty() {
                fields.push(SALE_ID.into());
            }
            let entry = root.at(&path).and_then(|table| table.entry(&field));
            let span = entry.map_or(0..0, |entry| entry.key_span.clone());
            self.fault(span, format!("unknown field `{field}`"), Some(instead(&field, &fields)));
            if let (Some(table), Some(meant)) = (root.at(&path), meant(&field, &fields)) {
                self.gone.push((table.span.start, meant.clone())); // one fault, not two
            }
            path.push(Step::Key(field));
            return root.remove(&path).is_some();
        }
        let Some(node) = root.at(&path) else { return false };
        if let Some(field) = quoted_after(why, "missing field ") {
            // What is missing because it was wrong has been told already.
            if !self.gone.contains(&(node.span.start, field.clone())) {
                self.fault(node.span.clone(), format!("missing field `{field}`"), None);
            }
            self.dropped = true;
            return root.remove(&path).is_some();
        }
        let help = quoted_after(why, "unknown variant ").map(|wrong| instead(&wrong, &allowed()));
        self.fault(node.span.clone(), named(&path, &in_plain_words(why)), help);
        if let Some((Step::Key(key), table)) = path.split_last()
            && let Some(table) = root.at(table)
        {
            self.gone.push((table.span.start, key.clone()));
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

/// The steps of `items[1].price`.
fn steps(field: &str) -> Vec<Step> {
    let part = |part: &str| match part.strip_suffix(']') {
        Some(index) => Step::Index(index.parse().unwrap_or_default()),
        None => Step::Key(part.into()),
    };
    field.split(['.', '[']).filter(|text| !text.is_empty()).map(part).collect()
}

/// With the field's name. Where it stands is shown: places in a list would be those of a list that shrinks.
fn named(path: &[Step], why: &str) -> String {
    match path.iter().rev().find_map(|step| if let Step::Key(key) = step { Some(key) } else { None }) {
        Some(key) => format!("{key}: {why}"),
        None => why.into(),
    }
}

/// What people who do not write Rust call what was expected.
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

/// The word in backticks behind a text.
fn quoted_after(text: &str, before: &str) -> Option<String> {
    let rest = text.strip_prefix(before)?.strip_prefix('`')?;
    Some(rest.split_once('`')?.0.into())
}

/// All words in backticks.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(String::from).collect()
}

/// What was probably meant.
fn meant<'a>(wrong: &str, right: &'a [String]) -> Option<&'a String> {
    let distance = |right: &&String| strsim::damerau_levenshtein(wrong, right);
    right.iter().min_by_key(distance).filter(|right| distance(right) <= LETTERS_WRONG_MAX)
}

/// What was probably meant; else what there is.
fn instead(wrong: &str, right: &[String]) -> String {
    match meant(wrong, right) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("there is: {}", right.join(", ")),
    }
}
