//! Checks of `deploy/` for a single machine: the settings of the environment file exist and are valid, and systemd accepts the
//! units and rates them as well sandboxed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use book::reference::settings::{Program, programs};

/// A secret of the right form.
const SECRET: &str = "whsec_Zmxhc2hzYWxlLWVudmlyb25tZW50LWZpbGUtdGVzdA==";

fn read(path: &str) -> String {
    std::fs::read_to_string(book::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns NAME and value of each line, including lines that are commented out.
fn environment(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Parses these settings as options of a program.
fn parse(program: &Program, settings: &BTreeMap<String, String>) -> Result<(), String> {
    let given = program
        .settings
        .iter()
        .filter_map(|setting| Some(format!("{}={}", setting.option, settings.get(&setting.variable)?)));
    program.command.clone().try_get_matches_from(given).map(drop).map_err(|error| error.to_string())
}

#[test]
fn the_environment_file_has_existing_settings_with_valid_values() {
    let all = environment(&read("deploy/flashsale.env"));
    let settings: BTreeMap<String, String> = all.iter().cloned().collect();
    assert_eq!(all.len(), settings.len(), "a setting is repeated");
    let programs = programs();
    let known: BTreeSet<&str> = programs
        .iter()
        .flat_map(|program| &program.settings)
        .map(|setting| setting.variable.as_str())
        .collect();
    let unknown: Vec<_> = settings.keys().filter(|name| !known.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "no program has the settings {unknown:?}");
    // These are in the file that only root can read.
    let mut settings = settings;
    for name in ["PAYMENT_WEBHOOK_SECRET", "NOTIFICATION_WEBHOOK_SECRET"] {
        assert!(known.contains(name) && read("deploy/flashsale.env").contains(name), "{name}");
        settings.insert(name.into(), SECRET.into());
    }
    for program in &programs {
        parse(program, &settings).unwrap_or_else(|why| panic!("{}: {why}", program.name));
    }
    let mut wrong = settings.clone();
    wrong.insert("GATEWAY_LISTEN".into(), "everywhere".into());
    assert!(parse(&programs[0], &wrong).is_err(), "a wrong value is an error");
}

#[test]
fn no_secret_is_in_a_file() {
    for file in ["deploy/flashsale.env", ".env.example"] {
        for (name, value) in environment(&read(file)) {
            assert!(!name.contains("SECRET") && !value.contains("whsec_"), "{file}: {name}");
        }
    }
}

/// The listeners in `.env.example` and in the machine's file are the same.
#[test]
fn the_two_environment_files_have_the_same_listeners() {
    let listeners = |file: &str| -> BTreeMap<String, String> {
        environment(&read(file)).into_iter().filter(|(name, _)| name.ends_with("_LISTEN")).collect()
    };
    assert_eq!(listeners("deploy/flashsale.env"), listeners(".env.example"));
}

#[test]
fn systemd_accepts_the_units_and_rates_them_as_sandboxed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("units");
    let _ = std::fs::remove_dir_all(&folder); // from the last run
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut units = Vec::new();
    for entry in std::fs::read_dir(book::root().join("deploy/systemd")).expect("deploy/systemd") {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        let text = read(&format!("deploy/systemd/{name}"));
        // The programs are not installed on this machine; everything else in a unit must be valid.
        let start = text.lines().map(|line| match line.strip_prefix("ExecStart=") {
            Some(command) => {
                let program = command.split(' ').next().expect("a program");
                let installed =
                    ["/usr/local/bin/gateway", "/usr/local/bin/settlement", "/usr/local/bin/downstream"];
                assert!(
                    installed.contains(&program) || program.starts_with("/opt/kafka/bin/"),
                    "{name}: {program}"
                );
                "ExecStart=/bin/true".to_owned()
            }
            None => line.to_owned(),
        });
        let text: Vec<String> = start.collect();
        let path = folder.join(name.replace("@.", "@payments."));
        std::fs::write(&path, text.join("\n")).expect("written");
        units.push(path);
    }
    assert!(units.len() >= 5, "{units:?}");
    let analyze = |arguments: &[&str], units: &[&Path]| -> Option<String> {
        let output = Command::new("systemd-analyze").args(arguments).args(units).output().ok()?;
        let output_text =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{output_text}");
        Some(output_text)
    };
    let all: Vec<&Path> = units.iter().map(|unit| unit.as_path()).collect();
    let Some(output_text) = analyze(&["verify", "--man=no"], &all) else {
        println!("skipped: systemd-analyze is not installed");
        return;
    };
    assert!(output_text.trim().is_empty(), "{output_text}");
    for service in all.iter().filter(|unit| unit.extension().is_some_and(|end| end == "service")) {
        // The exposure in tenths, of 100: up to 2.0 is "OK".
        analyze(&["security", "--offline=true", "--no-pager", "--threshold=20"], &[*service]);
    }
}
