//! A gateway that receives a stop signal completes the requests in progress and accepts no new ones.

use std::time::Duration;

use testkit::client::{order_body, terms};
use testkit::control::timed;
use testkit::system::Shape;
use testkit::{System, fresh};

#[tokio::test(flavor = "multi_thread")]
async fn orders_in_flight_are_answered_and_settled_when_the_gateway_stops() {
    let mut system = System::start(Shape { gateways: 1, ..Shape::default() }).await;
    let stop = system.add_gateway(&[]);
    let (first, stopping) = (system.gateway_client(0), system.gateway_client(1));
    let sale = fresh("drain");
    first.open_sale(&sale, terms(&[("A", 1000, Some(5000))])).await;
    stopping.until_sale(&sale, "open", true).await;

    // Concurrent clients that send requests until the gateway no longer accepts them, one order at a time each.
    let (url, admin) = system.gateways[1].clone();
    let clients: Vec<_> = (0..32)
        .map(|i| {
            let (url, sale) = (url.clone(), sale.clone());
            tokio::spawn(async move {
                let http = reqwest::Client::new();
                let mut accepted = vec![];
                for n in 0.. {
                    let request = http.post(format!("{url}/v1/sales/{sale}/orders"));
                    let request = request.bearer_auth(format!("dev:c{i}-{n}")).header("Idempotency-Key", "k");
                    let Ok(answer) = request.json(&order_body(&[("A", 1)])).send().await else { break };
                    let status = answer.status();
                    let body: serde_json::Value =
                        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
                    match status.as_u16() {
                        202 => accepted.push(body["order_id"].as_str().unwrap().to_string()),
                        503 => {}
                        _ => panic!("{body}"),
                    }
                    assert!(n < 2000, "the gateway was never stopped");
                }
                accepted
            })
        })
        .collect();
    testkit::until("orders are being settled", async || {
        let database = system.database().await;
        database.query_one("SELECT count(*) FROM customer_order", &[]).await.unwrap().get::<_, i64>(0) > 50
    })
    .await;
    let stopped = async {
        stop.cancel();
        let mut accepted = vec![];
        for client in clients {
            accepted.extend(client.await.unwrap());
        }
        testkit::until("the admin listener is closed", async || {
            reqwest::get(format!("{admin}/health/live")).await.is_err()
        })
        .await;
        accepted
    };
    let (accepted, timing) = timed(&first, stopped).await;
    timing.assert_within(Duration::from_secs(10), "the gateway stops");

    let database = system.database().await;
    testkit::until("every 202 of the stopped gateway is settled", async || {
        let ids: Vec<uuid::Uuid> = accepted.iter().map(|id| id.parse().unwrap()).collect();
        let row =
            database.query_one("SELECT count(*) FROM customer_order WHERE order_id = ANY($1)", &[&ids]).await;
        row.unwrap().get::<_, i64>(0) as usize == accepted.len()
    })
    .await;
}
