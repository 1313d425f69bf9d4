//! The dashboards as Grafana would read them: their queries, and whether they are complete.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::{read, root};

/// Returns every dashboard with the name of its file.
pub(crate) fn boards() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(root().join("grafana/dashboards")).expect("the boards");
    let mut names: Vec<_> =
        files.map(|file| file.expect("a file").file_name().into_string().expect("text")).collect();
    names.sort();
    let board = |name: &String| serde_json::from_str(&read(&format!("grafana/dashboards/{name}")));
    names.iter().map(|name| (name.clone(), board(name).expect("JSON"))).collect()
}

/// A query with its place and the labels that its legend shows.
pub(crate) struct DashboardQuery {
    pub(crate) place: String,
    pub(crate) query: String,
    pub(crate) legend: Vec<String>,
}

/// A variable's `label_values(selector, label)`.
pub(crate) struct Choice {
    pub(crate) place: String,
    pub(crate) selector: String,
    pub(crate) label: String,
}

fn all<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// Returns a query as Grafana would send it when all values are selected.
fn chosen(board: &Value, query: &str) -> String {
    let mut query = query.replace("$__rate_interval", "4s");
    for variable in all(&board["templating"], "list") {
        query = query.replace(&format!("${}", text(variable, "name")), ".*");
    }
    assert!(!query.contains('$'), "{query}: a variable that the board does not have");
    query
}

fn labels(legend: &str) -> Vec<String> {
    let names = legend.split("{{").skip(1).filter_map(|rest| rest.split_once("}}"));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

/// Returns the queries of all panels and annotations.
pub(crate) fn queries() -> Vec<DashboardQuery> {
    let mut found = Vec::new();
    for (file, board) in boards() {
        for panel in all(&board, "panels") {
            for target in all(panel, "targets") {
                found.push(DashboardQuery {
                    place: format!("{file}: {}", text(panel, "title")),
                    query: chosen(&board, text(target, "expr")),
                    legend: labels(text(target, "legendFormat")),
                });
            }
        }
        for annotation in all(&board["annotations"], "list") {
            found.push(DashboardQuery {
                place: format!("{file}: marks of {}", text(annotation, "name")),
                query: chosen(&board, text(annotation, "expr")),
                legend: labels(text(annotation, "titleFormat")),
            });
        }
    }
    found
}

/// Returns the variables of all dashboards.
pub(crate) fn choices() -> Vec<Choice> {
    let mut found = Vec::new();
    for (file, board) in boards() {
        for variable in all(&board["templating"], "list").filter(|variable| variable["type"] == "query") {
            let query = text(&variable["query"], "query");
            let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
            let (selector, label) = inner.and_then(|inner| inner.split_once(", ")).expect("label_values");
            let place = format!("{file}: variable {}", text(variable, "name"));
            found.push(Choice { place, selector: selector.into(), label: label.into() });
        }
    }
    found
}

/// Returns whether two panels overlap.
fn overlap(one: &Value, other: &Value) -> bool {
    let apart = |at: &str, size: &str| {
        let edge = |panel: &Value, name: &str| panel["gridPos"][name].as_i64().expect("a number");
        edge(one, at) + edge(one, size) <= edge(other, at)
            || edge(other, at) + edge(other, size) <= edge(one, at)
    };
    !apart("x", "w") && !apart("y", "h")
}

#[test]
fn dashboards_are_complete_and_link_to_each_other() {
    let boards = boards();
    let uids: BTreeSet<_> = boards.iter().map(|(_, board)| text(board, "uid").to_owned()).collect();
    assert_eq!(uids.len(), 6, "{uids:?}");
    let known = |url: &str| {
        let uid = url.strip_prefix("/d/").expect("a board of ours").split('?').next().expect("a uid");
        assert!(uids.contains(uid), "{url}");
    };
    for (file, board) in &boards {
        assert_eq!(*file, format!("{}.json", text(board, "uid")));
        assert!((36..=38).contains(&board["schemaVersion"].as_u64().expect("a version")), "{file}");
        assert!(text(board, "description").len() > 20, "{file}");
        assert_eq!(all(board, "links").count(), uids.len() - 1, "{file}");
        all(board, "links").for_each(|link| known(text(link, "url")));
        let first = &board["templating"]["list"][0];
        assert_eq!((text(first, "name"), text(first, "type")), ("datasource", "datasource"), "{file}");
        let panels: Vec<_> = all(board, "panels").collect();
        let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().expect("an id")).collect();
        assert_eq!(ids.len(), panels.len(), "{file}: ids are unique");
        for (index, panel) in panels.iter().enumerate() {
            let right = panel["gridPos"]["x"].as_i64().zip(panel["gridPos"]["w"].as_i64());
            assert!(right.is_some_and(|(x, w)| x + w <= 24), "{file}: {panel}");
            for other in &panels[index + 1..] {
                assert!(!overlap(panel, other), "{file}: {} lies over {}", panel["title"], other["title"]);
            }
        }
    }
}

#[test]
fn every_panel_queries_the_selected_source_and_has_a_description() {
    let chosen = |place: &str, value: &Value| {
        let source = &value["datasource"];
        assert_eq!((text(source, "type"), text(source, "uid")), ("prometheus", "${datasource}"), "{place}");
    };
    let uids: Vec<_> = boards().iter().map(|(_, board)| text(board, "uid").to_owned()).collect();
    for (file, board) in boards() {
        for panel in all(&board, "panels").filter(|panel| panel["type"] != "row") {
            let place = format!("{file}: {}", text(panel, "title"));
            chosen(&place, panel);
            all(panel, "targets").for_each(|target| chosen(&place, target));
            assert!(all(panel, "targets").count() > 0, "{place}");
            let refs: BTreeSet<_> = all(panel, "targets").map(|target| text(target, "refId")).collect();
            assert_eq!(refs.len(), all(panel, "targets").count(), "{place}");
            assert!(text(panel, "description").len() > 40, "{place}");
            let defaults = &panel["fieldConfig"]["defaults"];
            assert!(!text(defaults, "unit").is_empty(), "{place}: no unit");
            let steps: Vec<_> = all(&defaults["thresholds"], "steps").collect();
            assert!(steps.first().is_some_and(|step| step["value"].is_null()), "{place}: no thresholds");
            for link in all(panel, "links") {
                let uid = text(link, "url").strip_prefix("/d/").and_then(|url| url.split('?').next());
                assert!(uid.is_some_and(|uid| uids.iter().any(|known| known == uid)), "{place}: {link}");
            }
        }
        let variables = all(&board["templating"], "list").filter(|variable| variable["type"] == "query");
        variables.for_each(|variable| chosen(&file, variable));
        assert!(
            all(&board["annotations"], "list").count() > 0,
            "{file}: no annotation marks changes of state"
        );
        all(&board["annotations"], "list").for_each(|annotation| chosen(&file, annotation));
    }
}

#[test]
fn dashboards_are_up_to_date_with_their_source() {
    let mut python = Command::new("python3");
    let output = python.arg("-B").arg(root().join("grafana/boards")).arg("--check").output();
    let output = output.expect("python3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
