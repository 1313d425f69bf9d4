//! The reconciliation of Redis with Postgres: tampering is reported with its sign and amount and repaired; units in
//! transit are never reported as drift.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::{order_body, terms};
use testkit::system::Shape;
use testkit::{Client, System, fresh};

/// The number of changes of totals during the sale.
const CHANGES: u64 = 60;
const CUSTOMERS_AT_ONCE: usize = 4;

async fn system(repair_after_ms: &str) -> System {
    let args = ["--reconcile-every-ms", "100", "--reconcile-repair-after-ms", repair_after_ms];
    let settlement_args = args.iter().map(ToString::to_string).collect();
    System::start(Shape { gateways: 2, settlement_args, ..Shape::default() }).await
}

/// Returns the value of the metric whose labels contain all of these values.
async fn metric(system: &System, name: &str, labels: &[&str]) -> Option<f64> {
    let url = format!("{}/metrics", system.settlements[0]);
    let page = reqwest::get(url).await.expect("an answer").text().await.expect("a page");
    let mut lines = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    let line = lines.find(|line| labels.iter().all(|label| line.contains(&format!("\"{label}\""))))?;
    line.rsplit(' ').next()?.parse().ok()
}

async fn drift(system: &System, sale: &str, sku: &str) -> Option<f64> {
    metric(system, "stock_drift_units", &[sale, sku]).await
}

async fn comparisons(system: &System, sale: &str, result: &str) -> f64 {
    metric(system, "reconciliations_total", &[sale, result]).await.unwrap_or(0.0)
}

/// Changes the number of units in Redis without going through a script.
async fn tamper(system: &System, sale: &str, epoch: u64, sku: &str, units: i64) {
    let redis = lua::Redis::connect_once(&system.redis_url, std::time::Duration::from_secs(10)).await;
    let key = format!("fs:{{{sale}}}:{epoch}:stock");
    let args = [key, sku.to_string(), units.to_string()].map(Bytes::from).to_vec();
    let _: i64 = redis.expect("Redis is up").command("HINCRBY", args).await.expect("tampered");
}

async fn shown(client: &Client, sale: &str) -> Value {
    let all = client.admin(Method::GET, "/admin/v1/sales", None).await.body;
    let sales = all["sales"].as_array().expect("sales").clone();
    sales.into_iter().find(|shown| shown["sale_id"] == sale).expect("the sale")
}

