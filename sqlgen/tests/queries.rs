//! The generated sources match the SQL files and the schema. `UPDATE_QUERIES=1 ./dev test -p sqlgen` writes them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::system::{Shape, System};

const PROGRAMS: [&str; 3] = ["downstream", "gateway", "settlement"];

/// All SQL files under `folder`, each with its name; a file of a subfolder has the folder's name in front.
fn files(folder: &Path, prefix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path: PathBuf = entry.expect("a readable entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name in UTF-8");
        if path.is_dir() {
            found.extend(files(&path, &format!("{prefix}{name}_")));
        } else {
            found.push((format!("{prefix}{name}"), std::fs::read_to_string(&path).expect("a readable file")));
        }
    }
    found.sort();
    found
}

fn formatted(root: &Path, source: &str) -> String {
    let mut rustfmt = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("rustfmt");
    rustfmt.stdin.take().expect("a pipe").write_all(source.as_bytes()).expect("written");
    let output = rustfmt.wait_with_output().expect("rustfmt ends");
    assert!(output.status.success(), "rustfmt refused the generated source");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[tokio::test]
async fn the_generated_queries_match_the_sql_files_and_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned();
    let system = System::start(Shape { gateways: 0, settlements: 1, ..Shape::default() }).await;
    let client = system.database().await;
    let mut outdated = Vec::new();
    for program in PROGRAMS {
        let folder = root.join(program);
        let source = sqlgen::generate(&client, &files(&folder.join("queries"), "")).await;
        let source = formatted(&root, &source.unwrap_or_else(|error| panic!("{program}/queries: {error}")));
        let target = folder.join("src/queries.rs");
        if std::fs::read_to_string(&target).unwrap_or_default() == source {
            continue;
        }
        if std::env::var_os("UPDATE_QUERIES").is_some() {
            std::fs::write(&target, source).expect("written");
        } else {
            outdated.push(target);
        }
    }
    assert!(outdated.is_empty(), "outdated: {outdated:?}; UPDATE_QUERIES=1 ./dev test -p sqlgen writes them");
}
