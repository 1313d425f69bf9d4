//! `docker-compose.yml` runs what `./dev` runs. No container is started here: the file is read, and each
//! port, setting and command is compared with what `./dev help --settings` says that it would use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_yaml_ng::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository").to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `KEY=value` lines, without comments and quotes.
fn key_values(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        .collect()
}

/// What `./dev` shares with others.
fn defaults() -> BTreeMap<String, String> {
    key_values(&read("scripts/dev/defaults.env"))
}

/// The words that `./dev` would start each process with, on its default ports.
fn dev_settings() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(root().join("dev")).args(["help", "--settings"]).output().expect("./dev runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut processes = BTreeMap::<String, Vec<String>>::new();
    for line in String::from_utf8(output.stdout).expect("text").lines() {
        let (process, word) = line.split_once(' ').unwrap_or((line, ""));
        processes.entry(process.to_owned()).or_default().push(word.to_owned());
    }
    processes
}

/// A service of `docker-compose.yml`.
struct Service(Value);

fn compose() -> BTreeMap<String, Service> {
    let mut file: Value = serde_yaml_ng::from_str(&read("docker-compose.yml")).expect("valid YAML");
    file.apply_merge().expect("what services share");
    let services: BTreeMap<String, Value> =
        serde_yaml_ng::from_value(file["services"].clone()).expect("services");
    services.into_iter().map(|(name, value)| (name, Service(value))).collect()
}

impl Service {
    fn words(&self, key: &str) -> Vec<String> {
        match &self.0[key] {
            Value::Null => Vec::new(),
            value => serde_yaml_ng::from_value(value.clone()).expect(key),
        }
    }

    fn environment(&self) -> BTreeMap<String, String> {
        match &self.0["environment"] {
            Value::Null => BTreeMap::new(),
            value => serde_yaml_ng::from_value(value.clone()).expect("every value is a string"),
        }
    }

    fn image(&self) -> &str {
        self.0["image"].as_str().expect("an image")
    }

    /// Returns (address, port) on this machine, and the port inside the container.
    fn published(&self) -> Vec<(String, u16, u16)> {
        let number = |text: &str| text.parse().expect("a port");
        self.words("ports")
            .iter()
            .map(|port| match port.split(':').collect::<Vec<_>>()[..] {
                [address, outside, inside] => (address.to_owned(), number(outside), number(inside)),
                _ => panic!("{port}: expected address:port:port"),
            })
            .collect()
    }

    /// The port inside that this one of the machine leads to.
    fn inside(&self, outside: u16) -> u16 {
        self.published()
            .iter()
            .find(|(_, published, _)| *published == outside)
            .unwrap_or_else(|| panic!("{outside} is not published"))
            .2
    }

    fn mounts(&self, source: &str, target: &str) -> bool {
        self.words("volumes").contains(&format!("{source}:{target}:ro"))
    }
}

/// `--name value` pairs of a command.
fn options(words: &[String]) -> BTreeMap<&str, &str> {
    words
        .windows(2)
        .filter(|pair| pair[0].starts_with("--"))
        .map(|pair| (pair[0].as_str(), pair[1].as_str()))
        .collect()
}

fn port(defaults: &BTreeMap<String, String>, name: &str) -> u16 {
    defaults[name].parse().expect("a port")
}

#[test]
fn the_same_processes_and_two_to_look_with() {
    let compose = compose();
    let names: BTreeSet<_> = compose.keys().map(String::as_str).collect();
    let mut expected: BTreeSet<&str> = BTreeSet::from(["grafana", "kafka-ui"]);
    let dev = dev_settings();
    expected.extend(dev.keys().map(String::as_str));
    assert_eq!(names, expected);
}

#[test]
fn everything_is_published_on_loopback_only_and_no_port_twice() {
    let mut taken = BTreeMap::new();
    for (name, service) in compose() {
        for (address, outside, _) in service.published() {
            assert_eq!(address, "127.0.0.1", "{name}");
            assert_eq!(taken.insert(outside, name.clone()), None, "{outside} of {name}");
        }
    }
}

