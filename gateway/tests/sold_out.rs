//! Sold out: answered from memory, never to someone who may hold an order, and only while it is true.

use bytes::Bytes;
use testkit::client::{order_of, terms};
use testkit::system::Shape;
use testkit::{RedisServer, System, fresh};

/// How often this Redis was asked for a script.
async fn script_calls(redis: &lua::Redis) -> u64 {
    let stats: String =
        redis.command("INFO", vec![Bytes::from_static(b"commandstats")]).await.expect("Redis");
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    let calls = line.and_then(|line| line.split(',').next()?.parse().ok());
    calls.expect("scripts were called")
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_from_memory_and_buyers_always_reach_the_script() {
    let redis = RedisServer::start().await;
    let system = System::start(Shape { redis_url: Some(redis.url()), ..Shape::default() }).await;
    let client = system.client();
    let sale = fresh("gone");
    let mut sold_by = terms(&[("A", 1000, Some(3)), ("B", 1000, Some(3))]);
    client.open_sale(&sale, sold_by.clone()).await;
    let body = order_of(&[("A", 1)]);
    let mut firsts = vec![];
    for i in 0..3 {
        firsts.push(client.order_until_told(&sale, &format!("buyer-{i}"), "k", &body).await);
    }

    const STRANGERS: u64 = 300;
    let looking = redis.client().await;
    testkit::until("strangers are refused without a script call for each", async || {
        let before = script_calls(&looking).await;
        for i in 0..STRANGERS {
            let refused = client.order(&sale, &format!("stranger-{i}"), "k", &body).await;
            assert_eq!(refused.code(), "sold_out", "{:?}", refused.body);
            assert_eq!((&refused.body["sku"], &refused.body["remaining"]), (&"A".into(), &0.into()));
        }
        script_calls(&looking).await - before < STRANGERS / 4
    })
    .await;
    // In the same state, whoever may hold an order gets the script's answer.
    for _ in 0..50 {
        for (i, first) in firsts.iter().enumerate() {
            let again = client.order(&sale, &format!("buyer-{i}"), "k", &body).await;
            assert_eq!((again.status.as_u16(), &again.body), (202, &first.body));
        }
        let duplicate = client.order(&sale, "buyer-0", "another", &body).await;
        assert_eq!(duplicate.code(), "duplicate_order");
    }
    // What is left is sold, and so is what comes back.
    let other_item = client.order_until_told(&sale, "stranger-1", "k2", &order_of(&[("B", 1)])).await;
    assert_eq!(other_item.status, 202, "{:?}", other_item.body);
    sold_by["items"][0]["total"] = 4.into();
    client.admin(reqwest::Method::PUT, &format!("/admin/v1/sales/{sale}"), Some(&sold_by)).await;
    testkit::until("the raised unit is sold", async || {
        client.order(&sale, "stranger-2", "k3", &body).await.status == 202
    })
    .await;
}
