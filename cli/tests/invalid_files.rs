//! What is wrong with a definition is shown where it stands. Each file in `faults/` has its faults beside it, as a
//! person sees them; after a change that is meant, UPDATE_EXPECTED=1 writes them anew.

mod support;

use std::path::Path;

use serde_json::json;
use support::{Folder, Operator, finished};

/// Nobody listens there: what is wrong is found before anything is sent.
fn nobody() -> Operator {
    Operator { admin_url: "http://127.0.0.1:1".into(), token: None }
}

#[test]
fn every_fault_is_shown_with_its_line_and_a_caret() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults");
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .expect("the folder")
        .map(|file| file.expect("a file").file_name().into_string().expect("a name"))
        .filter(|name| !name.ends_with(".expected"))
        .collect();
    files.sort();
    assert!(files.len() >= 8, "{files:?}");
    for name in files {
        let mut command = nobody().command(&["sale", "apply", &name]);
        command.current_dir(&folder);
        let said = finished(command, "");
        assert_eq!((said.code, said.out.as_str()), (3, ""), "{said:?}");
        let expected = folder.join(format!("{name}.expected"));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected, &said.err).expect("written");
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(said.err, expected, "{name}");
    }
}

#[test]
fn programs_get_the_faults_with_line_and_column() {
    let said = nobody().fed(
        &["sale", "apply", "-", "--json"],
        "sale_id = \"mugs\"\ntitle = \"머그\"\ncurrency = \"KRW\"\nitems = [ { sku = \"머그\", name = \"x\", price = 1 } ]\n",
    );
    assert_eq!(said.code, 3);
    let error = said.error();
    assert_eq!((&error["kind"], &error["exit_code"]), (&json!("invalid_file"), &json!(3)));
    let fault = &error["faults"][0];
    assert_eq!(
        (&fault["file"], &fault["line"], &fault["column"]),
        (&json!("<stdin>"), &json!(4), &json!(19)),
        "{error}"
    );
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_a_failure_of_its_own() {
    let folder = Folder::new();
    let missing = folder.path().join("none.toml").display().to_string();
    let said = nobody().run(&["sale", "apply", &missing]);
    assert_eq!(said.code, 7);
    assert!(said.err.contains("none.toml: No such file or directory"), "{}", said.err);
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).expect("written");
    assert_eq!(nobody().run(&["sale", "apply", &binary.display().to_string()]).code, 7);
}