#[test]
fn published_ports_are_the_default_ports_of_dev() {
    let (compose, defaults) = (compose(), defaults());
    let published = |service: &str| -> BTreeSet<u16> {
        compose[service].published().iter().map(|(_, outside, _)| *outside).collect()
    };
    assert_eq!(published("redis"), BTreeSet::from([port(&defaults, "REDIS_PORT")]));
    assert_eq!(published("kafka"), BTreeSet::from([port(&defaults, "KAFKA_PORT")]));
    assert_eq!(published("postgres"), BTreeSet::from([port(&defaults, "POSTGRES_PORT")]));
    assert_eq!(published("settlement"), BTreeSet::from([port(&defaults, "SETTLEMENT_PORT")]));
    for (service, name) in [
        ("payments", "PAYMENTS_PORT"),
        ("notification", "NOTIFICATION_PORT"),
        ("analytics", "ANALYTICS_PORT"),
        ("provider", "PROVIDER_PORT"),
        ("mail", "MAIL_PORT"),
        ("prometheus", "PROMETHEUS_PORT"),
    ] {
        assert_eq!(published(service), BTreeSet::from([port(&defaults, name)]), "{service}");
    }
    assert_eq!(
        published("gateway"),
        BTreeSet::from([port(&defaults, "GATEWAY_PORT"), port(&defaults, "GATEWAY_ADMIN_PORT")])
    );
}

#[test]
fn images_are_pinned_and_every_service_has_a_health_check() {
    for (name, service) in compose() {
        let (_, tag) = service.image().rsplit_once(':').unwrap_or_else(|| panic!("{name} has no tag"));
        let numbers: Vec<&str> = tag.trim_start_matches('v').split(['.', '-']).collect();
        let is_exact = numbers.len() >= 2 && numbers[..2].iter().all(|number| number.parse::<u32>().is_ok());
        assert!(is_exact, "{name}: {tag} is not a release");
        let check: Vec<String> = serde_yaml_ng::from_value(service.0["healthcheck"]["test"].clone())
            .unwrap_or_else(|_| panic!("{name}"));
        assert!(check.len() > 1, "{name}: {check:?}");
    }
}

#[test]
fn services_that_keep_data_keep_it_in_named_volumes() {
    let file: BTreeMap<String, Value> =
        serde_yaml_ng::from_str(&read("docker-compose.yml")).expect("valid YAML");
    let volumes: BTreeMap<String, Value> =
        serde_yaml_ng::from_value(file["volumes"].clone()).expect("volumes");
    let compose = compose();
    for service in ["redis", "postgres", "kafka", "provider", "mail", "prometheus", "grafana"] {
        let used = compose[service].words("volumes");
        let kept = used
            .iter()
            .filter(|volume| !volume.starts_with('.'))
            .any(|volume| volumes.contains_key(volume.split(':').next().expect("a name")));
        assert!(kept, "{service}: {used:?}");
    }
}

#[test]
fn redis_has_the_settings_file_and_the_command_of_dev() {
    let (compose, dev, defaults) = (compose(), dev_settings(), defaults());
    let (redis, words) = (&compose["redis"], compose["redis"].words("command"));
    assert!(redis.mounts("./deploy/redis.conf", &words[1]), "{words:?}");
    assert!(dev["redis"][1].ends_with("/deploy/redis.conf"));
    assert_eq!(words[0], dev["redis"][0]);
    let (here, there) = (options(&words), options(&dev["redis"]));
    assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>());
    assert_eq!(here["--daemonize"], there["--daemonize"]);
    let inside = redis.inside(port(&defaults, "REDIS_PORT"));
    assert_eq!(here["--port"], inside.to_string());
}

#[test]
fn redis_never_evicts_and_keeps_its_replication_id() {
    let settings: BTreeMap<String, String> = read("deploy/redis.conf")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(' '))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    for (key, value) in [
        ("maxmemory-policy", "noeviction"),
        ("repl-backlog-ttl", "0"),
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("save", "\"\""),
    ] {
        assert_eq!(settings.get(key).map(String::as_str), Some(value), "{key}");
    }
    assert!(settings.contains_key("maxmemory"));
}

