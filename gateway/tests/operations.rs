//! The admin API for operators: definitions, states, totals and inventory.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::{order_body, terms};
use testkit::control::timed;
use testkit::{Client, fresh, shared};

async fn put(client: &Client, sale: &str, terms: &Value) -> testkit::Answer {
    client.admin(Method::PUT, &format!("/admin/v1/sales/{sale}"), Some(terms)).await
}

async fn inventory(client: &Client, sale: &str) -> Value {
    client.admin(Method::GET, &format!("/admin/v1/sales/{sale}/inventory"), None).await.body
}

#[tokio::test]
async fn a_definition_is_checked_stored_and_replaced_while_it_is_a_draft() {
    let client = shared().client();
    let sale = fresh("define");
    let mut bad = terms(&[("A", 1, Some(1))]);
    bad["items"][0]["max_quantity_per_order"] = json!(0);
    let refused = put(&client, &sale, &bad).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (422, "invalid_sale"));
    assert_eq!(refused.body["field"], "items[0].max_quantity_per_order");
    assert_eq!(put(&client, &sale, &json!({"title": "x", "surprise": 1})).await.code(), "malformed_request");

    assert_eq!(put(&client, &sale, &terms(&[("A", 1, Some(1)), ("B", 1, None)])).await.status, 201);
    let changed = put(&client, &sale, &terms(&[("C", 5, Some(9))])).await;
    assert_eq!(changed.status, 200);
    assert_eq!(changed.body["items"].as_array().unwrap().len(), 1);
    assert_eq!((&changed.body["state"], &changed.body["items"][0]["sku"]), (&json!("draft"), &json!("C")));
    let all = client.admin(Method::GET, "/admin/v1/sales", None).await.body;
    assert!(all["sales"].as_array().unwrap().iter().any(|shown| shown["sale_id"] == sale.as_str()));
}

#[tokio::test]
async fn sale_states_change_as_documented_and_repeated_actions_have_no_effect() {
    let client = shared().client();
    let sale = fresh("states");
    let act = async |action: &str| {
        client.admin(Method::POST, &format!("/admin/v1/sales/{sale}/{action}"), None).await
    };
    assert_eq!(act("open").await.code(), "unknown_sale");
    put(&client, &sale, &terms(&[("A", 1, Some(1))])).await;
    assert_eq!(act("pause").await.code(), "illegal_move");
    assert_eq!(act("rebuild").await.code(), "illegal_move");
    for (action, state) in [
        ("open", "open"),
        ("open", "open"),
        ("pause", "paused"),
        ("resume", "open"),
        ("close", "closed"),
        ("close", "closed"),
    ] {
        let answer = act(action).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.body["state"]),
            (200, &json!(state)),
            "{action}: {:?}",
            answer.body
        );
    }
    assert_eq!(act("open").await.code(), "illegal_move");
    assert_eq!(act("resume").await.code(), "illegal_move");
}

#[tokio::test]
async fn a_gateway_reports_whether_the_stored_state_is_in_force() {
    let client = shared().client();
    let sale = fresh("in-force");
    put(&client, &sale, &terms(&[("A", 1, Some(1))])).await;
    let shown = async || {
        let all = client.admin(Method::GET, "/admin/v1/sales", None).await.body;
        let sales = all["sales"].as_array().cloned().unwrap_or_default();
        sales.into_iter().find(|shown| shown["sale_id"] == sale.as_str()).expect("the sale is listed")
    };
    assert_eq!(shown().await["in_force"], true, "a draft is in force while it is unknown to customers");
    let act = async |action: &str| {
        client.admin(Method::POST, &format!("/admin/v1/sales/{sale}/{action}"), None).await.body
    };
    assert_eq!(act("open").await["in_force"], false, "no gateway can have read it yet");
    for (action, code) in
        [("open", "sold_out"), ("pause", "sale_paused"), ("resume", "sold_out"), ("close", "sale_closed")]
    {
        act(action).await;
        testkit::until("the state is in force", async || {
            let shown = shown().await;
            shown["in_force"] == true && (shown["ready"] == true || action == "close")
        })
        .await;
        let answer = client.order(&sale, "c", "k", &order_body(&[("A", 2)])).await;
        assert_eq!(answer.code(), code, "{action}: {:?}", answer.body);
    }
}

