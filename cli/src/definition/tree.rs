//! A TOML or JSON document as a tree in which every value has its position in the text, so that each fault can be shown
//! there. Both formats produce the same tree.

use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

/// A syntax error and its position.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) span: Range<usize>,
    pub(super) why: String,
}

/// A value and its position.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    /// A value that is neither a table nor a list.
    Scalar(Value),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A member of a table.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) value: Node,
}

/// One step of a path into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

impl Node {
    /// Returns the value without positions.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(all) => all.iter().map(Node::to_value).collect(),
            Content::Table(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.clone(), entry.value.to_value())).collect(),
            ),
        }
    }

    /// Returns the value at a path.
    pub(super) fn find(&self, path: &[Step]) -> Option<&Self> {
        let Some((step, rest)) = path.split_first() else { return Some(self) };
        match (&self.content, step) {
            (Content::List(all), Step::Index(index)) => all.get(*index)?.find(rest),
            (Content::Table(_), Step::Key(key)) => self.entry(key)?.value.find(rest),
            _ => None,
        }
    }

    /// Returns the value at a path, mutably.
    pub(super) fn find_mut(&mut self, path: &[Step]) -> Option<&mut Self> {
        let Some((step, rest)) = path.split_first() else { return Some(self) };
        match (&mut self.content, step) {
            (Content::List(all), Step::Index(index)) => all.get_mut(*index)?.find_mut(rest),
            (Content::Table(entries), Step::Key(key)) => {
                entries.iter_mut().find(|entry| entry.key == *key)?.value.find_mut(rest)
            }
            _ => None,
        }
    }

    /// Returns a member of a table, with its key.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Table(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// Removes and returns the value at a path.
    pub(super) fn remove(&mut self, path: &[Step]) -> Option<Self> {
        let (last, parent) = path.split_last()?;
        match (&mut self.find_mut(parent)?.content, last) {
            (Content::List(all), Step::Index(index)) if *index < all.len() => Some(all.remove(*index)),
            (Content::Table(entries), Step::Key(key)) => {
                let at = entries.iter().position(|entry| entry.key == *key)?;
                Some(entries.remove(at).value)
            }
            _ => None,
        }
    }
}

/// Parses TOML. Returns all syntax errors.
pub(super) fn parse_toml(text: &str) -> Result<Node, Vec<Malformed>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(Node { span: 0..0, content: toml_table(table.get_ref()) });
    }
    let malformed = |error: toml::de::Error| Malformed {
        span: error.span().unwrap_or_default(),
        why: error.message().to_owned(),
    };
    Err(errors.into_iter().map(malformed).collect())
}

fn toml_table(table: &DeTable<'_>) -> Content {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| Entry {
        key: AsRef::<std::borrow::Cow<'_, str>>::as_ref(key).to_string(),
        key_span: key.span(),
        value: toml_value(value),
    };
    let mut entries: Vec<Entry> = table.iter().map(entry).collect();
    entries.sort_by_key(|entry| entry.key_span.start); // in the order of the file
    Content::Table(entries)
}

fn toml_value(value: &toml::Spanned<DeValue<'_>>) -> Node {
    let content = match value.get_ref() {
        DeValue::String(text) => Content::Scalar(text.as_ref().into()),
        // A number of more than 64 bits becomes text, so that it is refused with its digits.
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            Content::Scalar(parsed.map_or_else(|_| number.as_str().into(), Value::from))
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse::<f64>();
            Content::Scalar(parsed.map_or_else(|_| number.as_str().into(), Value::from))
        }
        DeValue::Boolean(yes) => Content::Scalar((*yes).into()),
        DeValue::Datetime(at) => Content::Scalar(at.to_string().into()),
        DeValue::Array(all) => Content::List(all.iter().map(toml_value).collect()),
        DeValue::Table(table) => toml_table(table),
    };
    Node { span: value.span(), content }
}

/// Parses JSON. Returns the first syntax error, or all repeated keys.
pub(super) fn parse_json(text: &str) -> Result<Node, Vec<Malformed>> {
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| vec![malformed_json(text, &error)])?;
    let root: &RawValue = serde_json::from_str(text).map_err(|error| vec![malformed_json(text, &error)])?;
    let mut repeated = vec![];
    let node = json_value(text, root, &mut repeated);
    if repeated.is_empty() { Ok(node) } else { Err(repeated) }
}

fn malformed_json(text: &str, error: &serde_json::Error) -> Malformed {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    let line_start: usize = lines.map(str::len).sum();
    let mut at = (line_start + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let why = error.to_string();
    let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why).to_owned();
    Malformed { span: at..(at + 1).min(text.len()), why }
}

/// The members of a JSON object as raw text, repeated keys included.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = vec![];
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}

fn json_value(text: &str, raw: &RawValue, repeated: &mut Vec<Malformed>) -> Node {
    let written = raw.get();
    // A raw value is borrowed from the text, so that the difference is its position.
    let start = written.as_ptr() as usize - text.as_ptr() as usize;
    let span = start..start + written.len();
    // The whole text has been parsed once, so that its parts are valid.
    let content = match written.as_bytes().first() {
        Some(b'{') => {
            let Members(members) = serde_json::from_str(written).unwrap_or(Members(vec![]));
            let mut entries: Vec<Entry> = vec![];
            for (key, value) in members {
                let value = json_value(text, value, repeated);
                let key_span = json_key(text, &key, value.span.start);
                if entries.iter().any(|entry| entry.key == key) {
                    repeated
                        .push(Malformed { span: key_span.clone(), why: format!("duplicate key `{key}`") });
                }
                entries.push(Entry { key, key_span, value });
            }
            Content::Table(entries)
        }
        Some(b'[') => {
            let all: Vec<&RawValue> = serde_json::from_str(written).unwrap_or_default();
            Content::List(all.into_iter().map(|raw| json_value(text, raw, repeated)).collect())
        }
        _ => Content::Scalar(serde_json::from_str(written).unwrap_or_default()),
    };
    Node { span, content }
}

/// Returns the position of the key before a value.
fn json_key(text: &str, key: &str, value_start: usize) -> Range<usize> {
    let before = text[..value_start].trim_end().trim_end_matches(':').trim_end();
    // A key with escapes is longer than its value: then only its end is shown.
    let start = before.strip_suffix(&format!("\"{key}\"")).map_or(before.len().saturating_sub(1), str::len);
    start..before.len()
}