#[test]
fn postgres_has_the_settings_file_the_role_and_the_database_of_dev() {
    let (compose, dev, defaults) = (compose(), dev_settings(), defaults());
    let (postgres, words) = (&compose["postgres"], compose["postgres"].words("command"));
    let settings = |words: &[String]| -> BTreeMap<String, String> {
        words
            .iter()
            .filter_map(|word| word.split_once('='))
            .map(|(key, value)| (key.into(), value.into()))
            .collect()
    };
    let (here, there) = (settings(&words), settings(&dev["postgres"]));
    assert!(postgres.mounts("./deploy/postgresql.conf", &here["config_file"]), "{words:?}");
    assert_eq!(here["port"], postgres.inside(port(&defaults, "POSTGRES_PORT")).to_string());
    assert_eq!(there["port"], defaults["POSTGRES_PORT"]);
    assert_eq!(there["listen_addresses"], "127.0.0.1");
    let environment = postgres.environment();
    assert_eq!(environment["POSTGRES_USER"], defaults["POSTGRES_USER"]);
    assert_eq!(environment["POSTGRES_DB"], defaults["POSTGRES_DATABASE"]);
    assert!(read("deploy/postgresql.conf").contains("synchronous_commit = on"));
}

#[test]
fn kafka_has_the_version_and_the_settings_of_dev() {
    let (compose, dev, defaults) = (compose(), dev_settings(), defaults());
    let kafka = &compose["kafka"];
    let version = &defaults["KAFKA_VERSION"];
    assert_eq!(kafka.image(), format!("apache/kafka:{version}"));
    let pom = read("deploy/kafka/pom.xml");
    assert!(pom.contains(&format!("<kafka.version>{version}</kafka.version>")));
    assert!(kafka.mounts("./deploy/kafka/server.properties", "/mnt/shared/config/server.properties"));

    let mut environment = kafka.environment();
    assert_eq!(environment.remove("KAFKA_HEAP_OPTS").as_ref(), defaults.get("KAFKA_HEAP_OPTS"));
    let shared = key_values(&read("deploy/kafka/server.properties"));
    let own: BTreeMap<String, String> = key_values(&dev["kafka"].join("\n"))
        .into_iter()
        .filter(|(key, _)| !shared.contains_key(key))
        .collect();
    // Beside the shared file, both add the same names: addresses and the place of the data.
    let names: BTreeSet<String> =
        own.keys().map(|key| format!("KAFKA_{}", key.replace('.', "_").to_uppercase())).collect();
    assert_eq!(environment.keys().cloned().collect::<BTreeSet<_>>(), names);
    assert_eq!(environment["KAFKA_CONTROLLER_QUORUM_VOTERS"], own["controller.quorum.voters"]);
    let advertised: Vec<&str> = environment["KAFKA_ADVERTISED_LISTENERS"].split(',').collect();
    assert!(advertised.contains(&own["advertised.listeners"].as_str()), "{advertised:?}");
    assert_eq!(kafka.inside(port(&defaults, "KAFKA_PORT")), port(&defaults, "KAFKA_PORT"));
}

#[test]
fn topics_are_made_by_settlement_and_with_the_partitions_of_the_contract() {
    let (compose, dev, defaults) = (compose(), dev_settings(), defaults());
    let partitions = contract::topics::ORDERS_PARTITIONS_DEFAULT.to_string();
    assert_eq!(defaults["ORDERS_PARTITIONS"], partitions);
    assert_eq!(compose["settlement"].environment()["ORDERS_PARTITIONS"], partitions);
    assert!(dev["settlement"].contains(&format!("ORDERS_PARTITIONS={partitions}")));
    let shared = key_values(&read("deploy/kafka/server.properties"));
    assert_eq!(shared["auto.create.topics.enable"], "false");
}

