//! The operator's part of a run: define a sale, open it, and wait until every gateway sells it.

use std::time::{Duration, Instant};

use anyhow::Context;
use contract::money::Currency;
use contract::sale::SaleTerms;
use serde::{Deserialize, Serialize};

use crate::http::{Authority, Connection};
use crate::request;

/// How often a gateway is asked whether it sells.
const ASK_EVERY: Duration = Duration::from_millis(20);
/// Longest wait for a sale to be ready: the first opening is a rebuild.
pub const READY_LIMIT: Duration = Duration::from_secs(30);
/// Longest wait for one answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// What a gateway's public listener tells about a sale, as far as load needs it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)] // as on the wire
pub struct SaleView {
    pub state: String,
    pub ready: bool,
    pub items: Vec<ItemView>,
}

/// An item of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub struct ItemView {
    pub sku: String,
    pub total: Option<u64>,
    pub remaining: Option<u64>,
}

/// The body of a credit.
#[derive(Serialize)]
struct Credit {
    amount: u64,
    currency: Currency,
}

/// Stock side by side, as far as it tells whether Redis has lost it.
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
    /// The epoch is ready, and yet Redis cannot tell the units of a limited item.
    fn is_lost(&self) -> bool {
        self.ready && self.items.iter().any(|item| item.total.is_some() && item.redis_available.is_none())
    }
}

/// Calls one listener, a new connection a call: it is not what is measured.
async fn call(authority: &Authority, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
    let answered = async {
        let mut connection = Connection::open(authority.address).await?;
        let head = connection.call(request).await?;
        std::io::Result::Ok((head.status, connection.body().to_vec()))
    };
    let answered = tokio::time::timeout(ANSWER_LIMIT, answered).await;
    answered
        .with_context(|| format!("{} gave no answer within {} s", authority.host, ANSWER_LIMIT.as_secs()))?
        .with_context(|| format!("calling {}", authority.host))
}

/// The admin API of one gateway.
#[derive(Debug)]
pub struct Admin(Authority);

impl Admin {
    /// At `ADMIN_URL`.
    pub fn at(url: &str) -> anyhow::Result<Self> {
        Ok(Self(Authority::resolve(url)?))
    }

    /// Stores a sale's definition.
    pub async fn put(&self, sale: &str, terms: &SaleTerms) -> anyhow::Result<()> {
        let body = serde_json::to_string(terms)?;
        self.expect("PUT", &format!("/admin/v1/sales/{sale}"), &body, &[200, 201]).await
    }

    /// Stores a sale's definition if it can be; returns the status, `None` where there was no answer.
    pub async fn try_put(&self, sale: &str, terms: &SaleTerms) -> anyhow::Result<Option<u16>> {
        let (path, body) = (format!("/admin/v1/sales/{sale}"), serde_json::to_string(terms)?);
        let answered = call(&self.0, &request::admin(&self.0.host, "PUT", &path, &body)).await;
        Ok(answered.ok().map(|(status, _)| status))
    }

    /// Opens a sale; one that is open already stays so.
    pub async fn open(&self, sale: &str) -> anyhow::Result<()> {
        self.expect("POST", &format!("/admin/v1/sales/{sale}/open"), "", &[200, 202, 204]).await
    }

    /// Puts money into a customer's wallet, once a key.
    pub async fn credit(
        &self,
        customer: &str,
        key: &str,
        amount: u64,
        currency: Currency,
    ) -> anyhow::Result<()> {
        let body = serde_json::to_string(&Credit { amount, currency })?;
        let (status, answer) = call(&self.0, &request::credit(&self.0.host, customer, key, &body)).await?;
        anyhow::ensure!(
            matches!(status, 200 | 201),
            "crediting {customer}: {status} {}",
            String::from_utf8_lossy(&answer)
        );
        Ok(())
    }

    /// Has a sale rebuilt whose Redis state is gone, as it is after a restart of Redis, and waits for it.
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
            anyhow::ensure!(begun.elapsed() < READY_LIMIT, "{sale} is not rebuilt in time: {inventory:?}");
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Decides about a dead letter: `replay` or `discard`.
    pub async fn decide(&self, id: i64, verdict: &str) -> anyhow::Result<()> {
        self.expect("POST", &format!("/admin/v1/dead-letters/{id}/{verdict}"), "", &[200, 202]).await
    }

    /// Asks for a rebuild, and does not wait for it.
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
        let (status, answer) = call(&self.0, &request).await?;
        if statuses.contains(&status) {
            return Ok(());
        }
        anyhow::bail!("{method} {path}: {status} {}", String::from_utf8_lossy(&answer))
    }
}

/// Asks a gateway for a sale; `None`: it does not know it (yet).
pub async fn view(gateway: &Authority, sale: &str) -> anyhow::Result<Option<SaleView>> {
    let (status, body) = call(gateway, &request::get(&gateway.host, &format!("/v1/sales/{sale}"))).await?;
    match status {
        200 => Ok(Some(serde_json::from_slice(&body).context("the sale that a gateway showed")?)),
        404 => Ok(None),
        _ => anyhow::bail!("GET /v1/sales/{sale}: {status} {}", String::from_utf8_lossy(&body)),
    }
}

/// Waits until every gateway sells, and returns what the last one showed.
pub async fn until_selling(gateways: &[Authority], sale: &str) -> anyhow::Result<SaleView> {
    let begun = Instant::now();
    let mut shown = None;
    for gateway in gateways {
        loop {
            shown = view(gateway, sale).await?;
            if shown.as_ref().is_some_and(|view| view.state == "open" && view.ready) {
                break;
            }
            anyhow::ensure!(
                begun.elapsed() < READY_LIMIT,
                "{} does not sell {sale} within {} s of opening: {shown:?}",
                gateway.host,
                READY_LIMIT.as_secs()
            );
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
    shown.context("no gateway")
}

/// Makes a sale and waits until every gateway sells it.
pub async fn make(
    admin: &Admin,
    gateways: &[Authority],
    sale: &str,
    terms: &SaleTerms,
) -> anyhow::Result<SaleView> {
    admin.put(sale, terms).await?;
    admin.open(sale).await?;
    admin.rebuild_if_lost(sale).await?;
    until_selling(gateways, sale).await
}

/// Whether a program says that it is ready.
pub async fn is_ready(url: &str) -> bool {
    let Ok(authority) = Authority::resolve(url) else { return false };
    let answered = call(&authority, &request::get(&authority.host, "/health/ready")).await;
    answered.is_ok_and(|(status, _)| status == 200)
}

/// Reads a page of metrics.
pub async fn metrics(url: &str) -> anyhow::Result<String> {
    Ok(String::from_utf8(get(url, "/metrics").await?)?)
}

/// Reads what a program serves at a path.
pub async fn get(url: &str, path: &str) -> anyhow::Result<Vec<u8>> {
    let authority = Authority::resolve(url)?;
    let (status, body) = call(&authority, &request::get(&authority.host, path)).await?;
    anyhow::ensure!(status == 200, "GET {url}{path}: {status}");
    Ok(body)
}

/// The highest value of a metric on a page, over all its labels.
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
    fn the_highest_of_a_metric_is_found() {
        let page = "# TYPE lag gauge\nlag{partition=\"0\"} 0.5\nlag{partition=\"1\"} 2\nlag_other 9\n";
        assert_eq!(metric_max(page, "lag"), Some(2.0));
        assert_eq!(metric_max(page, "none"), None);
    }
}
