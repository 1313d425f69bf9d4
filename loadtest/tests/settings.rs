//! README.md has every setting of every program with its default, as the program's own `--help` tells them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What the programs are started as.
const PROGRAMS: [&[&str]; 7] = [
    &["gateway"],
    &["settlement"],
    &["downstream"],
    &["downstream", "payments"],
    &["downstream", "notification"],
    &["downstream", "analytics"],
    &["downstream", "provider"],
];

/// Environment variables with their defaults (empty: none), from `--help`.
fn told(program: &[&str]) -> Vec<(String, String)> {
    let tests = std::env::current_exe().expect("this program");
    let path = tests.ancestors().nth(2).expect("target/debug/deps/…").join(program[0]);
    let mut help = Command::new(&path);
    let output = help.args(&program[1..]).arg("--help").env_clear().output();
    let output = output.unwrap_or_else(|error| {
        panic!("{}: {error}; ./dev test builds it (cargo build --bins)", path.display())
    });
    // Long lines are folded, also inside of brackets.
    let text = String::from_utf8(output.stdout).expect("text");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let inside = |from: &str| from.split_once(']').map(|(inside, _)| inside.trim_matches('"').to_owned());
    let settings = text.split("[env: ").skip(1).map(|rest| {
        let name = inside(rest).expect("closed").split('=').next().expect("a name").to_owned();
        let default = rest.split_once("] [default: ").filter(|(name, _)| !name.contains(' '));
        (name, default.and_then(|(_, rest)| inside(rest)).unwrap_or_default())
    });
    settings.collect()
}

/// The rows of the README's tables of settings: name and default.
fn documented() -> BTreeMap<String, String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(readme).expect("README.md");
    let (_, section) = readme.split_once("\n## Configuration\n").expect("its section");
    let section = section.split("\n## ").next().expect("its end");
    let mut rows = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let values = |cell: &str| -> Vec<String> {
            cell.split("`, `")
                .flat_map(|part| part.split(", "))
                .map(|part| part.trim_matches('`').into())
                .collect()
        };
        for (name, default) in values(cells[1]).into_iter().zip(values(cells[2])) {
            rows.insert(name, default);
        }
    }
    rows
}

#[test]
fn the_readme_has_every_setting_with_its_default() {
    let documented = documented();
    let mut known = Vec::new();
    for program in PROGRAMS {
        let told = told(program);
        assert!(told.len() > 3, "{program:?}: only {told:?} was found");
        for (name, default) in told {
            let expected = match default.as_str() {
                "" if name == "GATEWAY_NAME" => "made up",
                "" if ["GATEWAY_DEV_AUTH", "GATEWAY_STOREFRONT"].contains(&name.as_str()) => "false",
                "" => "none",
                default => default,
            };
            let there = documented.get(&name).map(String::as_str);
            assert_eq!(there, Some(expected), "{program:?}: {name}");
            known.push(name);
        }
    }
    let gone: Vec<_> = documented
        .keys()
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_') && !known.contains(name))
        .collect();
    assert!(gone.is_empty(), "no program has {gone:?}");
}
