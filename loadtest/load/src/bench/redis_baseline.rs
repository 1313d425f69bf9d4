//! Baseline B: `redis-benchmark` with a script that reserves one order per call, the upper bound of a gateway
//! that only reserves orders one by one.

use std::process::Stdio;

use anyhow::Context;
use fred::prelude::*;
use tokio::process::Command;

const SCRIPT: &str = include_str!("../../baseline/one_order.lua");
const STOCK: &str = "fs-baseline:{bench}:stock";
const BUYERS: &str = "fs-baseline:{bench}:buyers";
/// The number of orders in one measurement.
const ORDERS: u64 = 200_000;
/// The number of possible customers, so large that hardly any customer repeats.
const CUSTOMERS: &str = "100000000000";

/// Returns the orders per second, with one script call for each order.
pub(super) async fn measure(redis_url: &str, connections: usize, pipeline: u32) -> anyhow::Result<f64> {
    let client = checker::redis::connect(redis_url).await?;
    let () = client.del(vec![STOCK, BUYERS]).await?;
    let () = client.hset(STOCK, ("A", ORDERS * 10)).await?;
    let digest: String = client.script_load(SCRIPT).await?;
    let (host, port) = address(redis_url)?;
    let output = Command::new("redis-benchmark")
        .args(["-h", &host, "-p", &port, "-n", &ORDERS.to_string(), "-c", &connections.to_string()])
        .args(["-P", &pipeline.to_string(), "-r", CUSTOMERS, "--csv"])
        .args(["EVALSHA", &digest, "2", STOCK, BUYERS, "A", "__rand_int__"])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("running redis-benchmark (Debian package redis-tools)")?;
    let reserved: u64 = client.hlen(BUYERS).await?;
    let () = client.del(vec![STOCK, BUYERS]).await?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // A script that only fails would be fast, too.
    anyhow::ensure!(
        reserved > ORDERS / 2,
        "redis-benchmark reserved only {reserved} of {ORDERS} orders: {text}"
    );
    requests_per_second(&text).with_context(|| format!("the output of redis-benchmark: {text}"))
}

fn address(redis_url: &str) -> anyhow::Result<(String, String)> {
    let rest = redis_url.strip_prefix("redis://").context("REDIS_URL must start with redis://")?;
    let rest = rest.split('/').next().unwrap_or(rest);
    let (host, port) = rest.rsplit_once(':').unwrap_or((rest, "6379"));
    Ok((host.to_owned(), port.to_owned()))
}

/// Parses the second column of the last line: `"EVALSHA …","146000.00",…`.
fn requests_per_second(csv: &str) -> Option<f64> {
    let line = csv.lines().rfind(|line| line.starts_with("\"EVALSHA"))?;
    line.split("\",\"").nth(1)?.trim_matches('"').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_parsed_from_the_csv() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"EVALSHA abc 2 A\",\"146000.50\",\"0.3\"\n";
        assert_eq!(requests_per_second(csv), Some(146_000.5));
        assert_eq!(requests_per_second(""), None);
        assert_eq!(address("redis://127.0.0.1:16379/0").unwrap(), ("127.0.0.1".into(), "16379".into()));
    }
}
