//! What can be said of the images and of `docker-compose.yml` without starting a container. That the settings, commands
//! and ports are those of `./dev` is compared in `compose.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use book::reference::settings::programs;
use serde_yaml_ng::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(book::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn services() -> BTreeMap<String, Value> {
    let mut file: Value = serde_yaml_ng::from_str(&read("docker-compose.yml")).expect("valid YAML");
    file.apply_merge().expect("what services share");
    serde_yaml_ng::from_value(file["services"].clone()).expect("services")
}

fn words(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A stage of the Dockerfile: what it is called, what it begins with, and its instructions.
struct Stage {
    name: String,
    from: String,
    instructions: Vec<(String, String)>,
}

fn stages() -> Vec<Stage> {
    let text = read("deploy/Dockerfile");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty());
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let mut stages: Vec<Stage> = Vec::new();
    for line in joined.lines() {
        let (instruction, rest) = line.split_once(' ').expect("an instruction and its words");
        if instruction == "FROM" {
            let (from, name) = rest.split_once(" AS ").expect("every stage has a name");
            stages.push(Stage { name: name.into(), from: from.into(), instructions: vec![] });
        } else {
            let stage = stages.last_mut().expect("begins with FROM");
            stage.instructions.push((instruction.to_owned(), rest.trim().to_owned()));
        }
    }
    stages
}

impl Stage {
    fn all<'a>(&'a self, instruction: &'a str) -> impl Iterator<Item = &'a str> {
        self.instructions.iter().filter(move |(name, _)| name == instruction).map(|(_, rest)| rest.as_str())
    }
}

/// A stage and those that it stands on, to the image of others at the bottom.
fn lineage<'a>(stages: &'a [Stage], name: &str) -> Vec<&'a Stage> {
    let mut line = Vec::new();
    let mut next = stages.iter().find(|stage| stage.name == name);
    while let Some(stage) = next {
        line.push(stage);
        next = stages.iter().find(|below| below.name == stage.from);
    }
    line
}

/// Those that cannot be read-only, and why is said beside them in the file.
const WRITING: [&str; 3] = ["kafka", "grafana", "kafka-ui"];
/// Their images' own user is none with rights.
const OWN_USER: [&str; 2] = ["kafka", "kafka-ui"];

