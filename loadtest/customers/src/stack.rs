//! The processes of the running stack, as `./dev status --json` reports them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde::Deserialize;

use crate::settings::Programs;

/// A process of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Process {
    /// The name, for example redis, kafka, postgres, gateway-1 or settlement-1.
    pub name: String,
    /// The process id; `None` when it is not running.
    pub pid: Option<u32>,
    /// The address as `host:port`.
    pub address: String,
}

#[derive(Deserialize)]
struct Status {
    processes: Vec<Process>,
}

/// Returns the processes from `./dev status --json`, or from a file with its output.
pub fn processes(status_file: Option<&Path>) -> anyhow::Result<Vec<Process>> {
    let json = match status_file {
        Some(file) => std::fs::read(file).with_context(|| format!("reading {}", file.display()))?,
        None => {
            let dev = std::env::var("FLASHSALE_DEV").unwrap_or_else(|_| "./dev".into());
            let output = Command::new(&dev).args(["status", "--json"]).output();
            let output = output.with_context(|| format!("running {dev} status --json"))?;
            anyhow::ensure!(output.status.success(), "{dev} status --json failed");
            output.stdout
        }
    };
    let status: Status = serde_json::from_slice(&json).context("the output of ./dev status --json")?;
    Ok(status.processes)
}

/// Returns the URLs of the gateways: the configured ones, otherwise all running gateways of the stack that
/// started this process, otherwise the first one.
pub fn gateway_urls(programs: &Programs) -> anyhow::Result<Vec<String>> {
    if programs.gateway_urls.is_empty() && std::env::var_os("FLASHSALE_DEV").is_some() {
        let running: Vec<_> = processes(None)?
            .into_iter()
            .filter(|process| process.name.starts_with("gateway-") && process.pid.is_some())
            .map(|process| format!("http://{}", process.address))
            .collect();
        if !running.is_empty() {
            return Ok(running);
        }
    }
    Ok(programs.gateways())
}

/// Returns the path of an output file: the given path, otherwise the default name in the folder of the stack
/// that `./dev` runs the program for, otherwise in the working folder.
pub fn output_path(path: Option<&Path>, default: &str) -> PathBuf {
    match (path, std::env::var_os("FLASHSALE_STACK_DIR")) {
        (Some(path), _) => path.to_owned(),
        (None, Some(folder)) => Path::new(&folder).join("load").join(default),
        (None, None) => PathBuf::from(default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_dev_status_is_parsed() {
        let json = r#"{"processes":[
            {"name":"redis","pid":12,"address":"127.0.0.1:16379","ready":true},
            {"name":"gateway-1","pid":null,"address":"127.0.0.1:8080","admin_address":"127.0.0.1:8081","ready":false}
        ]}"#;
        let status: Status = serde_json::from_str(json).unwrap();
        assert_eq!(status.processes[0].pid, Some(12));
        assert_eq!(status.processes[1].pid, None);
    }
}
