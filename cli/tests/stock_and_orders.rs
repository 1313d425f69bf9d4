//! Each command for stock, orders, dead letters and wallets once, with text and with JSON output.

mod support;

use contract::ids::{Epoch, Sequence, Sku};
use contract::record::Headers;
use process::kafka::{Message, Producer, ProducerSettings};
use serde_json::{Value, json};
use support::Operator;
use testkit::client::{order_body, terms};
use testkit::{environment, eventually, fresh, shared};

#[tokio::test(flavor = "multi_thread")]
async fn stock_is_compared_and_synchronized() {
    let (operator, client, sale) = (Operator::for_system(shared()), shared().client(), fresh("stock"));
    client.open_sale(&sale, terms(&[("A", 1000, Some(1500)), ("B", 5, None)])).await;
    let order = client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 2)])).await;
    client.until_settled(&sale, "c", &order.order_id()).await;
    let stock = operator.run(&["inventory", &sale, "--json"]).ok().json();
    assert_eq!((&stock["items"][0]["held"], &stock["items"][0]["drift"]), (&json!(2), &json!(0)));
    let text = operator.run(&["inventory", &sale]).ok().out;
    let row = text.lines().find(|line| line.contains("1,500")).expect("the item's line");
    let cells: Vec<_> = row.split_whitespace().collect();
    assert_eq!(cells, ["A", "1,500", "1,498", "1,498", "2", "0", "0", "0"]);
    assert!(text.contains("unlimited") && !text.contains('\x1b'), "{text}");

    assert_eq!(operator.run(&["inventory", &sale, "--sync"]).code, 2, "confirmation is required");
    let synced = operator.run(&["inventory", &sale, "--sync", "--yes", "--json"]).ok().json();
    assert!(synced["epoch"].as_u64() > stock["epoch"].as_u64(), "{synced}");
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_found_and_their_delivery_is_advanced() {
    let (operator, client, sale) = (Operator::for_system(shared()), shared().client(), fresh("orders"));
    client.open_sale(&sale, terms(&[("A", 1000, Some(50))])).await;
    let rich = fresh("rich");
    operator.run(&["wallet", "credit", &rich, "5000", "KRW"]).ok();
    let mut paid = order_body(&[("A", 1)]);
    paid["payment"] = json!({ "method": "wallet" });
    let order = client.order_until_answered(&sale, &rich, "k", &paid).await.order_id();
    for customer in ["alice", "bob"] {
        let accepted = client.order_until_answered(&sale, customer, "k", &order_body(&[("A", 1)])).await;
        client.until_settled(&sale, customer, &accepted.order_id()).await;
    }

    let first = operator.run(&["orders", "list", &sale, "--limit", "2", "--json"]).ok().json();
    assert_eq!(first["orders"].as_array().expect("orders").len(), 2);
    let cursor = first["next_cursor"].as_str().expect("there are more").to_owned();
    let rest = operator.run(&["orders", "list", &sale, "--cursor", &cursor, "--json"]).ok().json();
    assert_eq!((&rest["orders"][0]["order_id"], &rest["next_cursor"]), (&json!(order), &Value::Null));
    let text = operator.run(&["orders", "list", &sale, "--limit", "2"]).ok().out;
    assert!(text.contains("alice") && text.contains(&format!("--cursor {cursor}")), "{text}");
    let text = operator.run(&["orders", "list", &sale, "--customer", "stranger"]).ok().out;
    assert_eq!(text, "No orders.\n");

    let show = || operator.run(&["orders", "show", &sale, &order, "--json"]);
    testkit::until("it is prepared", async || show().ok().json()["status"] == "preparing").await;
    let listed = operator.run(&["orders", "list", &sale, "--status", "preparing", "--json"]).ok().json();
    assert_eq!(listed["orders"][0]["order_id"], json!(order));
    for _ in 0..2 {
        operator.run(&["orders", "deliver", &sale, &order, "shipped"]).ok();
        testkit::until("it is shipped", async || show().ok().json()["status"] == "shipped").await;
    }
    let text = operator.run(&["orders", "show", &sale, &order]).ok().out;
    for word in ["shipped", "tracking_number", "captured", "History", "1,000"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    let refused = operator.run(&["orders", "deliver", &sale, &order, "in_warehouse", "--json"]);
    assert_eq!((refused.code, &refused.error()["problem"]["code"]), (1, &json!("illegal_move")));
    assert_eq!(operator.run(&["sale", "report", &sale, "--json"]).ok().json()["sale_id"], json!(sale));
    assert!(operator.run(&["sale", "report", &sale]).ok().out.contains("Revenue (KRW, minor units)"));
}

/// Produces a record with units into the sale's partition that cannot be decoded.
async fn poison(sale: &str) {
    let db = shared().database().await;
    let row =
        db.query_one("SELECT partition FROM sale WHERE sale_id = $1", &[&sale]).await.expect("the sale");
    let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 100 };
    let producer = Producer::start(&environment("KAFKA_BROKERS"), "test", &settings).expect("a producer");
    let units = [(Sku::parse("A").expect("a name"), 2)].into();
    let message = Message {
        topic: &format!("{}orders", shared().topic_prefix),
        partition: Some(row.get(0)),
        key: sale,
        value: Some(b"poison"),
        headers: &Headers::accepted(Epoch(1), Sequence(1), 2, units).encode(),
    };
    producer.send(&message).expect("room").await.expect("acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_replayed_and_discarded() {
    let (operator, client, sale) = (Operator::for_system(shared()), shared().client(), fresh("dead"));
    client.open_sale(&sale, terms(&[("A", 1000, Some(5))])).await;
    assert_eq!(operator.run(&["dead-letters", "list", "--sale", &sale]).ok().out, "No dead letters.\n");
    poison(&sale).await;
    let list = || operator.run(&["dead-letters", "list", "--sale", &sale, "--state", "undecided", "--json"]);
    let letter = eventually("it is listed", async || {
        list().ok().json()["dead_letters"].as_array_mut().and_then(Vec::pop)
    })
    .await;
    let text = operator.run(&["dead-letters", "list", "--sale", &sale]).ok().out;
    assert!(text.contains("malformed") && text.contains("2 A"), "{text}");
    let id = letter["id"].to_string();
    let replayed = operator.run(&["dead-letters", "replay", &id, "--json"]).ok().json();
    assert_eq!(replayed["state"], "undecided", "it still cannot be decoded");
    assert_eq!(operator.run(&["dead-letters", "discard", &id]).code, 2, "confirmation is required");
    let finished = operator.run(&["dead-letters", "discard", &id, "--yes"]).ok().out;
    assert!(finished.starts_with(&format!("dead letter {id}: discarded")), "{finished}");
    let refused = operator.run(&["dead-letters", "replay", &id, "--json"]);
    assert_eq!((refused.code, &refused.error()["problem"]["code"]), (1, &json!("illegal_move")));
    let wrong = operator.run(&["dead-letters", "list", "--state", "lost", "--json"]);
    assert_eq!((wrong.code, &wrong.error()["problem"]["code"]), (1, &json!("malformed_request")));
}

#[test]
fn completion_scripts_contain_the_commands() {
    let offline = Operator { admin_url: "http://127.0.0.1:1".into(), token: None };
    for shell in ["bash", "zsh", "fish"] {
        let script = offline.run(&["completions", shell]).ok().out;
        assert!(script.contains("dead-letters") && script.contains("dry-run"), "{shell}");
    }
    // Bash accepts the script.
    let script = offline.run(&["completions", "bash"]).ok().out;
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", "source /dev/stdin && complete -p flashsale"]);
    let finished = support::run_to_end(bash, &script).ok();
    assert!(finished.out.contains("_flashsale"), "{finished:?}");
}