#[tokio::test]
async fn totals_can_be_raised_and_lowered_while_the_sale_is_open() {
    let client = shared().client();
    let sale = fresh("totals");
    let mut sold_by = terms(&[("A", 1000, Some(2))]);
    client.open_sale(&sale, sold_by.clone()).await;
    for customer in ["a", "b"] {
        assert_eq!(
            client.order_until_answered(&sale, customer, "k", &order_body(&[("A", 1)])).await.status,
            202
        );
    }
    assert_eq!(
        client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 1)])).await.code(),
        "sold_out"
    );

    sold_by["items"][0]["total"] = json!(5);
    let raised = put(&client, &sale, &sold_by).await;
    assert_eq!(
        (raised.status.as_u16(), &raised.body["items"][0]["total"]),
        (200, &json!(5)),
        "{:?}",
        raised.body
    );
    let sold_again = testkit::until("raised units are sold", async || {
        client.order(&sale, "c", "k", &order_body(&[("A", 1)])).await.status == 202
    });
    let ((), timing) = timed(&client, sold_again).await;
    timing.assert_within(Duration::from_secs(2), "raised units are sold");

    sold_by["items"][0]["total"] = json!(2);
    let refused = put(&client, &sale, &sold_by).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code(), &refused.body["free"]),
        (409, "stock_in_use", &json!(2))
    );
    sold_by["items"][0]["total"] = json!(3);
    let lowered = put(&client, &sale, &sold_by).await;
    assert_eq!(lowered.status, 200, "{:?}", lowered.body);
    assert_eq!(put(&client, &sale, &sold_by).await.status, 200, "a repetition has no effect");
    assert_eq!(
        client.order_until_answered(&sale, "d", "k", &order_body(&[("A", 1)])).await.code(),
        "sold_out"
    );
    testkit::until("Redis and Postgres agree", async || {
        let item = inventory(&client, &sale).await["items"][0].clone();
        item == json!({"sku": "A", "total": 3, "database_available": 0, "redis_available": 0, "held": 3,
                       "sold": 0, "dead_lettered": 0, "drift": 0})
    })
    .await;
}

#[tokio::test]
async fn a_rebuild_adds_and_removes_items_and_keeps_every_order() {
    let client = shared().client();
    let sale = fresh("items");
    client.open_sale(&sale, terms(&[("A", 1000, Some(5)), ("B", 1000, Some(5))])).await;
    let first = client.order_until_answered(&sale, "a", "k", &order_body(&[("A", 2)])).await;
    client.until_settled(&sale, "a", &first.order_id()).await;
    let changed = put(&client, &sale, &terms(&[("A", 1000, None), ("C", 700, Some(3))])).await;
    assert_eq!(changed.status, 200, "{:?}", changed.body);
    testkit::until("the new items are sold", async || {
        let shown = client.get("x", &format!("/v1/sales/{sale}")).await.body;
        shown["ready"] == true
            && shown["items"].as_array().is_some_and(|items| items.len() == 2 && items[1]["sku"] == "C")
    })
    .await;
    assert_eq!(
        client.order_until_answered(&sale, "b", "k", &order_body(&[("C", 3), ("A", 9)])).await.status,
        202
    );
    assert_eq!(client.order(&sale, "c", "k", &order_body(&[("B", 1)])).await.code(), "unknown_sku");
    let again = client.order_until_answered(&sale, "a", "k", &order_body(&[("A", 2)])).await;
    assert_eq!((again.replayed(), &again.body), (true, &first.body));
    let duplicate = client.order_until_answered(&sale, "a", "k2", &order_body(&[("A", 1)])).await;
    assert_eq!(duplicate.code(), "duplicate_order");
}

#[tokio::test]
async fn a_rebuild_requested_by_an_operator_changes_nothing_for_customers() {
    let client = shared().client();
    let sale = fresh("sync");
    client.open_sale(&sale, terms(&[("A", 1000, Some(3))])).await;
    let first = client.order_until_answered(&sale, "a", "k", &order_body(&[("A", 1)])).await;
    client.until_settled(&sale, "a", &first.order_id()).await;
    let before = inventory(&client, &sale).await["epoch"].as_u64().unwrap();
    let requested = client.admin(Method::POST, &format!("/admin/v1/sales/{sale}/inventory/sync"), None).await;
    assert_eq!(requested.status, 202, "{:?}", requested.body);
    testkit::until("a newer epoch is ready", async || {
        let now = inventory(&client, &sale).await;
        now["ready"] == true && now["epoch"].as_u64() > Some(before) && now["items"][0]["drift"] == 0
    })
    .await;
    client.until_sale(&sale, "open", true).await;
    let again = client.order_until_answered(&sale, "a", "k", &order_body(&[("A", 1)])).await;
    assert_eq!((again.replayed(), &again.body), (true, &first.body));
    let second = client.order_until_answered(&sale, "b", "k", &order_body(&[("A", 2)])).await;
    assert_eq!((second.status.as_u16(), &second.body["sequence"]), (202, &json!(2)));
    assert_eq!(
        client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 1)])).await.code(),
        "sold_out"
    );
}