/// Settings that only one side has, such as where to log.
const ONLY_IN_COMPOSE: [&str; 1] = ["LOG_FILTER"];
/// Settings whose values differ: paths and secrets.
const OWN_VALUES: [&str; 2] = ["PROVIDER_JOURNAL", "PAYMENT_WEBHOOK_SECRET"];
/// What the binary `downstream` is started as, beside gateway and settlement.
const DOWNSTREAM: [&str; 4] = ["payments", "notification", "analytics", "provider"];

#[test]
fn programs_get_the_settings_of_dev_with_the_addresses_of_their_network() {
    let (compose, dev, defaults) = (compose(), dev_settings(), defaults());
    let network = [
        ("127.0.0.1:", "REDIS_PORT", "redis"),
        ("127.0.0.1:", "KAFKA_PORT", "kafka"),
        ("127.0.0.1:", "POSTGRES_PORT", "postgres"),
    ];
    let peers = [("PROVIDER_PORT", "provider"), ("GATEWAY_PORT", "gateway"), ("MAIL_PORT", "mail")];
    for program in ["gateway", "settlement"].into_iter().chain(DOWNSTREAM) {
        let mut here = compose[program].environment();
        for name in ONLY_IN_COMPOSE {
            here.remove(name);
        }
        let there = key_values(&dev[program].join("\n"));
        assert_eq!(here.keys().collect::<Vec<_>>(), there.keys().collect::<Vec<_>>(), "{program}");
        for (name, value) in there {
            if OWN_VALUES.contains(&name.as_str()) {
                assert!(!here[&name].is_empty(), "{program} {name}");
                continue;
            }
            let mut expected = value;
            if name.ends_with("_URL") {
                for (port_name, service) in peers {
                    let inside = compose[service].inside(port(&defaults, port_name));
                    expected = expected.replace(
                        &format!("127.0.0.1:{}", defaults[port_name]),
                        &format!("{service}:{inside}"),
                    );
                }
            }
            for (host, port_name, service) in network {
                let inside = match service {
                    "kafka" => 9092, // the listener for containers
                    _ => compose[service].inside(port(&defaults, port_name)),
                };
                expected = expected
                    .replace(&format!("{host}{}", defaults[port_name]), &format!("{service}:{inside}"));
            }
            if name.ends_with("_LISTEN") {
                expected = expected.replace("127.0.0.1", "0.0.0.0");
                let outside = expected.rsplit(':').next().expect("a port").parse().expect("a port");
                assert_eq!(compose[program].inside(outside), outside, "{program} {name}");
            }
            assert_eq!(here[&name], expected, "{program} {name}");
        }
    }
    let kafka = compose["kafka"].environment();
    assert!(kafka["KAFKA_ADVERTISED_LISTENERS"].contains("DOCKER://kafka:9092"));
}

/// Each container runs the part of `downstream` that ./dev runs, and the mail server what ./dev runs.
#[test]
fn each_part_of_downstream_is_started_by_its_name() {
    let (compose, dev, dockerfile) = (compose(), dev_settings(), read("deploy/Dockerfile"));
    for part in DOWNSTREAM {
        assert_eq!(dev[part].last().map(String::as_str), Some(part));
        assert!(dockerfile.contains(&format!("CMD [\"{part}\"]")), "{part}");
    }
    let (here, there) = (compose["mail"].words("command"), &dev["mail"]);
    assert_eq!(there[0], "aiosmtpd");
    assert!(dockerfile.contains("ENTRYPOINT [\"aiosmtpd\"]"));
    assert_eq!(here[2], there[3].replace("127.0.0.1", "0.0.0.0"));
    assert_eq!((&here[..2], &here[3..5]), (&there[1..3], &there[4..6]));
}

