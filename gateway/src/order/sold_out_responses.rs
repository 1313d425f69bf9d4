//! A cache of encoded sold-out responses: in a burst they are most of what this gateway sends.

use std::collections::HashMap;

use bytes::Bytes;
use contract::ids::Sku;
use contract::lifecycle::Language;
use contract::problem::Code;
use parking_lot::RwLock;

use crate::http::problem::{Problem, encoded_problem};
use crate::http::response::Response;

/// Encoded bodies by SKU and by whether the language is Korean.
#[derive(Default)]
pub struct SoldOutResponses {
    bodies: RwLock<HashMap<(Sku, bool), Bytes>>,
}

impl SoldOutResponses {
    /// Returns the response for a SKU of which no unit is left.
    pub fn response(&self, sku: &Sku, language: Language) -> Response {
        let key = (sku.clone(), language == Language::Korean);
        let cached = self.bodies.read().get(&key).cloned();
        let body = cached.unwrap_or_else(|| {
            let problem = Problem::from(Code::SoldOut).with("sku", sku.as_str()).with("remaining", 0);
            let mut bodies = self.bodies.write();
            bodies.entry(key).or_insert_with(|| problem.body(language)).clone()
        });
        encoded_problem(Code::SoldOut, body)
    }
}
