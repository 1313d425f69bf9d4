//! Creates or updates a sale from a definition file, and reports the changes.

use std::io::Read;
use std::path::Path;

use contract::ids::SaleId;
use contract::money::Currency;
use contract::sale::SaleTerms;
use contract::wire;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::difference;
use crate::api::{Api, Call, Idempotency};
use crate::definition;
use crate::failure::Failure;
use crate::output::OutputFormat;

/// The maximum size of a definition file, which is also the server's limit.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Runs `flashsale sale apply`.
pub(super) async fn apply(
    api: &Api,
    output: OutputFormat,
    file: &Path,
    sale: Option<SaleId>,
    dry_run: bool,
) -> Result<(), Failure> {
    let (name, text) = read(file)?;
    let wanted = definition::read(&name, text, sale).map_err(|faults| Failure::Invalid { name, faults })?;
    let stored = super::find(api, &wanted.sale).await?;
    let before = stored.as_ref().and_then(terms_of);
    let changes = difference::between(before.as_ref(), &wanted.terms);
    let mut result = match (&stored, changes.is_empty()) {
        (None, _) => "created",
        (Some(_), false) => "changed",
        (Some(_), true) => "unchanged",
    };
    if !dry_run && (stored.is_none() || !changes.is_empty()) {
        let body = wire::encode_value(&wanted.terms);
        let path = ["admin", "v1", "sales", wanted.sale.as_str()];
        let (status, _) = api.send(Call::new(Method::PUT, &path, Idempotency::Idempotent).body(body)).await?;
        if status == StatusCode::CREATED {
            result = "created"; // it existed, but was deleted in the meantime
        }
    }
    let answer = json!({ "sale_id": wanted.sale, "result": result, "dry_run": dry_run, "changes": changes });
    output.print(&answer, || {
        let would = if dry_run { "would be " } else { "" };
        let next = match result {
            "created" if !dry_run => {
                format!("The sale is a draft. To open it: flashsale sale open {} --wait\n", wanted.sale)
            }
            _ => String::new(),
        };
        format!("{}: {would}{result}\n{}{next}", wanted.sale, difference::render(&changes))
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
        return Err(Failure::Usage(format!("{name}: the file is longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok((name, text))
}

/// Extracts the terms from a sale as the server returns it. The contract's type defines which members are terms.
pub(super) fn terms_of(shown: &Map<String, Value>) -> Option<SaleTerms> {
    let least = json!({ "title": "", "currency": Currency::KRW, "items": [] });
    let least = serde_json::from_value::<SaleTerms>(least).and_then(serde_json::to_value).ok()?;
    let is_term = |name: &str| least.get(name).is_some();
    let terms: Map<_, _> =
        shown.iter().filter(|(name, _)| is_term(name)).map(|(n, v)| (n.clone(), v.clone())).collect();
    serde_json::from_value(terms.into()).ok()
}