#[test]
fn programs_are_built_by_the_dockerfile_and_probed_where_they_listen() {
    let (compose, dockerfile) = (compose(), read("deploy/Dockerfile"));
    for (program, listen) in [
        ("gateway", "GATEWAY_ADMIN_LISTEN"),
        ("settlement", "SETTLEMENT_LISTEN"),
        ("payments", "PAYMENTS_LISTEN"),
        ("notification", "NOTIFICATION_LISTEN"),
        ("analytics", "ANALYTICS_LISTEN"),
        ("provider", "PROVIDER_LISTEN"),
    ] {
        let service = &compose[program];
        let build: BTreeMap<String, String> =
            serde_yaml_ng::from_value(service.0["build"].clone()).expect("a build");
        assert_eq!(build["dockerfile"], "deploy/Dockerfile");
        let base = if DOWNSTREAM.contains(&program) { "downstream" } else { "runtime" };
        assert!(dockerfile.contains(&format!("FROM {base} AS {}\n", build["target"])), "{program}");
        let environment = service.environment();
        let (_, port) = environment[listen].rsplit_once(':').expect("a port");
        let check: Vec<String> =
            serde_yaml_ng::from_value(service.0["healthcheck"]["test"].clone()).expect("a check");
        assert_eq!(check, ["CMD", "probe", port], "{program}");
        assert!(dockerfile.contains(&format!("CMD [\"probe\", \"{port}\"]")), "{program}");
    }
}

#[test]
fn prometheus_reads_the_settings_and_rules_of_dev_and_keeps_as_much() {
    let (compose, dev) = (compose(), dev_settings());
    let kept = |words: &[String]| -> BTreeSet<String> {
        words.iter().filter(|word| word.starts_with("--storage.tsdb.retention")).cloned().collect()
    };
    assert_eq!(kept(&compose["prometheus"].words("command")), kept(&dev["prometheus"]));
    assert_eq!(kept(&dev["prometheus"]).len(), 2);
    for name in ["prometheus.yml", "rules", "targets"] {
        let (source, target) = (format!("./grafana/{name}"), format!("/etc/prometheus/{name}"));
        assert!(compose["prometheus"].mounts(&source, &target), "{name}");
    }
}

#[test]
fn a_service_starts_when_those_it_needs_are_healthy() {
    let compose = compose();
    let needs = |service: &str| -> BTreeSet<String> {
        let wanted: BTreeMap<String, BTreeMap<String, String>> =
            serde_yaml_ng::from_value(compose[service].0["depends_on"].clone()).expect("depends_on");
        for (name, condition) in &wanted {
            assert_eq!(condition["condition"], "service_healthy", "{service} on {name}");
        }
        wanted.into_keys().collect()
    };
    let set = |names: &[&str]| -> BTreeSet<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    assert_eq!(needs("settlement"), set(&["redis", "postgres", "kafka"]));
    assert_eq!(needs("gateway"), set(&["redis", "postgres", "kafka", "settlement"]));
    assert_eq!(needs("payments"), set(&["postgres", "kafka", "settlement", "provider"]));
    assert_eq!(needs("notification"), set(&["postgres", "kafka", "settlement", "mail"]));
    assert_eq!(needs("analytics"), set(&["postgres", "kafka", "settlement"]));
    assert_eq!(needs("kafka-ui"), set(&["kafka"]));
    assert_eq!(needs("grafana"), set(&["prometheus"]));
}

#[test]
fn the_example_environment_shows_the_defaults() {
    let example: BTreeMap<String, String> = read(".env.example")
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let dev = dev_settings();
    for program in ["gateway", "settlement"].into_iter().chain(DOWNSTREAM) {
        for (name, value) in key_values(&dev[program].join("\n")) {
            if OWN_VALUES.contains(&name.as_str()) {
                continue;
            }
            assert_eq!(example.get(&name), Some(&value), "{name}");
        }
    }
}

/// Cargo reads the manifest of every member, also of those that an image does not need.
#[test]
fn the_images_are_built_with_every_member_of_the_workspace() {
    let manifest = read("Cargo.toml");
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = [")).expect("members");
    let ignored = read(".dockerignore");
    let sent: BTreeSet<&str> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let members: Vec<&str> = members.split('"').skip(1).step_by(2).collect();
    assert!(members.len() > 5, "{members:?}");
    for member in members {
        let folder = member.split('/').next().expect("a folder");
        assert!(sent.contains(folder), ".dockerignore leaves {member} out");
    }
}
