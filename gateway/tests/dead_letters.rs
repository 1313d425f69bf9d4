//! The operator's list of dead letters, and their replay and discard.

use contract::record::{Headers, RecordType};
use process::kafka::{Message, Producer, ProducerSettings};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::{order_body, terms};
use testkit::{Client, environment, fresh, shared};

async fn letters(client: &Client, query: &str) -> Vec<Value> {
    let listed = client.admin(Method::GET, &format!("/admin/v1/dead-letters?{query}"), None).await;
    assert_eq!(listed.status, 200, "{:?}", listed.body);
    listed.body["dead_letters"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_poison_record_is_listed_with_its_bytes_and_can_be_discarded() {
    let client = shared().client();
    let sale = fresh("poison");
    client.open_sale(&sale, terms(&[("A", 1000, Some(5))])).await;
    let first = client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 1)])).await;
    client.until_settled(&sale, "c", &first.order_id()).await;
    let partition: i32 = {
        let db = shared().database().await;
        let select = "SELECT partition FROM sale WHERE sale_id = $1";
        db.query_one(select, &[&sale]).await.expect("the sale").get(0)
    };
    let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 100 };
    let producer = Producer::start(&environment("KAFKA_BROKERS"), "test", &settings).expect("a producer");
    let units = [(contract::ids::Sku::parse("A").expect("a name"), 2)].into();
    let headers = Headers::accepted(contract::ids::Epoch(1), contract::ids::Sequence(2), 2, units).encode();
    assert_eq!(headers[0].1, RecordType::Accepted.as_str());
    let message = Message {
        topic: &format!("{}orders", shared().topic_prefix),
        partition: Some(partition),
        key: &sale,
        value: Some(b"\x00\xffpoison"),
        headers: &headers,
    };
    producer.send(&message).expect("queue capacity").await.expect("acknowledged");

    let query = format!("state=undecided&sale={sale}");
    let letter =
        testkit::eventually("the dead letter is listed", async || letters(&client, &query).await.pop()).await;
    assert_eq!((&letter["reason"], &letter["units"]), (&json!("malformed"), &json!({"A": 2})));
    assert_eq!(letter["value_base64"], "AP9wb2lzb24=");
    let inventory = async || {
        let path = format!("/admin/v1/sales/{sale}/inventory");
        client.admin(Method::GET, &path, None).await.body["items"][0].clone()
    };
    let shown = inventory().await;
    assert_eq!((&shown["dead_lettered"], &shown["database_available"]), (&json!(2), &json!(2)));

    let post = async |what: &str| {
        client.admin(Method::POST, &format!("/admin/v1/dead-letters/{}/{what}", letter["id"]), None).await
    };
    let replayed = post("replay").await;
    assert_eq!((replayed.status.as_u16(), &replayed.body["state"]), (200, &json!("undecided")));
    let discarded = post("discard").await;
    assert_eq!((discarded.status.as_u16(), &discarded.body["state"]), (200, &json!("discarded")));
    assert_eq!(post("replay").await.code(), "illegal_move");
    assert!(letters(&client, &query).await.is_empty());
    let shown = inventory().await;
    assert_eq!((&shown["dead_lettered"], &shown["database_available"]), (&json!(0), &json!(4)));
}

#[tokio::test]
async fn an_invalid_list_query_is_refused() {
    let client = shared().client();
    for query in ["state=nonsense", "limit=0", "cursor=x"] {
        let answer = client.admin(Method::GET, &format!("/admin/v1/dead-letters?{query}"), None).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "malformed_request"), "{query}");
    }
    for path in ["dead-letters/999999999/replay", "dead-letters/x/discard"] {
        assert_eq!(client.admin(Method::POST, &format!("/admin/v1/{path}"), None).await.code(), "not_found");
    }
    assert_eq!(
        client.admin(Method::GET, "/admin/v1/dead-letters/1/replay", None).await.code(),
        "method_not_allowed"
    );
}
