//! The addresses of the system, as `./dev env` prints them.

use std::time::Duration;

use clap::Args;

use crate::admin;

/// The addresses of the gateways and the other programs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Addresses")]
pub struct Programs {
    /// Public address of the first gateway.
    #[arg(long, env = "GATEWAY_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub gateway_url: String,
    /// Public addresses of all gateways, separated by commas; if empty, only --gateway-url is used.
    #[arg(long, env = "GATEWAY_URLS", default_value = "", value_name = "URLS")]
    pub gateway_urls: String,
    /// Address of a gateway's admin listener.
    #[arg(long, env = "ADMIN_URL", default_value = "http://127.0.0.1:8081", value_name = "URL")]
    pub admin_url: String,
    /// Address of settlement's metrics and health checks.
    #[arg(long, env = "SETTLEMENT_URL", default_value = "http://127.0.0.1:8090", value_name = "URL")]
    pub settlement_url: String,
    /// Address of the payments program's metrics and health checks; cards are used when it is ready.
    #[arg(long, env = "PAYMENTS_URL", value_name = "URL")]
    pub payments_url: Option<String>,
    /// Address of the Prometheus that scrapes all of them.
    #[arg(long, env = "PROMETHEUS_URL", value_name = "URL")]
    pub prometheus_url: Option<String>,
}

impl Programs {
    /// Returns the URLs of all gateways, at least one.
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

    /// Returns whether cards are charged: whether the payments program is configured and ready.
    pub async fn cards_are_charged(&self) -> bool {
        match &self.payments_url {
            Some(url) => admin::is_ready(url).await,
            None => false,
        }
    }
}

/// Parses `500ms`, `30s`, `10m` or `1h`.
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
    fn durations_have_units() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        assert_eq!(parse_duration("7"), Ok(Duration::from_secs(7)));
        assert!(parse_duration("s").is_err() && parse_duration("3 weeks").is_err());
    }
}
