//! Checks of the images and of `docker-compose.yml` that need no container. `compose.rs` compares the settings, commands and
//! ports with those of `./dev`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use book::reference::settings::programs;
use serde_yaml_ng::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(book::root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn services() -> BTreeMap<String, Value> {
    let mut file: Value = serde_yaml_ng::from_str(&read("docker-compose.yml")).expect("valid YAML");
    file.apply_merge().expect("valid merges");
    serde_yaml_ng::from_value(file["services"].clone()).expect("services")
}

fn words(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A stage of the Dockerfile: its name, its base, and its instructions.
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

/// Returns a stage and its base stages, down to the external image.
fn lineage<'a>(stages: &'a [Stage], name: &str) -> Vec<&'a Stage> {
    let mut line = Vec::new();
    let mut next = stages.iter().find(|stage| stage.name == name);
    while let Some(stage) = next {
        line.push(stage);
        next = stages.iter().find(|below| below.name == stage.from);
    }
    line
}

/// Services that cannot be read-only; the file gives the reasons.
const WRITING: [&str; 3] = ["kafka", "grafana", "kafka-ui"];
/// Services whose image has its own unprivileged user.
const OWN_USER: [&str; 2] = ["kafka", "kafka-ui"];

#[test]
fn containers_are_unprivileged_and_limited() {
    let stages = stages();
    for (name, service) in services() {
        assert_eq!(service["restart"], "unless-stopped", "{name}");
        assert_eq!(words(&service["cap_drop"]), ["ALL"], "{name}");
        assert_eq!(words(&service["security_opt"]), ["no-new-privileges:true"], "{name}");
        assert!(service["privileged"].is_null() && service["cap_add"].is_null(), "{name}");
        assert!(service["pids_limit"].as_u64().is_some_and(|limit| limit <= 1024), "{name}");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["memory"].is_string() && limits["cpus"].is_string(), "{name}: {limits:?}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name}: its log is not limited");
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

/// Files that are mounted from the repository exist and are read-only.
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
fn ports_are_published_on_loopback_only() {
    for (name, service) in services() {
        for port in words(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
        }
    }
}

/// Every setting in the file exists in the program that receives it.
#[test]
fn programs_receive_only_settings_that_exist() {
    let services = services();
    for program in programs() {
        let service = program.name.rsplit(' ').next().expect("a name");
        let known: BTreeSet<&str> =
            program.settings.iter().map(|setting| setting.variable.as_str()).collect();
        let given = services[service]["environment"].as_mapping().expect("settings");
        for (name, value) in given {
            let name = name.as_str().expect("a name");
            assert!(known.contains(name), "{service} has no setting {name}");
            assert!(
                value.is_string(),
                "{service} {name}: must be quoted, because YAML would change its type"
            );
        }
    }
}

/// Each `${NAME}` is explained in `.env.example`.
#[test]
fn variables_of_the_environment_are_in_the_example() {
    let (file, example) = (read("docker-compose.yml"), read(".env.example"));
    let names: BTreeSet<&str> =
        file.split("${").skip(1).filter_map(|rest| rest.split([':', '}']).next()).collect();
    assert!(names.contains("LOG_FILTER"), "{names:?}");
    for name in names {
        assert!(example.contains(&format!("{name}=")), ".env.example lacks {name}");
    }
}

/// Prometheus scrapes the listeners of all programs, and nothing else.
#[test]
fn prometheus_scrapes_the_listener_of_each_program() {
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

/// Files that a stage copies exist: in the repository and in the build context, or in the stage they come from.
#[test]
fn copied_files_exist() {
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

/// Images contain no compilers, base images are pinned, and package lists are removed.
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

/// The command of a health check is in the image: the copied script, Debian's Bash, or a tool that an external image is known
/// to contain.
#[test]
fn health_checks_use_commands_of_the_image() {
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
