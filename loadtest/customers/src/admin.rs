//! The operator's calls in a run: define a sale, open it, and wait until every gateway sells it.

use std::time::{Duration, Instant};

use anyhow::Context;
use contract::money::Currency;
use contract::sale::SaleTerms;
use contract::wire;
use serde::{Deserialize, Serialize};

use crate::http::{Authority, Connection};
use crate::request;

/// The interval at which a gateway is polled until it sells.
const POLL_EVERY: Duration = Duration::from_millis(20);
/// The longest wait for a sale to be ready: the first opening is a rebuild.
pub const READY_LIMIT: Duration = Duration::from_secs(30);
/// The longest wait for a response.
const RESPONSE_LIMIT: Duration = Duration::from_secs(15);

/// The members of a sale in the public API that load needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)] // named after the members of the body
pub struct SaleView {
    pub state: String,
    pub ready: bool,
    pub items: Vec<ItemView>,
}

/// An item of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct ItemView {
    pub sku: String,
    pub total: Option<u64>,
    pub remaining: Option<u64>,
}

/// The body of a wallet credit.
#[derive(Serialize)]
struct Credit {
    amount: u64,
    currency: Currency,
}

/// The members of the inventory that show whether Redis has lost its state.
#[derive(Debug, Deserialize)]
struct Inventory {
    ready: bool,
    items: Vec<InventoryItem>,
}

#[derive(Debug, Deserialize)]
struct InventoryItem {
    total: Option<u64>,
    redis_available: Option<i64>,
}

impl Inventory {
    /// Returns whether the epoch is ready although Redis has no units of a limited item.
    fn is_lost(&self) -> bool {
        self.ready && self.items.iter().any(|item| item.total.is_some() && item.redis_available.is_none())
    }
}

/// Calls a listener on a new connection; these calls are not part of the measurement.
async fn call(authority: &Authority, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
    let call = async {
        let mut connection = Connection::open(authority.address).await?;
        let head = connection.call(request).await?;
        std::io::Result::Ok((head.status, connection.body().to_vec()))
    };
    let response = tokio::time::timeout(RESPONSE_LIMIT, call).await;
    response
        .with_context(|| format!("{} did not respond within {} s", authority.host, RESPONSE_LIMIT.as_secs()))?
        .with_context(|| format!("calling {}", authority.host))
}

/// The admin API of one gateway.
#[derive(Debug)]
pub struct Admin(Authority);

impl Admin {
    /// Creates a client for an admin listener.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        Ok(Self(Authority::resolve(url)?))
    }

    /// Stores a sale's definition.
    pub async fn put(&self, sale: &str, terms: &SaleTerms) -> anyhow::Result<()> {
        let body = wire::encode_text(terms);
        self.expect("PUT", &format!("/admin/v1/sales/{sale}"), &body, &[200, 201]).await
    }

    /// Tries to store a sale's definition. Returns the status, or `None` without a response.
    pub async fn try_put(&self, sale: &str, terms: &SaleTerms) -> anyhow::Result<Option<u16>> {
        let (path, body) = (format!("/admin/v1/sales/{sale}"), wire::encode_text(terms));
        let response = call(&self.0, &request::admin(&self.0.host, "PUT", &path, &body)).await;
        Ok(response.ok().map(|(status, _)| status))
    }

    /// Opens a sale. Opening an open sale has no effect.
    pub async fn open(&self, sale: &str) -> anyhow::Result<()> {
        self.expect("POST", &format!("/admin/v1/sales/{sale}/open"), "", &[200, 202, 204]).await
    }

    /// Credits a customer's wallet, once for each key.
    pub async fn credit(
        &self,
        customer: &str,
        key: &str,
        amount: u64,
        currency: Currency,
    ) -> anyhow::Result<()> {
        let body = wire::encode_text(&Credit { amount, currency });
        let (status, response) = call(&self.0, &request::credit(&self.0.host, customer, key, &body)).await?;
        anyhow::ensure!(
            matches!(status, 200 | 201),
            "crediting {customer}: {status} {}",
            String::from_utf8_lossy(&response)
        );
        Ok(())
    }

    /// Rebuilds a sale if Redis has lost its state, as it has after a restart of Redis, and waits for the
    /// rebuild.
    pub async fn rebuild_if_lost(&self, sale: &str) -> anyhow::Result<()> {
        if !self.inventory(sale).await?.is_lost() {
            return Ok(());
        }
        self.expect("POST", &format!("/admin/v1/sales/{sale}/rebuild"), "", &[202]).await?;
        let begun = Instant::now();
        loop {
            let inventory = self.inventory(sale).await?;
            if inventory.ready && !inventory.is_lost() {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < READY_LIMIT, "{sale} was not rebuilt in time: {inventory:?}");
            tokio::time::sleep(POLL_EVERY).await;
        }
    }

    /// Decides about a dead letter; `decision` is `replay` or `discard`.
    pub async fn decide_dead_letter(&self, id: i64, decision: &str) -> anyhow::Result<()> {
        self.expect("POST", &format!("/admin/v1/dead-letters/{id}/{decision}"), "", &[200, 202]).await
    }

    /// Requests a rebuild without waiting for it.
    pub async fn rebuild(&self, sale: &str) -> anyhow::Result<()> {
        self.expect("POST", &format!("/admin/v1/sales/{sale}/rebuild"), "", &[202]).await
    }

    async fn inventory(&self, sale: &str) -> anyhow::Result<Inventory> {
        let path = format!("/admin/v1/sales/{sale}/inventory");
        let (status, body) = call(&self.0, &request::admin(&self.0.host, "GET", &path, "")).await?;
        anyhow::ensure!(status == 200, "GET {path}: {status} {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).with_context(|| format!("GET {path}"))
    }

    async fn expect(&self, method: &str, path: &str, body: &str, statuses: &[u16]) -> anyhow::Result<()> {
        let request = request::admin(&self.0.host, method, path, body);
        let (status, response) = call(&self.0, &request).await?;
        if statuses.contains(&status) {
            return Ok(());
        }
        anyhow::bail!("{method} {path}: {status} {}", String::from_utf8_lossy(&response))
    }
}

