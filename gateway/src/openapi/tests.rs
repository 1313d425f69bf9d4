use std::path::Path;

use super::*;
use crate::route::{DOCS, DOCUMENT};

/// `UPDATE_OPENAPI=1 cargo test -p gateway --lib openapi` rewrites the golden files.
#[test]
fn the_documents_equal_the_golden_files() {
    for (part, file) in [(Part::Public, "public.json"), (Part::All, "admin.json")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(file);
        let document = text(part);
        if std::env::var_os("UPDATE_OPENAPI").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &document).unwrap();
        }
        let golden = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            document == golden,
            "gateway/openapi/{file} differs from the generated document; review the change after\n  \
             UPDATE_OPENAPI=1 cargo test -p gateway --lib openapi"
        );
    }
}

/// Returns a document's operations: method, path and ID.
fn operations(part: Part) -> Vec<(Method, String, String)> {
    let document = document(part);
    let paths = document["paths"].as_object().unwrap();
    let operations_of_path = |(path, item): (&String, &Value)| {
        let operations = item.as_object().unwrap().iter().filter(|(_, value)| value.is_object());
        let named = operations.map(|(method, operation)| {
            let method = method.to_uppercase().parse().unwrap();
            (method, path.clone(), operation["operationId"].as_str().unwrap().to_owned())
        });
        named.collect::<Vec<_>>()
    };
    paths.iter().flat_map(operations_of_path).collect()
}

#[test]
fn every_documented_operation_is_routed_to_the_endpoint_that_it_describes() {
    let documented = operations(Part::All);
    for (method, path, id) in operations(Part::Public) {
        let route = Public::of(&method, &path).unwrap();
        assert_eq!(route.label(), id);
        assert!(Public::ALL.contains(&route), "{path} is not parsed as a path template");
    }
    assert_eq!(operations(Part::Public).len(), Public::ALL.len());
    for route in Admin::ALL {
        let is_documented = documented.iter().any(|(method, path, _)| Admin::of(method, path) == Ok(route));
        assert!(is_documented, "{route:?} is not documented");
    }
    for (method, path, id) in &documented {
        let is_monitoring = ["metrics", "live", "ready"].contains(&id.as_str());
        let is_routed = Public::of(method, path).is_ok() || Admin::of(method, path).is_ok();
        assert!(is_routed ^ is_monitoring, "{method} {path} is documented but is not an endpoint");
    }
    let mut ids: Vec<_> = documented.iter().map(|(.., id)| id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), documented.len(), "operation IDs are unique");
}

#[test]
fn the_public_document_contains_nothing_about_the_admin_api() {
    assert!(
        operations(Part::Public)
            .iter()
            .all(|(_, path, _)| ["/", DOCS, DOCUMENT].contains(&path.as_str()) || path.starts_with("/v1/"))
    );
    assert!(!text(Part::Public).contains("admin"));
}
