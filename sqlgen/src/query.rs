//! Reads a SQL file: documentation, annotations, named parameters.

use std::collections::{BTreeMap, BTreeSet};

use crate::Error;

/// How many rows a statement returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    /// No columns: the number of affected rows.
    Nothing,
    /// Exactly one row.
    One,
    /// One row or none.
    Optional,
    /// Any number of rows.
    Many,
    /// Any number of rows, which are read while they arrive.
    Stream,
}

/// One SQL file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The file's name without its extension, in snake case.
    pub name: String,
    /// The header's text, a line each, without annotations.
    pub documentation: Vec<String>,
    /// The statement with `$1`, `$2`, … in place of names, without comments.
    pub sql: String,
    /// The names of the parameters, in the order of their numbers.
    pub parameters: Vec<String>,
    /// What `@returns` says.
    pub returns: Returns,
    /// Names that may be null.
    pub nullable: BTreeSet<String>,
    /// Names of arrays whose elements may be null.
    pub nullable_elements: BTreeSet<String>,
    /// Rust types given by `@type`.
    pub types: BTreeMap<String, String>,
    /// The row struct's name, if it is shared.
    pub row: Option<String>,
    /// The name of the struct that holds the array parameters, if they are collected.
    pub columns: Option<String>,
}

impl Query {
    /// Parses the text of the file `name`.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let invalid = |why: &str| Error::Invalid(name.into(), why.into());
        let mut query = Self {
            name: name.into(),
            documentation: Vec::new(),
            sql: String::new(),
            parameters: Vec::new(),
            returns: Returns::Nothing,
            nullable: BTreeSet::new(),
            nullable_elements: BTreeSet::new(),
            types: BTreeMap::new(),
            row: None,
            columns: None,
        };
        let mut body = text;
        while let Some(rest) = body.strip_prefix("--") {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            body = after;
            match line.trim().strip_prefix('@') {
                Some(annotation) => query.annotate(annotation).map_err(|why| invalid(&why))?,
                None => query.documentation.push(line.trim().to_owned()),
            }
        }
        if query.documentation.is_empty() {
            return Err(invalid("the header does not explain the statement"));
        }
        let (sql, parameters) = number_parameters(body).map_err(|why| invalid(&why))?;
        query.sql = sql;
        query.parameters = parameters;
        Ok(query)
    }

    fn annotate(&mut self, annotation: &str) -> Result<(), String> {
        let (kind, value) = annotation.split_once(' ').ok_or("an annotation has a value")?;
        match (kind, value.trim()) {
            ("returns", "one") => self.returns = Returns::One,
            ("returns", "optional") => self.returns = Returns::Optional,
            ("returns", "many") => self.returns = Returns::Many,
            ("returns", "stream") => self.returns = Returns::Stream,
            ("row", name) => self.row = Some(name.to_owned()),
            ("columns", name) => self.columns = Some(name.to_owned()),
            ("nullable", names) => {
                for name in names.split(',').map(str::trim) {
                    match name.strip_suffix("[]") {
                        Some(name) => self.nullable_elements.insert(name.to_owned()),
                        None => self.nullable.insert(name.to_owned()),
                    };
                }
            }
            ("type", value) => {
                let (name, rust) = value.split_once('=').ok_or("`@type` needs `name = Type`")?;
                self.types.insert(name.trim().to_owned(), rust.trim().to_owned());
            }
            _ => return Err(format!("unknown annotation: {annotation}")),
        }
        Ok(())
    }
}

/// Replaces `:name` by `$n` and removes comments. Text in quotes stays as it is.
fn number_parameters(text: &str) -> Result<(String, Vec<String>), String> {
    let mut sql = String::with_capacity(text.len());
    let mut parameters: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '\'' | '"' => {
                let end = rest[1..].find(c).ok_or("a quote is not closed")?;
                sql.push_str(&rest[..end + 2]);
                end + 2
            }
            '-' if rest.starts_with("--") => {
                while sql.ends_with(' ') {
                    sql.pop();
                }
                rest.find('\n').unwrap_or(rest.len())
            }
            ':' if rest.starts_with("::") => {
                sql.push_str("::");
                2
            }
            ':' if rest[1..].starts_with(|c: char| c.is_ascii_lowercase()) => {
                let name: String = rest[1..].chars().take_while(|c| is_name(*c)).collect();
                let at = parameters.iter().position(|known| *known == name).unwrap_or_else(|| {
                    parameters.push(name.clone());
                    parameters.len() - 1
                });
                sql.push_str(&format!("${}", at + 1));
                name.len() + 1
            }
            '$' => return Err("parameters have names (`:sale_id`), not numbers".into()),
            c => {
                sql.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[taken..];
    }
    let lines: Vec<&str> = sql.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    Ok((lines.join("\n").trim_end_matches(';').to_owned(), parameters))
}

fn is_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_documentation_annotations_and_named_parameters() {
        let text = "-- Finds an order.\n-- @returns optional\n-- @nullable reason, emails[]\n\
                    -- @type status = Status\nSELECT ':no', a::text -- :neither\n FROM t\n\
                    WHERE a = :first AND b = :second AND c = :first;\n";
        let query = Query::parse("find_order", text).unwrap();
        assert_eq!(query.documentation, ["Finds an order."]);
        assert_eq!(query.parameters, ["first", "second"]);
        assert_eq!(query.sql, "SELECT ':no', a::text\n FROM t\nWHERE a = $1 AND b = $2 AND c = $1");
        assert_eq!(query.returns, Returns::Optional);
        assert!(query.nullable.contains("reason") && query.nullable_elements.contains("emails"));
        assert_eq!(query.types["status"], "Status");
    }

    #[test]
    fn what_does_not_follow_the_conventions_is_refused() {
        for text in
            ["SELECT 1", "-- Doc.\nSELECT $1", "-- Doc.\nSELECT 'open", "-- Doc.\n-- @what x\nSELECT 1"]
        {
            assert!(Query::parse("bad", text).is_err(), "{text}");
        }
    }
}
