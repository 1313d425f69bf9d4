//! A Redis at its memory limit: no order is accepted, no data is evicted, operations that free memory continue, and
//! sales resume when memory is available.

use bytes::Bytes;
use reqwest::Method;
use testkit::client::{order_body, terms};
use testkit::system::Shape;
use testkit::{RedisServer, System, fresh};

async fn command(redis: &RedisServer, name: &'static str, args: &[&str]) -> String {
    let args = args.iter().map(|arg| Bytes::from(arg.to_string())).collect();
    redis.client().await.command(name, args).await.expect("Redis is up")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_redis_refuses_orders_and_still_releases_units() {
    let redis = RedisServer::start().await;
    let shape = Shape { gateways: 1, settlements: 1, redis_url: Some(redis.url()), ..Shape::default() };
    let system = System::start(shape).await;
    let client = system.client();
    let sale = fresh("full");
    client.open_sale(&sale, terms(&[("A", 1000, Some(50))])).await;
    let body = order_body(&[("A", 1)]);
    let first = client.order_until_answered(&sale, "c0", "k", &body).await;
    client.until_settled(&sale, "c0", &first.order_id()).await;

    command(&redis, "CONFIG", &["SET", "maxmemory", "1mb"]).await; // less than an empty server uses
    let mut refused = 0;
    testkit::until("a full Redis refuses orders", async || {
        let answer = client.order(&sale, "c1", "k", &body).await;
        refused += u32::from(answer.code() == "stock_unavailable");
        assert!(answer.status != 202, "{answer:?}");
        refused == 3
    })
    .await;
    // A cancellation releases a unit and is recorded although Redis cannot store anything new.
    let path = format!("/v1/sales/{sale}/orders/{}", first.order_id());
    let cancel = client.request(Method::DELETE, &path).bearer_auth("dev:c0");
    assert_eq!(client.send(cancel).await.status, 202);
    let stock = async || {
        let path = format!("/admin/v1/sales/{sale}/inventory");
        client.admin(Method::GET, &path, None).await.body["items"][0].clone()
    };
    testkit::until("the unit is released", async || {
        let shown = stock().await;
        shown["held"] == 0 && shown["redis_available"] == 50
    })
    .await;
    command(&redis, "CONFIG", &["SET", "maxmemory", "0"]).await;
    let second = client.order_until_answered(&sale, "c1", "k", &body).await;
    assert_eq!(second.status, 202, "{:?}", second.body);
    client.until_settled(&sale, "c1", &second.order_id()).await;
    assert_eq!(stock().await["drift"], 0);
}