#[test]
fn containers_have_no_rights_no_surplus_and_an_end() {
    let stages = stages();
    for (name, service) in services() {
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert_eq!(words(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(words(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert!(service["privileged"].is_null() && service["cap_add"].is_null(), "{name}");
        assert!(service["pids_limit"].as_u64().is_some_and(|limit| limit <= 1024), "{name}");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["memory"].is_string() && limits["cpus"].is_string(), "{name}: {limits:?}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}: its log never ends");
        assert_eq!(service["read_only"] == true, !WRITING.contains(&name.as_str()), "{name}");
        match service["build"]["target"].as_str() {
            Some(target) => {
                let line = lineage(&stages, target);
                let user = line.iter().find_map(|stage| stage.all("USER").last()).expect("a user");
                assert_eq!(user, "flashsale", "{name}");
            }
            None if OWN_USER.contains(&name.as_str()) => assert!(service["user"].is_null(), "{name}"),
            None => {
                let user = service["user"].as_str().unwrap_or_else(|| panic!("{name} runs as root"));
                assert!(!user.starts_with('0') && user.contains(':'), "{name}: {user}");
            }
        }
    }
}

/// What is mounted from the repository is there, and cannot be written to.
#[test]
fn mounted_files_exist_and_are_read_only() {
    let mut mounted = 0;
    for (name, service) in services() {
        for volume in words(&service["volumes"]).iter().filter(|volume| volume.starts_with('.')) {
            let parts: Vec<&str> = volume.split(':').collect();
            assert!(parts.len() == 3 && parts[2] == "ro", "{name}: {volume}");
            assert!(book::root().join(parts[0]).exists(), "{name}: {volume}");
            mounted += 1;
        }
    }
    assert!(mounted > 6, "only {mounted} were found");
}

#[test]
fn what_is_published_is_published_on_loopback() {
    for (name, service) in services() {
        for port in words(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
}

/// Every setting in the file is one of the program that gets it.
#[test]
fn programs_are_given_settings_that_they_have() {
    let services = services();
    for program in programs() {
        let service = program.name.rsplit(' ').next().expect("a name");
        let known: BTreeSet<&str> =
            program.settings.iter().map(|setting| setting.variable.as_str()).collect();
        let given = services[service]["environment"].as_mapping().expect("settings");
        for (name, value) in given {
            let name = name.as_str().expect("a name");
            assert!(known.contains(name), "{service} has no setting {name}");
            assert!(value.is_string(), "{service} {name}: in quotes, or YAML makes something else of it");
        }
    }
}

/// `${NAME}` is explained where people look for it.
#[test]
fn what_the_environment_may_change_is_in_the_example() {
    let (file, example) = (read("docker-compose.yml"), read(".env.example"));
    let names: BTreeSet<&str> =
        file.split("${").skip(1).filter_map(|rest| rest.split([':', '}']).next()).collect();
    assert!(names.contains("LOG_FILTER"), "{names:?}");
    for name in names {
        assert!(example.contains(&format!("{name}=")), ".env.example lacks {name}");
    }
}

/// Prometheus scrapes each program where it listens, and nothing else.
#[test]
fn prometheus_scrapes_each_program_where_it_listens() {
    let targets: Vec<Value> = serde_yaml_ng::from_str(&read("grafana/targets/compose.yml")).expect("targets");
    let scraped: BTreeSet<String> = targets.iter().flat_map(|group| words(&group["targets"])).collect();
    let services = services();
    let mut listen = BTreeSet::new();
    for program in programs() {
        let service = program.name.rsplit(' ').next().expect("a name");
        let settings = services[service]["environment"].as_mapping().expect("settings");
        let name = if service == "gateway" {
            "GATEWAY_ADMIN_LISTEN".to_owned()
        } else {
            format!("{}_LISTEN", service.to_uppercase())
        };
        let address = settings[name.as_str()].as_str().expect("an address");
        listen.insert(format!("{service}:{}", address.rsplit(':').next().expect("a port")));
    }
    let programs: BTreeSet<String> = scraped
        .iter()
        .filter(|target| !target.starts_with("prometheus") && !target.contains("127.0.0.1"))
        .cloned()
        .collect();
    assert_eq!(programs, listen);
}

/// What a stage copies is there, in the repository and among what the build is sent, or in the stage it comes from.
#[test]
fn what_the_images_copy_is_there() {
    let ignored = read(".dockerignore");
    let sent: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let stages = stages();
    for stage in &stages {
        for copied in stage.all("COPY") {
            let words: Vec<&str> = copied.split_whitespace().filter(|word| !word.starts_with("--")).collect();
            let (_, sources) = words.split_last().expect("a target");
            if let Some(from) = copied.split_whitespace().find_map(|word| word.strip_prefix("--from=")) {
                let build = stages.iter().find(|stage| stage.name == from).expect("a stage");
                for source in sources {
                    let program =
                        Path::new(source).file_name().and_then(|name| name.to_str()).expect("a file");
                    let made = build.all("RUN").any(|run| {
                        run.contains(&format!("--bin {program}"))
                            && run.contains(&format!("release/{program}"))
                    });
                    assert!(made, "{}: {from} does not make {source}", stage.name);
                }
                continue;
            }
            for source in sources.iter().filter(|source| **source != ".") {
                assert!(book::root().join(source).exists(), "{}: {source}", stage.name);
                assert!(sent.contains(source), "{}: .dockerignore leaves {source} out", stage.name);
            }
        }
    }
    let built: BTreeSet<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
    for (name, service) in services() {
        if let Some(target) = service["build"]["target"].as_str() {
            assert!(built.contains(target), "{name}: the Dockerfile has no {target}");
        }
    }
}

/// Small and closed: compilers stay behind, nothing is fetched at a moving tag, packages leave no lists.
#[test]
fn images_are_small_and_pinned() {
    let stages = stages();
    let mut checked = 0;
    for (name, service) in services() {
        let Some(target) = service["build"]["target"].as_str() else { continue };
        let line = lineage(&stages, target);
        let bottom = &line.last().expect("a stage").from;
        assert!(bottom.starts_with("debian:bookworm-") && bottom.ends_with("-slim"), "{name}: {bottom}");
        assert!(bottom.chars().filter(char::is_ascii_digit).count() == 8, "{name}: {bottom} moves");
        for stage in &line {
            for run in stage.all("RUN").filter(|run| run.contains("apt-get install")) {
                assert!(run.contains("--no-install-recommends"), "{name}: {run}");
                assert!(run.contains("rm -rf /var/lib/apt/lists/*"), "{name}: {run}");
            }
            assert_eq!(stage.all("ADD").count(), 0, "{name}");
        }
        assert!(line.iter().any(|stage| stage.all("ENTRYPOINT").count() > 0), "{name}");
        checked += 1;
    }
    assert!(checked >= 7, "only {checked} images were found");
}

/// What a health check calls is in the image: the script that the image gets, Bash of Debian, or what the images of
/// others are known to have.
#[test]
fn health_checks_call_what_the_image_has() {
    let stages = stages();
    for (name, service) in services() {
        let check = words(&service["healthcheck"]["test"]);
        assert_eq!(check[0], "CMD", "{name}: without a shell");
        let known: &[&str] = match (name.as_str(), service["build"]["target"].as_str()) {
            ("redis", _) => &["redis-cli"],
            ("postgres", _) => &["pg_isready"],
            ("kafka", _) => &["bash"],
            ("prometheus" | "grafana" | "kafka-ui", _) => &["wget"],
            (_, Some(target)) => {
                let line = lineage(&stages, target);
                let has_probe = line
                    .iter()
                    .any(|stage| stage.all("COPY").any(|copy| copy.ends_with("/usr/local/bin/probe")));
                if has_probe { &["probe", "bash"] } else { &["bash"] }
            }
            _ => &[],
        };
        assert!(known.contains(&check[1].as_str()), "{name}: {check:?}");
    }
}
