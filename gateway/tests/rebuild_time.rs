//! Measures how long a sale with 100,000 live orders stays closed after Redis restarts empty. It is a measurement and
//! therefore not part of the tests: `cargo test -p gateway --test rebuild_time -- --ignored --nocapture`

use std::time::{Duration, Instant};

use testkit::client::{order_body, terms};
use testkit::system::Shape;
use testkit::{RedisServer, System, fresh};

const ORDERS: i64 = 100_000;
/// The wait for leases plus the allowance for everything else.
const LIMIT: Duration = Duration::from_millis(3500 + 4000);
const ROUNDS: usize = 3;

/// Inserts orders of one unit each, as settlement would have stored them.
async fn insert_orders(database: &tokio_postgres::Client, sale: &str) {
    let orders = "INSERT INTO customer_order (order_id, sale_id, customer_id, status, sequence, epoch, subtotal, \
                      discount, delivery_fee, total, currency, idempotency_key, request_digest, hold_seconds, \
                      hold_expires_at, accepted_at, updated_at) \
                  SELECT gen_random_uuid(), $1, 'customer-' || n, 'created', n, 1, 1000, 0, 0, 1000, 'KRW', 'k', \
                         substr(sha256(n::text::bytea), 1, 8), 3600, now() + interval '1 hour', now(), now() \
                    FROM generate_series(1, $2::bigint) AS n";
    database.execute(orders, &[&sale, &ORDERS]).await.expect("orders");
    let lines = "INSERT INTO order_line (order_id, line, sku, quantity, unit_price) \
                 SELECT order_id, 0, 'A', 1, 1000 FROM customer_order WHERE sale_id = $1";
    database.execute(lines, &[&sale]).await.expect("lines");
    database
        .execute("UPDATE sale_item SET held = $2 WHERE sale_id = $1", &[&sale, &ORDERS])
        .await
        .expect("units");
    database
        .execute("UPDATE sale SET next_sequence = $2::bigint + 1 WHERE sale_id = $1", &[&sale, &ORDERS])
        .await
        .expect("a sequence");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_sale_with_100_000_live_orders_is_open_again_within_the_lease_wait_and_4_s() {
    // Each round has its own system, because repeated state losses of one sale increase the rebuild backoff.
    for round in 0..ROUNDS {
        let took = reopens_after().await;
        println!("round {round}: sells again {took:?} after the restart of Redis");
        assert!(took < LIMIT, "{took:?}");
    }
}

async fn reopens_after() -> Duration {
    let mut redis = RedisServer::start().await;
    let system = System::start(Shape { redis_url: Some(redis.url()), ..Shape::default() }).await;
    let (client, database) = (system.client(), system.database().await);
    let sale = fresh("big");
    client.open_sale(&sale, terms(&[("A", 1000, Some(ORDERS as u64 + 10))])).await;
    insert_orders(&database, &sale).await;
    redis.kill();
    testkit::until("the loss is detected", async || {
        client.order(&sale, "probe", "k", &order_body(&[("A", 1)])).await.status == 503
    })
    .await;
    redis.run().await;
    let restarted = Instant::now();
    let answer = client.order_until_answered(&sale, "new", "k", &order_body(&[("A", 1)])).await;
    let took = restarted.elapsed();
    let shown = (answer.status.as_u16(), answer.body["sequence"].as_i64());
    assert_eq!(shown, (202, Some(ORDERS + 1)), "{:?}", answer.body);
    took
}
