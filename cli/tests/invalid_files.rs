//! Faults of a definition are shown at their positions. Each file in `faults/` has its expected output next to it;
//! UPDATE_EXPECTED=1 updates the expected output after an intended change.

mod support;

use std::path::Path;

use serde_json::json;
use support::{Folder, Operator, run_to_end};

/// Returns an operator whose gateway does not exist: faults are found before anything is sent.
fn offline() -> Operator {
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
        let mut command = offline().command(&["sale", "apply", &name]);
        command.current_dir(&folder);
        let finished = run_to_end(command, "");
        assert_eq!((finished.code, finished.out.as_str()), (3, ""), "{finished:?}");
        let expected = folder.join(format!("{name}.expected"));
        if std::env::var_os("UPDATE_EXPECTED").is_some() {
            std::fs::write(&expected, &finished.err).expect("written");
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(finished.err, expected, "{name}");
    }
}

#[test]
fn programs_get_the_faults_with_line_and_column() {
    let finished = offline().run_with_input(
        &["sale", "apply", "-", "--json"],
        "sale_id = \"mugs\"\ntitle = \"머그\"\ncurrency = \"KRW\"\nitems = [ { sku = \"머그\", name = \"x\", price = 1 } ]\n",
    );
    assert_eq!(finished.code, 3);
    let error = finished.error();
    assert_eq!((&error["kind"], &error["exit_code"]), (&json!("invalid_file"), &json!(3)));
    let fault = &error["faults"][0];
    assert_eq!(
        (&fault["file"], &fault["line"], &fault["column"]),
        (&json!("<stdin>"), &json!(4), &json!(19)),
        "{error}"
    );
}

#[test]
fn a_missing_file_and_a_binary_file_are_errors_of_their_own() {
    let folder = Folder::new();
    let missing = folder.path().join("none.toml").display().to_string();
    let finished = offline().run(&["sale", "apply", &missing]);
    assert_eq!(finished.code, 7);
    assert!(finished.err.contains("none.toml: No such file or directory"), "{}", finished.err);
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe]).expect("written");
    assert_eq!(offline().run(&["sale", "apply", &binary.display().to_string()]).code, 7);
}