/// Fetches a sale from a gateway; `None` when the gateway does not have it (yet).
pub async fn fetch_sale(gateway: &Authority, sale: &str) -> anyhow::Result<Option<SaleView>> {
    let (status, body) = call(gateway, &request::get(&gateway.host, &format!("/v1/sales/{sale}"))).await?;
    match status {
        200 => Ok(Some(serde_json::from_slice(&body).context("the sale in the response of a gateway")?)),
        404 => Ok(None),
        _ => anyhow::bail!("GET /v1/sales/{sale}: {status} {}", String::from_utf8_lossy(&body)),
    }
}

/// Waits until every gateway sells the sale, and returns the sale as the last gateway shows it.
pub async fn wait_until_selling(gateways: &[Authority], sale: &str) -> anyhow::Result<SaleView> {
    let begun = Instant::now();
    let mut sale_view = None;
    for gateway in gateways {
        loop {
            sale_view = fetch_sale(gateway, sale).await?;
            if sale_view.as_ref().is_some_and(|view| view.state == "open" && view.ready) {
                break;
            }
            anyhow::ensure!(
                begun.elapsed() < READY_LIMIT,
                "{} does not sell {sale} within {} s of opening: {sale_view:?}",
                gateway.host,
                READY_LIMIT.as_secs()
            );
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
    sale_view.context("there is no gateway")
}

/// Creates a sale, opens it, and waits until every gateway sells it.
pub async fn create_sale(
    admin: &Admin,
    gateways: &[Authority],
    sale: &str,
    terms: &SaleTerms,
) -> anyhow::Result<SaleView> {
    admin.put(sale, terms).await?;
    admin.open(sale).await?;
    admin.rebuild_if_lost(sale).await?;
    wait_until_selling(gateways, sale).await
}

/// Returns whether the readiness check of a program succeeds.
pub async fn is_ready(url: &str) -> bool {
    let Ok(authority) = Authority::resolve(url) else { return false };
    let response = call(&authority, &request::get(&authority.host, "/health/ready")).await;
    response.is_ok_and(|(status, _)| status == 200)
}

/// Fetches the metrics page of a program.
pub async fn fetch_metrics(url: &str) -> anyhow::Result<String> {
    Ok(String::from_utf8(fetch(url, "/metrics").await?)?)
}

/// Fetches a path of a program.
pub async fn fetch(url: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let authority = Authority::resolve(url)?;
    let (status, body) = call(&authority, &request::get(&authority.host, path)).await?;
    anyhow::ensure!(status == 200, "GET {url}{path}: {status}");
    Ok(body)
}

/// Returns the highest value of a metric on a metrics page, over all its labels.
pub fn metric_max(page: &str, name: &str) -> Option<f64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        if !rest.starts_with(['{', ' ']) {
            return None;
        }
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    values.fold(None, |max: Option<f64>, value| Some(max.map_or(value, |max| max.max(value))))
}

#[cfg(test)]
mod tests {
    use super::metric_max;

    #[test]
    fn the_highest_value_of_a_metric_is_returned() {
        let page = "# TYPE lag gauge\nlag{partition=\"0\"} 0.5\nlag{partition=\"1\"} 2\nlag_other 9\n";
        assert_eq!(metric_max(page, "lag"), Some(2.0));
        assert_eq!(metric_max(page, "none"), None);
    }
}
