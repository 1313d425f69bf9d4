//! Where the system is: the addresses that `./dev env` prints.

use std::time::Duration;

use clap::Args;

/// Where gateways and settlement listen.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Addresses")]
pub struct Programs {
    /// Public address of the first gateway.
    #[arg(long, env = "GATEWAY_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub gateway_url: String,
    /// Public addresses of all gateways, separated by commas; empty: only --gateway-url.
    #[arg(long, env = "GATEWAY_URLS", default_value = "", value_name = "URLS")]
    pub gateway_urls: String,
    /// Address of a gateway's admin listener.
    #[arg(long, env = "ADMIN_URL", default_value = "http://127.0.0.1:8081", value_name = "URL")]
    pub admin_url: String,
    /// Address of settlement's metrics and health.
    #[arg(long, env = "SETTLEMENT_URL", default_value = "http://127.0.0.1:8090", value_name = "URL")]
    pub settlement_url: String,
    /// Address of the payments group's metrics and health; cards are charged where it is ready.
    #[arg(long, env = "PAYMENTS_URL", value_name = "URL")]
    pub payments_url: Option<String>,
    /// Address of the Prometheus that watches all of them.
    #[arg(long, env = "PROMETHEUS_URL", value_name = "URL")]
    pub prometheus_url: Option<String>,
}

impl Programs {
    /// Every gateway, at least one.
    pub fn gateways(&self) -> Vec<String> {
        let listed: Vec<_> = self
            .gateway_urls
            .split(',')
            .map(str::trim)
            .filter(|url| !url.is_empty())
            .map(str::to_owned)
            .collect();
        if listed.is_empty() { vec![self.gateway_url.clone()] } else { listed }
    }
}

/// Where the services listen.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Addresses")]
pub struct Services {
    /// Postgres.
    #[arg(
        long,
        env = "DATABASE_URL",
        default_value = "postgres://flashsale@127.0.0.1:15432/flashsale",
        value_name = "URL"
    )]
    pub database_url: String,
    /// Redis.
    #[arg(long, env = "REDIS_URL", default_value = "redis://127.0.0.1:16379", value_name = "URL")]
    pub redis_url: String,
    /// Kafka's bootstrap brokers, separated by commas.
    #[arg(long, env = "KAFKA_BROKERS", default_value = "127.0.0.1:19092", value_name = "HOST:PORT")]
    pub kafka_brokers: String,
    /// Stands before the name of every topic: several systems on one Kafka (tests).
    #[arg(long, env = "TOPIC_PREFIX", default_value = "", hide = true)]
    pub topic_prefix: String,
}

/// Reads `500ms`, `30s`, `10m` or `1h`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let n: u64 = text[..digits].parse().map_err(|_| "a time is written as 500ms, 30s or 10m".to_owned())?;
    match &text[digits..] {
        "ms" => Ok(Duration::from_millis(n)),
        "" | "s" => Ok(Duration::from_secs(n)),
        "m" => Ok(Duration::from_secs(n.saturating_mul(60))),
        "h" => Ok(Duration::from_secs(n.saturating_mul(3600))),
        unit => Err(format!("unknown unit {unit:?}: ms, s, m or h")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_duration("7"), Ok(Duration::from_secs(7)));
        assert!(parse_duration("s").is_err() && parse_duration("3 weeks").is_err());
    }
}
