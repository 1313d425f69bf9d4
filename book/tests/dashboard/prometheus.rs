//! A private Prometheus with the settings and rules of the repository, and its HTTP API.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use testkit::fresh;
use testkit::program::{Program, Protocol, start_server};

use super::root;

/// A running server, killed when the value is dropped.
pub(crate) struct Prometheus {
    url: String,
    folder: PathBuf,
    program: Program,
}

/// The result of a query: the labels of each series that has a number.
pub(crate) type Found = Vec<Value>;

impl Prometheus {
    /// Starts a server for targets (job, host:port), with the same files as `./dev up`.
    pub(crate) async fn start(targets: &[(&str, &str)]) -> Self {
        let folder = std::env::temp_dir().join(fresh("prometheus"));
        std::fs::create_dir_all(folder.join("targets")).expect("a folder");
        for name in ["prometheus.yml", "rules"] {
            let link = std::os::unix::fs::symlink(root().join("grafana").join(name), folder.join(name));
            link.expect("a link");
        }
        let groups = targets.iter().map(|(job, target)| {
            format!("- targets: [\"{target}\"]\n  labels: {{ job: {job}, instance: {job}-1 }}\n")
        });
        std::fs::write(folder.join("targets/test.yml"), groups.collect::<String>()).expect("targets");
        let (program, address) = start_server(Protocol::Http("/-/ready"), |address| {
            let mut command = Command::new("prometheus");
            command
                .arg(format!("--config.file={}/prometheus.yml", folder.display()))
                .arg(format!("--storage.tsdb.path={}/data", folder.display()))
                .arg(format!("--web.listen-address={address}"))
                .arg("--log.level=error");
            command
        })
        .await;
        Self { url: format!("http://{address}"), folder, program }
    }

    async fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", percent_encode(value)));
        let url = format!("{}/api/v1/{path}?{}", self.url, pairs.collect::<Vec<_>>().join("&"));
        let response: Value = reqwest::get(url).await.expect("a response").json().await.expect("JSON");
        assert_eq!(response["status"], "success", "{parameters:?}: {response}");
        response["data"].clone()
    }

    /// Evaluates a query for each second from `begun` (Unix seconds) to now.
    pub(crate) async fn range(&self, query: &str, begun: u64) -> Found {
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        let (begun, now) = (begun.to_string(), now.to_string());
        let range = [("query", query), ("start", &begun), ("end", &now), ("step", "1")];
        let data = self.get("query_range", &range).await;
        let series = data["result"].as_array().expect("series").iter().filter(|series| {
            let samples = series["values"].as_array().expect("samples");
            samples.iter().any(|sample| sample[1].as_str().is_some_and(is_number))
        });
        series.map(|series| series["metric"].clone()).collect()
    }

    /// Returns the values of a label in the series of a selector, or in all series.
    pub(crate) async fn label_values(&self, label: &str, selector: Option<&str>) -> Vec<String> {
        let path = format!("label/{label}/values");
        let matching: Vec<_> = selector.iter().map(|selector| ("match[]", *selector)).collect();
        serde_json::from_value(self.get(&path, &matching).await).expect("texts")
    }

    /// Returns the rules that could not be evaluated, with the reason.
    pub(crate) async fn broken_rules(&self) -> Vec<String> {
        let groups = self.get("rules", &[]).await;
        let groups = groups["groups"].as_array().expect("groups").iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().expect("rules"));
        let broken = rules.filter(|rule| rule["health"] == "err");
        broken.map(|rule| format!("{}: {}", rule["name"], rule["lastError"])).collect()
    }
}

fn is_number(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Percent-encodes a query parameter.
fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() { (byte as char).to_string() } else { format!("%{byte:02X}") }
            },
        )
        .collect()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.program.kill();
        let _ = std::fs::remove_dir_all(&self.folder); // remaining files in the temporary folder do no harm
    }
}
