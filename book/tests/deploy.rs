//! What `deploy/` has for a single machine: an environment file whose settings exist and are taken, and units that
//! systemd accepts and calls well closed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use book::reference::settings::{Program, programs};

/// Any of the right form.
const SECRET: &str = "whsec_Zmxhc2hzYWxlLWVudmlyb25tZW50LWZpbGUtdGVzdA==";

fn read(path: &str) -> String {
    std::fs::read_to_string(book::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// NAME=value of each line, those that are commented out included.
fn environment(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs
        .filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What the program says to these settings, given as options.
fn taken(program: &Program, settings: &BTreeMap<String, String>) -> Result<(), String> {
    let given = program
        .settings
        .iter()
        .filter_map(|setting| Some(format!("{}={}", setting.option, settings.get(&setting.variable)?)));
    program.command.clone().try_get_matches_from(given).map(drop).map_err(|error| error.to_string())
}

#[test]
fn the_environment_file_has_settings_that_exist_with_values_that_are_taken() {
    let all = environment(&read("deploy/flashsale.env"));
    let settings: BTreeMap<String, String> = all.iter().cloned().collect();
    assert_eq!(all.len(), settings.len(), "a setting stands there twice");
    let programs = programs();
    let known: BTreeSet<&str> = programs
        .iter()
        .flat_map(|program| &program.settings)
        .map(|setting| setting.variable.as_str())
        .collect();
    let unknown: Vec<_> = settings.keys().filter(|name| !known.contains(name.as_str())).collect();
    assert!(unknown.is_empty(), "no program has {unknown:?}");
    // Those of the file that only root can read.
    let mut settings = settings;
    for name in ["PAYMENT_WEBHOOK_SECRET", "NOTIFICATION_WEBHOOK_SECRET"] {
        assert!(known.contains(name) && read("deploy/flashsale.env").contains(name), "{name}");
        settings.insert(name.into(), SECRET.into());
    }
    for program in &programs {
        taken(program, &settings).unwrap_or_else(|why| panic!("{}: {why}", program.name));
    }
    let mut wrong = settings.clone();
    wrong.insert("GATEWAY_LISTEN".into(), "everywhere".into());
    assert!(taken(&programs[0], &wrong).is_err(), "a wrong value is noticed");
}

#[test]
fn no_secret_is_in_a_file() {
    for file in ["deploy/flashsale.env", ".env.example"] {
        for (name, value) in environment(&read(file)) {
            assert!(!name.contains("SECRET") && !value.contains("whsec_"), "{file}: {name}");
        }
    }
}

/// Every listener and address of `.env.example` and of the machine's file is that of the other, but for the services'
/// own ports.
#[test]
fn the_two_environment_files_have_the_same_listeners() {
    let listeners = |file: &str| -> BTreeMap<String, String> {
        environment(&read(file)).into_iter().filter(|(name, _)| name.ends_with("_LISTEN")).collect()
    };
    assert_eq!(listeners("deploy/flashsale.env"), listeners(".env.example"));
}

#[test]
fn systemd_accepts_the_units_and_calls_them_closed() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("units");
    let _ = std::fs::remove_dir_all(&folder); // of the last run
    std::fs::create_dir_all(&folder).expect("a folder");
    let mut units = Vec::new();
    for entry in std::fs::read_dir(book::root().join("deploy/systemd")).expect("deploy/systemd") {
        let name = entry.expect("an entry").file_name().into_string().expect("text");
        let text = read(&format!("deploy/systemd/{name}"));
        // The programs are not installed on this machine; whatever else a unit names must be right.
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
        let told =
            String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{told}");
        Some(told)
    };
    let all: Vec<&Path> = units.iter().map(|unit| unit.as_path()).collect();
    let Some(told) = analyze(&["verify", "--man=no"], &all) else {
        println!("left out: there is no systemd-analyze here");
        return;
    };
    assert!(told.trim().is_empty(), "{told}");
    for service in all.iter().filter(|unit| unit.extension().is_some_and(|end| end == "service")) {
        // Exposure in tenths, of 100: up to 2.0 is "OK".
        analyze(&["security", "--offline=true", "--no-pager", "--threshold=20"], &[*service]);
    }
}
