//! Checks of the pages that need no running system.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use book::kind::{self, Format, Kind, Reason};
use book::page::{Block, Page, pages};
use book::{links, site};

fn all() -> Vec<Page> {
    pages(&book::root()).expect("the pages")
}

/// Returns every block with its place and its kind.
fn blocks(pages: &[Page]) -> Vec<(String, Block, Kind)> {
    let mut found = Vec::new();
    for page in pages {
        for block in page.blocks() {
            let place = format!("{}:{}", page.path.display(), block.line);
            let kind = kind::classify(&block).unwrap_or_else(|error| panic!("{place}: {error}"));
            found.push((place, block, kind));
        }
    }
    found
}

/// Every block is run, compared, parsed, or displayed because it cannot be run. Only few are merely parsed, and each has a
/// reason.
#[test]
fn every_block_has_a_kind() {
    let mut parsed = BTreeMap::<Reason, usize>::new();
    let mut run = 0;
    for (place, block, kind) in blocks(&all()) {
        match kind {
            Kind::Command { .. } | Kind::Console | Kind::Sql => run += 1,
            Kind::Parsed(reason) => *parsed.entry(reason).or_default() += 1,
            Kind::Displayed => {
                let command = ["$ ", "curl ", "./dev ", "flashsale ", "docker "];
                let hidden =
                    block.body.lines().find(|line| command.iter().any(|start| line.starts_with(start)));
                assert_eq!(hidden, None, "{place}: a command in a block that is not run");
            }
            Kind::Output(_) | Kind::Data { .. } => {}
        }
    }
    let parsed_only: usize = parsed.values().sum();
    assert!(run > 2 * parsed_only, "{run} blocks are run, and {parsed:?} only parsed");
}

#[test]
fn data_is_valid() {
    for (place, block, kind) in blocks(&all()) {
        let Kind::Data { format, .. } = kind else { continue };
        let fault = match format {
            Format::Json => {
                serde_json::from_str::<serde_json::Value>(&block.body).err().map(|e| e.to_string())
            }
            Format::Toml => toml::from_str::<toml::Table>(&block.body).err().map(|e| e.to_string()),
            Format::Yaml => {
                serde_yaml_ng::from_str::<serde_yaml_ng::Value>(&block.body).err().map(|e| e.to_string())
            }
            Format::Text => None,
        };
        assert_eq!(fault, None, "{place}");
    }
}

/// Bash can parse all scripts, including those that are not run, and shellcheck accepts them if it is installed.
#[test]
fn commands_are_valid_shell() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("scripts");
    let _ = std::fs::remove_dir_all(&folder); // of the last run
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut scripts = Vec::new();
    for (place, block, kind) in blocks(&all()) {
        if matches!(kind, Kind::Command { .. } | Kind::Parsed(_)) {
            let script = folder.join(place.replace(['/', ':'], "-") + ".sh");
            std::fs::write(&script, &block.body).expect("written");
            let read = Command::new("bash").arg("-n").arg(&script).output().expect("bash");
            assert!(read.status.success(), "{place}: {}", String::from_utf8_lossy(&read.stderr));
            scripts.push(script);
        }
    }
    // Variables are set in earlier blocks and used in later ones: a page contains commands, not complete scripts.
    let excluded = "SC2034,SC2154,SC2164,SC2103,SC1091,SC2155";
    let check = Command::new("shellcheck")
        .args(["-s", "bash", "-S", "warning", "-e", excluded])
        .args(&scripts)
        .output();
    match check {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => println!("shellcheck skipped: {error}"),
    }
}

/// Every `./dev` command in the pages exists.
#[test]
fn every_dev_command_in_the_pages_exists() {
    let help = Command::new(book::root().join("dev")).arg("help").output().expect("./dev help");
    let help = String::from_utf8(help.stdout).expect("text");
    let known: BTreeSet<&str> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(known.contains("demo") && known.contains("reset"), "{known:?}");
    let mut commands = 0;
    for (place, block, kind) in blocks(&all()) {
        if !matches!(kind, Kind::Command { .. } | Kind::Parsed(_) | Kind::Console) {
            continue;
        }
        let is_dev = kind == Kind::Parsed(Reason::Dev);
        let mut here = 0;
        for rest in block.body.split("./dev ").skip(1) {
            let command = rest.split([' ', '\n', ')', '"', ';', '|']).next().unwrap_or_default();
            assert!(known.contains(command) || command == "help", "{place}: ./dev {command}");
            here += 1;
        }
        assert!(
            !is_dev || here > 0 || block.body.contains(".ci/run"),
            "{place}: no command that .ci/run runs"
        );
        commands += here;
    }
    assert!(commands > 10, "only {commands} commands were found");
}

#[test]
fn links_in_the_sources_are_valid() {
    let broken = links::broken_in_sources(&book::root(), &all());
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_site_is_built_and_its_links_are_valid() {
    let destination = Path::new(env!("CARGO_TARGET_TMPDIR")).join("site");
    site::build(&book::root(), &destination).unwrap_or_else(|error| panic!("{error}"));
    let broken = links::broken_in_site(&destination).expect("the site");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A page that is not in the summary would not be in the site.
#[test]
fn every_page_is_in_the_summary() {
    let summary = std::fs::read_to_string(book::root().join("docs/SUMMARY.md")).expect("docs/SUMMARY.md");
    for page in all() {
        let Ok(path) = page.path.strip_prefix("docs") else { continue };
        let named = summary.contains(&format!("({})", path.display()));
        assert!(named || path == Path::new("SUMMARY.md"), "{}", page.path.display());
    }
}
