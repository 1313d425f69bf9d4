//! Fast refusals: "sold out" is answered from the stock cache, never to a customer who may hold an order, and only
//! while it is true.

use std::time::Duration;

use bytes::Bytes;
use contract::ids::{Epoch, SaleId};
use contract::keys::SaleKeys;
use contract::timestamp::Timestamp;
use lua::Redis;
use lua::release::ANNOUNCE_MS;
use reqwest::Method;
use serde_json::Value;
use testkit::client::{order_body, terms};
use testkit::system::Shape;
use testkit::{Answer, Client, RedisServer, System, fresh};

/// Returns the number of script calls that this Redis has received.
async fn script_calls(redis: &Redis) -> u64 {
    let stats: String =
        redis.command("INFO", vec![Bytes::from_static(b"commandstats")]).await.expect("Redis");
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    let calls = line.and_then(|line| line.split(',').next()?.parse().ok());
    calls.expect("scripts were called")
}

/// Waits until new customers are refused with "sold out" without a script call for each.
async fn until_refused_from_cache(client: &Client, redis: &Redis, sale: &str, body: &Value) {
    const NEW_CUSTOMERS: u64 = 300;
    testkit::until("new customers are refused without a script call for each", async || {
        let before = script_calls(redis).await;
        for i in 0..NEW_CUSTOMERS {
            let refused = client.order_until_answered(sale, &format!("stranger-{i}"), "k", body).await;
            assert_eq!(refused.code(), "sold_out", "{:?}", refused.body);
            assert_eq!((&refused.body["sku"], &refused.body["remaining"]), (&"A".into(), &0.into()));
        }
        script_calls(redis).await - before < NEW_CUSTOMERS / 4
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_customers_are_refused_from_the_cache_and_buyers_always_reach_the_script() {
    let redis = RedisServer::start().await;
    let system = System::start(Shape { redis_url: Some(redis.url()), ..Shape::default() }).await;
    let client = system.client();
    let sale = fresh("sold-out");
    let mut sold_by = terms(&[("A", 1000, Some(3)), ("B", 1000, Some(3))]);
    client.open_sale(&sale, sold_by.clone()).await;
    let body = order_body(&[("A", 1)]);
    let mut firsts = vec![];
    for i in 0..3 {
        firsts.push(client.order_until_answered(&sale, &format!("buyer-{i}"), "k", &body).await);
    }

    until_refused_from_cache(&client, &redis.client().await, &sale, &body).await;
    // In the same state, a customer who may hold an order gets the script's reply.
    for _ in 0..50 {
        for (i, first) in firsts.iter().enumerate() {
            let again = client.order(&sale, &format!("buyer-{i}"), "k", &body).await;
            assert_eq!((again.status.as_u16(), &again.body), (202, &first.body));
        }
        let duplicate = client.order(&sale, "buyer-0", "another", &body).await;
        assert_eq!(duplicate.code(), "duplicate_order");
    }
    // Remaining units are still sold, and so are units that are added.
    let other_item = client.order_until_answered(&sale, "stranger-1", "k2", &order_body(&[("B", 1)])).await;
    assert_eq!(other_item.status, 202, "{:?}", other_item.body);
    sold_by["items"][0]["total"] = 4.into();
    client.admin(reqwest::Method::PUT, &format!("/admin/v1/sales/{sale}"), Some(&sold_by)).await;
    testkit::until("the raised unit is sold", async || {
        client.order(&sale, "stranger-2", "k3", &body).await.status == 202
    })
    .await;
}

/// The time within which released units are sold again.
const SOLD_AGAIN_WITHIN_MS: u64 = 600;

/// Returns the time of Redis' clock, the only clock that these tests use.
async fn redis_ms(redis: &Redis) -> u64 {
    let (seconds, micros): (u64, u64) = redis.command("TIME", vec![]).await.expect("Redis");
    seconds * 1000 + micros / 1000
}

/// Returns when `release.lua` was applied, from the announced time at which the units become available.
async fn released_ms(redis: &Redis, keys: &SaleKeys) -> u64 {
    testkit::eventually("units are announced", async || {
        let range = [keys.returning.as_str(), "0", "0"].map(|arg| Bytes::from(arg.to_string()));
        let announced: Vec<String> = redis.command("LRANGE", range.to_vec()).await.expect("Redis");
        let ready_ms = announced.first()?.split(' ').next()?.parse::<u64>().expect("a time");
        Some(ready_ms - ANNOUNCE_MS)
    })
    .await
}

/// Orders until the response is a 202; returns it with its time.
async fn order_until_sold(client: &Client, redis: &Redis, sale: &str, customer: &str) -> (Answer, u64) {
    const EVERY: Duration = Duration::from_millis(2);
    loop {
        let answer = client.order_until_answered(sale, customer, "k", &order_body(&[("A", 1)])).await;
        if answer.status == 202 {
            return (answer, redis_ms(redis).await);
        }
        assert_eq!(answer.code(), "sold_out", "{:?}", answer.body);
        tokio::time::sleep(EVERY).await;
    }
}

/// Measures from the time at which `release.lua` returned the unit, which is when gateways can first read it, to the
/// 202 of a customer who retries constantly at a gateway that refused from its cache until then.
#[tokio::test(flavor = "multi_thread")]
async fn returned_units_sell_again_soon_after_the_release() {
    const ROUNDS: usize = 20;
    let redis = RedisServer::start().await;
    let shape = Shape { gateways: 2, redis_url: Some(redis.url()), ..Shape::default() };
    let system = System::start(shape).await;
    let (client, other, redis) = (system.client(), system.gateway_client(1), redis.client().await);
    let sale = fresh("again");
    client.open_sale(&sale, terms(&[("A", 1000, Some(1))])).await;
    other.until_sale(&sale, "open", true).await;
    let keys = SaleKeys::new(&SaleId::parse(&sale).expect("a name"), Epoch(1));
    let body = order_body(&[("A", 1)]);
    let mut id = client.order_until_answered(&sale, "c0", "k", &body).await.order_id();
    let (mut accepted, mut reserved) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        until_refused_from_cache(&other, &redis, &sale, &body).await;
        let (holder, next) = (format!("c{}", round - 1), format!("c{round}"));
        let cancel = client.request(Method::DELETE, &format!("/v1/sales/{sale}/orders/{id}"));
        let ordering = async { order_until_sold(&other, &redis, &sale, &next).await };
        let cancelling = async {
            assert_eq!(client.send(cancel.bearer_auth(format!("dev:{holder}"))).await.status, 202);
            released_ms(&redis, &keys).await
        };
        let ((answer, accepted_ms), released_ms) =
            tokio::time::timeout(testkit::wait::PATIENCE, async { tokio::join!(ordering, cancelling) })
                .await
                .expect("sold again");
        let expires = answer.body["hold_expires_at"].as_str().and_then(Timestamp::parse).expect("a time");
        accepted.push(accepted_ms - released_ms);
        reserved.push(expires.0 - 3_600_000 - released_ms);
        id = answer.order_id();
    }
    for (what, times) in [("reserved", &mut reserved), ("accepted", &mut accepted)] {
        times.sort_unstable();
        println!("{what}, ms after the release: {times:?}");
    }
    assert!(reserved[0] >= ANNOUNCE_MS, "not before every gateway's stock snapshot has expired");
    assert!(accepted[ROUNDS - 1] <= SOLD_AGAIN_WITHIN_MS, "accepted after {accepted:?} ms");
}
