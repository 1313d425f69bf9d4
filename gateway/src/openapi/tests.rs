use std::path::Path;

use super::*;
use crate::route::{DOCS, DOCUMENT};

/// `UPDATE_OPENAPI=1 cargo test -p gateway --lib openapi` writes the documents anew.
#[test]
fn the_documents_are_those_in_the_repository() {
    for (part, file) in [(Part::Public, "public.json"), (Part::All, "admin.json")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(file);
        let made = text(part);
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            made == kept,
            "gateway/openapi/{file} is not what the code says: look at what has changed after\n  \
             UPDATE_OPENAPI=1 cargo test -p gateway --lib openapi"
        );
    }
}

/// A document's operations: method, path, id.
fn operations(part: Part) -> Vec<(Method, String, String)> {
    let document = document(part);
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &Value)| {
        let operations = item.as_object().unwrap().iter().filter(|(_, value)| value.is_object());
        let named = operations.map(|(method, operation)| {
            let method = method.to_uppercase().parse().unwrap();
            (method, path.clone(), operation["operationId"].as_str().unwrap().to_owned())
        });
        named.collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

#[test]
fn every_documented_operation_leads_to_the_call_that_it_describes() {
    let documented = operations(Part::All);
    for (method, path, id) in operations(Part::Public) {
        let route = Public::of(&method, &path).unwrap();
        assert_eq!(route.label(), id);
        assert!(Public::ALL.contains(&route), "{path} does not stand for itself");
    }
    assert_eq!(operations(Part::Public).len(), Public::ALL.len());
    for route in Admin::ALL {
        let led = documented.iter().any(|(method, path, _)| Admin::of(method, path) == Ok(route));
        assert!(led, "{route:?} is not documented");
    }
    for (method, path, id) in &documented {
        let observed = ["metrics", "live", "ready"].contains(&id.as_str());
        let routed = Public::of(method, path).is_ok() || Admin::of(method, path).is_ok();
        assert!(routed ^ observed, "{method} {path} is documented, and is no call");
    }
    let mut ids: Vec<_> = documented.iter().map(|(.., id)| id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), documented.len(), "operations have names of their own");
}

#[test]
fn the_public_document_tells_nothing_of_what_operators_do() {
    assert!(
        operations(Part::Public)
            .iter()
            .all(|(_, path, _)| ["/", DOCS, DOCUMENT].contains(&path.as_str()) || path.starts_with("/v1/"))
    );
    assert!(!text(Part::Public).contains("admin"));
}