/// Waits for the rebuild that a drift causes, and for the sale to be open again.
async fn until_repaired(system: &System, client: &Client, sale: &str) {
    testkit::until("a rebuild reports its reason", async || {
        shown(client, sale).await["rebuild"]["reason"] == "drift"
    })
    .await;
    testkit::until("the drift is repaired", async || {
        let now = shown(client, sale).await;
        now["rebuild"].is_null() && now["epoch"] == 2
    })
    .await;
    testkit::until("no drift is left", async || drift(system, sale, "A").await == Some(0.0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tampering_with_an_idle_sale_is_reported_and_repaired() {
    let system = system("1500").await;
    let client = system.client();
    let sale = fresh("idle");
    client.open_sale(&sale, terms(&[("A", 1000, Some(10)), ("B", 1000, Some(10)), ("C", 1000, None)])).await;
    let order = client.order_until_answered(&sale, "a", "k", &order_body(&[("A", 2), ("C", 1)])).await;
    client.until_settled(&sale, "a", &order.order_id()).await;
    testkit::until("Redis and Postgres agree", async || drift(&system, &sale, "A").await == Some(0.0)).await;
    assert_eq!(drift(&system, &sale, "C").await, None, "an unlimited item has no count that could drift");

    tamper(&system, &sale, 1, "A", 3).await;
    tamper(&system, &sale, 1, "B", -2).await;
    testkit::until("the drift is reported", async || {
        drift(&system, &sale, "A").await == Some(3.0) && drift(&system, &sale, "B").await == Some(-2.0)
    })
    .await;
    until_repaired(&system, &client, &sale).await;
    let path = format!("/admin/v1/sales/{sale}/inventory");
    let items = client.admin(Method::GET, &path, None).await.body["items"].clone();
    assert_eq!((&items[0]["redis_available"], &items[0]["drift"]), (&json!(8), &json!(0)), "{items}");
    assert_eq!((&items[1]["redis_available"], &items[1]["drift"]), (&json!(10), &json!(0)), "{items}");
}

/// Starts customers who order one after another until `stop` is set. Each task returns the number of acceptances.
fn start_customers(
    system: &System,
    sale: &str,
    stop: &Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<usize>> {
    let customers = (0..CUSTOMERS_AT_ONCE).map(|n| {
        let (client, sale, stop) = (system.gateway_client(n % 2), sale.to_string(), stop.clone());
        tokio::spawn(async move {
            let mut accepted = 0;
            for order in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let customer = format!("c{n}-{order}");
                let answer =
                    client.order_until_answered(&sale, &customer, "k", &order_body(&[("A", 1)])).await;
                accepted += usize::from(answer.status == 202);
                // Some customers cancel immediately.
                if answer.status == 202 && order % 5 == 0 {
                    let path = format!("/v1/sales/{sale}/orders/{}", answer.order_id());
                    let cancel = client.request(Method::DELETE, &path).bearer_auth(format!("dev:{customer}"));
                    let answer = client.send(cancel).await;
                    assert!([202, 409, 503].contains(&answer.status.as_u16()), "{answer:?}");
                }
            }
            accepted
        })
    });
    customers.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tampering_during_a_sale_is_reported_and_repaired() {
    let system = system("1500").await;
    let client = system.client();
    let sale = fresh("busy");
    client.open_sale(&sale, terms(&[("A", 1000, Some(1_000_000))])).await;
    system.gateway_client(1).until_sale(&sale, "open", true).await;
    let stop = Arc::new(AtomicBool::new(false));
    let customers = start_customers(&system, &sale, &stop);
    testkit::until("Redis and Postgres agree during the sale", async || {
        comparisons(&system, &sale, "agree").await >= 3.0
    })
    .await;
    tamper(&system, &sale, 1, "A", -7).await;
    testkit::until("the drift is reported", async || drift(&system, &sale, "A").await == Some(-7.0)).await;
    until_repaired(&system, &client, &sale).await;
    let agreed = comparisons(&system, &sale, "agree").await;
    testkit::until("Redis and Postgres agree again", async || {
        comparisons(&system, &sale, "agree").await > agreed + 3.0
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    let mut accepted = 0;
    for customer in customers {
        accepted += customer.await.expect("no panic");
    }
    assert!(accepted > 100, "{accepted}: the sale continued throughout");
    assert_eq!(shown(&client, &sale).await["epoch"], 2, "exactly one rebuild");
}

#[tokio::test(flavor = "multi_thread")]
async fn units_in_transit_are_never_reported_as_drift() {
    let system = system("600000").await;
    let client = system.client();
    let sale = fresh("in-flight");
    let mut sold_by = terms(&[("A", 1000, Some(20_000)), ("B", 1000, Some(100))]);
    client.open_sale(&sale, sold_by.clone()).await;
    system.gateway_client(1).until_sale(&sale, "open", true).await;
    let stop = Arc::new(AtomicBool::new(false));
    let customers = start_customers(&system, &sale, &stop);
    // Meanwhile the totals change, some immediately, some as soon as a comparison has agreed.
    let mut changes = 0;
    for n in 0..CHANGES {
        let agreed = comparisons(&system, &sale, "agree").await;
        let agrees = async || n % 6 > 0 || comparisons(&system, &sale, "agree").await > agreed;
        testkit::until("Redis and Postgres agree in between", agrees).await;
        sold_by["items"][0]["total"] = json!(20_000 + 100 * (n % 7));
        sold_by["items"][1]["total"] = json!(100 + 10 * (n % 3));
        let put = client.admin(Method::PUT, &format!("/admin/v1/sales/{sale}"), Some(&sold_by)).await;
        changes += u64::from(put.status == 200);
    }
    stop.store(true, Ordering::Relaxed);
    let mut accepted = 0;
    for customer in customers {
        accepted += customer.await.expect("no panic");
    }
    assert!(changes >= CHANGES / 2 && accepted > 100, "{changes} changes, {accepted} orders");
    let (agree, drifts) =
        (comparisons(&system, &sale, "agree").await, comparisons(&system, &sale, "drift").await);
    let mut others = vec![];
    for result in ["change_unsettled", "outbox_waits", "log_unsettled", "no_answer", "moved_on", "lost"] {
        others.push((result, comparisons(&system, &sale, result).await));
    }
    println!("{accepted} orders, {changes} changes of totals: {} comparisons agree; {others:?}", agree);
    assert_eq!(drifts, 0.0, "{agree} comparisons agree");
    let after = comparisons(&system, &sale, "agree").await;
    testkit::until("Redis and Postgres agree at rest", async || {
        comparisons(&system, &sale, "agree").await >= after + 3.0
            && drift(&system, &sale, "A").await == Some(0.0)
    })
    .await;
    assert_eq!(shown(&client, &sale).await["epoch"], 1);
}
