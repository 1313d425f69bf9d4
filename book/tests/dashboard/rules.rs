//! Recording rules and alerts: checked by promtool, and each alert has a runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_yaml_ng::Value;

use super::{root, yaml};

/// A rule in `grafana/rules`.
pub(crate) struct Rule {
    pub(crate) file: String,
    /// The name of the recorded series or of the alert.
    pub(crate) name: String,
    pub(crate) query: String,
    pub(crate) is_alert: bool,
    annotations: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
}

fn files(folder: &str) -> Vec<String> {
    let files = std::fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut names: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    names.retain(|path| path.is_file());
    names.sort();
    names.iter().map(|path| format!("{folder}/{}", path.file_name().expect("a name").display())).collect()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_sequence).into_iter().flatten()
}

fn texts(value: &Value, name: &str) -> BTreeMap<String, String> {
    value.get(name).map_or_else(BTreeMap::new, |map| serde_yaml_ng::from_value(map.clone()).expect(name))
}

pub(crate) fn rules() -> Vec<Rule> {
    let mut found = Vec::new();
    for file in files("grafana/rules") {
        let content = yaml(&file);
        for rule in list(&content, "groups").flat_map(|group| list(group, "rules")) {
            let text = |name: &str| rule.get(name).and_then(Value::as_str).map(str::to_owned);
            found.push(Rule {
                file: file.clone(),
                is_alert: text("alert").is_some(),
                name: text("alert").or_else(|| text("record")).expect("a name"),
                query: text("expr").expect("an expression"),
                annotations: texts(rule, "annotations"),
                labels: texts(rule, "labels"),
            });
        }
    }
    assert!(found.len() > 40, "only {} rules were found", found.len());
    found
}

fn alerts() -> BTreeSet<String> {
    rules().into_iter().filter(|rule| rule.is_alert).map(|rule| rule.name).collect()
}

/// Runs promtool, which is part of Debian's package `prometheus`.
fn promtool(arguments: &[&str], files: Vec<String>) {
    let output = Command::new("promtool").args(arguments).args(files).current_dir(root()).output();
    let output = output.expect("promtool is installed");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "promtool {arguments:?}:\n{text}");
}

#[test]
fn prometheus_accepts_the_settings_and_rules() {
    promtool(&["check", "config"], vec!["grafana/prometheus.yml".into()]);
    promtool(&["check", "rules"], files("grafana/rules"));
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    promtool(&["test", "rules"], files("grafana/tests"));
}

#[test]
fn each_alert_is_tested_firing_and_silent() {
    let (mut fires, mut is_silent) = (BTreeSet::new(), BTreeSet::new());
    for file in files("grafana/tests") {
        let content = yaml(&file);
        for case in list(&content, "tests").flat_map(|test| list(test, "alert_rule_test")) {
            let name = case["alertname"].as_str().expect("a name").to_owned();
            if list(case, "exp_alerts").count() > 0 { &mut fires } else { &mut is_silent }.insert(name);
        }
    }
    assert_eq!(fires, alerts());
    assert_eq!(is_silent, alerts());
}

#[test]
fn each_alert_has_a_severity_and_a_runbook() {
    for rule in rules().iter().filter(|rule| rule.is_alert) {
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("page" | "ticket")), "{}: {severity:?}", rule.name);
        assert!(rule.annotations.get("summary").is_some_and(|text| text.len() > 15), "{}", rule.name);
        let page = format!("docs/runbooks/{}.md", rule.name);
        assert_eq!(rule.annotations.get("runbook_url"), Some(&page));
    }
    let pages: BTreeSet<_> = files("docs/runbooks")
        .iter()
        .filter_map(|file| file.strip_prefix("docs/runbooks/")?.strip_suffix(".md"))
        .filter(|name| *name != "README")
        .map(str::to_owned)
        .collect();
    assert_eq!(pages, alerts(), "one page for each alert, and no other");
    let index = super::read("docs/runbooks/README.md");
    for name in pages {
        let page = super::read(&format!("docs/runbooks/{name}.md"));
        for part in
            [format!("# {name}\n"), "## Meaning\n".into(), "## Impact\n".into(), "## Diagnosis\n".into()]
                .into_iter()
                .chain(["## Mitigation\n".into(), "## Resolved when\n".into()])
        {
            assert!(page.contains(&part), "{name}: no {part}");
        }
        assert!(index.contains(&format!("]({name}.md)")), "{name} is not in the index");
    }
}
