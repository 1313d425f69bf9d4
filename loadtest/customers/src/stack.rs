//! What `./dev` knows about the running stack: process ids and addresses.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;
use serde::Deserialize;

use crate::settings::Programs;

/// A process of the stack.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Process {
    /// redis, kafka, postgres, gateway-1, settlement-1, …
    pub name: String,
    /// `None`: not running.
    pub pid: Option<u32>,
    /// `host:port`.
    pub address: String,
}

#[derive(Deserialize)]
struct Status {
    processes: Vec<Process>,
}

/// From `./dev status --json`, or a file with its output.
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

/// The gateways to go through: as told, or every one of the stack that started us, or the one.
pub fn gateways(programs: &Programs) -> anyhow::Result<Vec<String>> {
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

/// Where a run leaves a file that nobody named: in the folder of the stack that `./dev` runs it for, or in
/// the working folder.
pub fn output(named: Option<&Path>, name: &str) -> PathBuf {
    match (named, std::env::var_os("FLASHSALE_STACK_DIR")) {
        (Some(named), _) => named.to_owned(),
        (None, Some(folder)) => Path::new(&folder).join("load").join(name),
        (None, None) => PathBuf::from(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_dev_is_read() {
        let json = r#"{"processes":[
            {"name":"redis","pid":12,"address":"127.0.0.1:16379","ready":true},
            {"name":"gateway-1","pid":null,"address":"127.0.0.1:8080","admin_address":"127.0.0.1:8081","ready":false}
        ]}"#;
        let status: Status = serde_json::from_str(json).unwrap();
        assert_eq!(status.processes[0].pid, Some(12));
        assert_eq!(status.processes[1].pid, None);
    }
}
