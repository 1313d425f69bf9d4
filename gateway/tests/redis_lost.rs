//! Redis forgets: the sale closes itself with 503 and sells nothing.

use bytes::Bytes;
use reqwest::Method;
use testkit::client::{order_of, terms};
use testkit::system::Shape;
use testkit::{RedisServer, System, fresh};

async fn system_with(redis: &RedisServer) -> System {
    System::start(Shape { redis_url: Some(redis.url()), ..Shape::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_flushall_the_sale_refuses_until_the_operator_rebuilds_it() {
    let redis = RedisServer::start().await;
    let system = system_with(&redis).await;
    let client = system.client();
    let sale = fresh("flushed");
    client.open_sale(&sale, terms(&[("A", 1000, Some(3))])).await;
    let first = client.order_until_told(&sale, "a", "k", &order_of(&[("A", 1)])).await;
    client.until_settled(&sale, "a", &first.order_id()).await;

    let _: String = redis.client().await.command("FLUSHALL", Vec::<Bytes>::new()).await.unwrap();
    for i in 0..20 {
        let refused = client.order(&sale, &format!("c{i}"), "k", &order_of(&[("A", 1)])).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "sale_rebuilding"), "{:?}", refused.body);
    }
    let rows = system.database().await.query_one("SELECT count(*) FROM customer_order", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 1, "nothing was sold from a forgotten stock");

    client.admin(Method::POST, &format!("/admin/v1/sales/{sale}/rebuild"), None).await;
    let next = client.order_until_told(&sale, "b", "k", &order_of(&[("A", 2)])).await;
    assert_eq!((next.status.as_u16(), &next.body["sequence"]), (202, &2.into()), "{:?}", next.body);
    let again = client.order_until_told(&sale, "a", "k", &order_of(&[("A", 1)])).await;
    assert_eq!((again.replayed(), &again.body), (true, &first.body), "its customer is not forgotten");
    assert_eq!(client.order_until_told(&sale, "c", "k", &order_of(&[("A", 1)])).await.code(), "sold_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_restarts_empty_sells_nothing_and_readiness_comes_and_goes_with_it() {
    let mut redis = RedisServer::start().await;
    let system = system_with(&redis).await;
    let client = system.client();
    let sale = fresh("restarted");
    client.open_sale(&sale, terms(&[("A", 1000, Some(3))])).await;
    let ready = format!("{}/health/ready", system.gateways[0].1);
    let readiness = async || reqwest::get(&ready).await.unwrap();

    redis.kill();
    testkit::until("readiness names Redis", async || {
        let answer = readiness().await;
        let gone = answer.status() == 503;
        let body: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        gone && body["dependencies"]["redis"]["up"] == false
            && body["dependencies"]["redis"]["why"].is_string()
    })
    .await;
    let refused = client.order(&sale, "c", "k", &order_of(&[("A", 1)])).await;
    assert_eq!(refused.status, 503, "{:?}", refused.body);
    assert!(["stock_unavailable", "outcome_unknown"].contains(&refused.code()), "{:?}", refused.body);

    redis.run().await;
    testkit::until("readiness comes back", async || readiness().await.status() == 200).await;
    for i in 0..20 {
        let refused = client.order(&sale, &format!("c{i}"), "k", &order_of(&[("A", 1)])).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (503, "sale_rebuilding"), "{:?}", refused.body);
    }
    let rows = system.database().await.query_one("SELECT count(*) FROM customer_order", &[]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 0);
}
