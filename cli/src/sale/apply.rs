//! Brings a sale to what a file says, and tells what that changed.

use std::io::Read;
use std::path::Path;

use contract::ids::SaleId;
use contract::money::Currency;
use contract::sale::SaleTerms;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::difference;
use crate::api::{Api, Call, Repeat};
use crate::definition;
use crate::failure::Failure;
use crate::output::Reader;

/// Longest definition that is read; the server takes as much.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// `flashsale sale apply`.
pub(super) async fn apply(
    api: &Api,
    reader: Reader,
    file: &Path,
    sale: Option<SaleId>,
    dry_run: bool,
) -> Result<(), Failure> {
    let (name, text) = read(file)?;
    let wanted = definition::read(&name, text, sale).map_err(|faults| Failure::Invalid { name, faults })?;
    let there = super::find(api, &wanted.sale).await?;
    let before = there.as_ref().and_then(terms_of);
    let changes = difference::between(before.as_ref(), &wanted.terms);
    let mut result = match (&there, changes.is_empty()) {
        (None, _) => "created",
        (Some(_), false) => "changed",
        (Some(_), true) => "unchanged",
    };
    if !dry_run && (there.is_none() || !changes.is_empty()) {
        // Terms of names, numbers and texts always serialize.
        let body = serde_json::to_value(&wanted.terms).unwrap_or_default();
        let path = ["admin", "v1", "sales", wanted.sale.as_str()];
        let (status, _) = api.answered(Call::new(Method::PUT, &path, Repeat::Harmless).body(body)).await?;
        if status == StatusCode::CREATED {
            result = "created"; // it was there, and has gone since
        }
    }
    let answer = json!({ "sale_id": wanted.sale, "result": result, "dry_run": dry_run, "changes": changes });
    reader.told(&answer, || {
        let would = if dry_run { "would be " } else { "" };
        let next = match result {
            "created" if !dry_run => {
                format!("It is a draft: `flashsale sale open {} --wait` lets customers in.\n", wanted.sale)
            }
            _ => String::new(),
        };
        format!("{}: {would}{result}\n{}{next}", wanted.sale, difference::drawn(&changes))
    })
}

fn read(file: &Path) -> Result<(String, String), Failure> {
    let (name, mut text) = (file.display().to_string(), String::new());
    let (name, read) = match name.as_str() {
        "-" => {
            ("<stdin>".to_owned(), std::io::stdin().lock().take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        }
        _ => {
            let opened = std::fs::File::open(file);
            (name, opened.and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)))
        }
    };
    read.map_err(|error| Failure::file(file, error))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::Usage(format!("{name}: longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok((name, text))
}

/// The terms among what the server tells of a sale. Which members are terms, the contract's type knows.
pub(super) fn terms_of(shown: &Map<String, Value>) -> Option<SaleTerms> {
    let least = json!({ "title": "", "currency": Currency::KRW, "items": [] });
    let least = serde_json::from_value::<SaleTerms>(least).and_then(serde_json::to_value).ok()?;
    let is_term = |name: &str| least.get(name).is_some();
    let terms: Map<_, _> =
        shown.iter().filter(|(name, _)| is_term(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    serde_json::from_value(terms.into()).ok()
}
