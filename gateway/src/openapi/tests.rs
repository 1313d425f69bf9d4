use std::path::Path;

use hyper::Method;
use serde_json::Value;

use crate::endpoints::routing::route;
use crate::endpoints::{ADMIN, MONITORING, PUBLIC, complete_document, public_document};

/// `UPDATE_OPENAPI=1 cargo test -p gateway --lib openapi` rewrites the golden files.
#[test]
fn the_documents_equal_the_golden_files() {
    for (document, file) in [(public_document(), "public.json"), (complete_document(), "admin.json")] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(file);
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
fn operations(document: &str) -> Vec<(Method, String, String)> {
    let document: Value = serde_json::from_str(document).unwrap();
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
    let public = operations(&public_document());
    for (method, path, id) in &public {
        assert_eq!(route(PUBLIC, method, path).map(|route| route.endpoint.name), Ok(id.as_str()));
    }
    assert_eq!(public.len(), PUBLIC.iter().copied().flatten().count());
    let complete = operations(&complete_document());
    for (method, path, id) in &complete {
        let listeners = [PUBLIC, ADMIN, MONITORING];
        let routed =
            listeners.map(|endpoints| route(endpoints, method, path).map(|route| route.endpoint.name));
        assert!(routed.contains(&Ok(id.as_str())), "{method} {path} is documented but is not an endpoint");
    }
    for endpoint in ADMIN.iter().chain(MONITORING).copied().flatten() {
        assert!(complete.iter().any(|(.., id)| id == endpoint.name), "{} is not documented", endpoint.name);
    }
    let mut ids: Vec<_> = complete.iter().map(|(.., id)| id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), complete.len(), "operation IDs are unique");
}

#[test]
fn the_public_document_contains_nothing_about_the_admin_api() {
    let document = public_document();
    assert!(operations(&document).iter().all(|(_, path, _)| {
        ["/", "/docs", "/openapi.json"].contains(&path.as_str()) || path.starts_with("/v1/")
    }));
    assert!(!document.contains("admin"));
}
