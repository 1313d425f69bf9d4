//! Live updates of an order over both transports and from any gateway: each change is delivered exactly once.

use std::time::SystemTime;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::client::{order_body, terms};
use testkit::live::Event;
use testkit::system::Shape;
use testkit::{Client, EventStream, Forwarder, LiveSocket, System, fresh, shared};

fn events_of(client: &Client, customer: &str, sale: &str, order: &str) -> RequestBuilder {
    let request = client.request(Method::GET, &format!("/v1/sales/{sale}/orders/{order}/events"));
    request.bearer_auth(format!("dev:{customer}"))
}

async fn socket_of(
    client: &Client,
    customer: &str,
    sale: &str,
    order: &str,
    more: &str,
) -> Result<LiveSocket, reqwest::StatusCode> {
    let path = format!("/v1/sales/{sale}/orders/{order}/ws?access_token=dev%3A{customer}{more}");
    LiveSocket::open(&client.socket_url(&path)).await
}

async fn cancel(client: &Client, customer: &str, sale: &str, order: &str) {
    let request = client.request(Method::DELETE, &format!("/v1/sales/{sale}/orders/{order}"));
    let answer = client.send(request.bearer_auth(format!("dev:{customer}"))).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

/// Opens a sale at both gateways.
async fn open_sale(units: u64) -> (Client, Client, String) {
    let (client, other) = (shared().client(), shared().gateway_client(1));
    let sale = fresh("live");
    client.open_sale(&sale, terms(&[("A", 1000, Some(units))])).await;
    other.until_sale(&sale, "open", true).await;
    (client, other, sale)
}

/// Returns the sequence of an event ID, which increases with every event.
fn seq(id: &str) -> i64 {
    id.split_once('-').expect("partition-seq").1.parse().expect("a number")
}

/// Returns the first event after settlement. Only the fastest clients see the state before it.
async fn first_settled_event(stream: &mut EventStream) -> Event {
    let first = stream.next().await.expect("a first event");
    if first.name != "order.processing" {
        return first;
    }
    assert_eq!((&first.id, &first.data["status"]), (&None, &json!("processing")));
    stream.next().await.expect("a second event")
}

async fn first_settled_message(socket: &mut LiveSocket) -> Value {
    let first = socket.next().await.expect("a first message");
    if first["status"] != "processing" {
        return first;
    }
    assert_eq!((&first["id"], &first["event"]), (&Value::Null, &json!("order.processing")));
    socket.next().await.expect("a second message")
}

#[tokio::test]
async fn an_order_is_followed_to_its_end_over_both_transports_from_the_other_gateway() {
    let (client, other, sale) = open_sale(5).await;
    let order = client.order_until_answered(&sale, "mina", "k", &order_body(&[("A", 1)])).await.order_id();
    let korean = events_of(&other, "mina", &sale, &order).header("Accept-Language", "ko");
    let mut stream = EventStream::open(korean).await.expect("a stream");
    let mut socket = socket_of(&other, "mina", &sale, &order, "").await.expect("a socket");

    let created = first_settled_event(&mut stream).await;
    assert!(stream.retry_ms.is_some_and(|pause| pause >= 1000));
    let status = client.request(Method::GET, &format!("/v1/sales/{sale}/orders/{order}/status"));
    let mut status = client.send(status.bearer_auth("dev:mina").header("Accept-Language", "ko")).await.body;
    status["last_updated"] = created.data["last_updated"].clone(); // the event's and the row's times differ slightly
    assert_eq!((created.name.as_str(), &created.data), ("order.created", &status));
    let id = created.id.expect("an id");
    let message = first_settled_message(&mut socket).await;
    let expected = (&json!(id), &json!("order.created"), &json!("created"), &json!(order));
    assert_eq!((&message["id"], &message["event"], &message["status"], &message["order_id"]), expected);

    cancel(&client, "mina", &sale, &order).await;
    let last = stream.next().await.expect("the last event");
    assert_eq!((last.name.as_str(), &last.data["cancel_reason"]), ("order.cancelled", &json!("customer")));
    assert!(seq(last.id.as_deref().expect("an id")) > seq(&id));
    assert_eq!(stream.next().await, None, "a final state ends the stream");
    let message = socket.next().await.expect("the last message");
    assert_eq!((&message["status"], &message["id"]), (&json!("cancelled"), &json!(last.id)));
    assert_eq!(socket.next().await.expect_err("the end").0, 1000);

    // A browser reconnects automatically until the response says that no event follows.
    let last_id = last.id.expect("an id");
    for gateway in [&client, &other] {
        let again = events_of(gateway, "mina", &sale, &order).header("Last-Event-ID", &last_id);
        assert_eq!(EventStream::open(again).await.err().expect("no stream"), 204);
        let resume = format!("&last_event_id={last_id}");
        let mut socket = socket_of(gateway, "mina", &sale, &order, &resume).await.expect("a socket");
        assert_eq!(socket.next().await.expect_err("the end").0, 1000);
        let mut restarted =
            EventStream::open(events_of(gateway, "mina", &sale, &order)).await.expect("a stream");
        assert_eq!(restarted.next().await.map(|event| event.name), Some("order.cancelled".to_string()));
        assert_eq!(restarted.next().await, None);
    }
}

#[tokio::test]
async fn a_resumed_stream_neither_skips_nor_repeats_an_event() {
    let (client, other, sale) = open_sale(5).await;
    let order = client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 1)])).await.order_id();
    let mut stream = EventStream::open(events_of(&other, "c", &sale, &order)).await.expect("a stream");
    let created = first_settled_event(&mut stream).await.id.expect("an id");
    drop(stream);
    cancel(&client, "c", &sale, &order).await;
    testkit::until("it is cancelled", async || {
        client.get("c", &format!("/v1/sales/{sale}/orders/{order}")).await.body["status"] == "cancelled"
    })
    .await;
    // At the other gateway, by the header and by the parameter.
    let by_header = events_of(&client, "c", &sale, &order).header("Last-Event-ID", &created);
    let parameter =
        format!("/v1/sales/{sale}/orders/{order}/events?last_event_id={created}&access_token=dev:c");
    for request in [by_header, client.request(Method::GET, &parameter)] {
        let mut stream = EventStream::open(request).await.expect("a stream");
        assert_eq!(stream.next().await.map(|event| event.name), Some("order.cancelled".to_string()));
        assert_eq!(stream.next().await, None);
    }
    let resume = format!("&last_event_id={created}");
    let mut socket = socket_of(&client, "c", &sale, &order, &resume).await.expect("a socket");
    assert_eq!(socket.next().await.expect("the missed message")["status"], "cancelled");
    assert_eq!(socket.next().await.expect_err("the end").0, 1000);
}

/// Streams are repeatedly disconnected and resumed while their orders change: a stream continues exactly where the
/// previous one ended, whenever it is opened.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_can_be_resumed_at_any_time_without_loss() {
    let (client, other, sale) = open_sale(200).await;
    let run = fresh("c"); // wallets are shared by all sales
    let followers = (0..40).map(|n| {
        let (client, other, sale) = (client.clone(), other.clone(), sale.clone());
        let customer = format!("{run}-{n}");
        tokio::spawn(async move {
            let mut body = order_body(&[("A", 1)]);
            if n % 2 == 0 {
                let money = json!({"amount": 1_000_000, "currency": "KRW"});
                assert_eq!(client.credit(&customer, "k", &money).await.status, 201);
                body["payment"] = json!({"method": "wallet"}); // several changes in one transaction
            }
            let order = client.order_until_answered(&sale, &customer, "k", &body).await.order_id();
            let cancelling = tokio::spawn({
                let (client, customer, sale, order) =
                    (client.clone(), customer.clone(), sale.clone(), order.clone());
                async move { cancel(&client, &customer, &sale, &order).await }
            });
            let (mut received, mut last_id) = (vec![], None::<String>);
            for gateway in [&other, &client].into_iter().cycle() {
                let mut request = events_of(gateway, &customer, &sale, &order);
                if let Some(id) = &last_id {
                    request = request.header("Last-Event-ID", id);
                }
                let mut stream = match EventStream::open(request).await {
                    Ok(stream) => stream,
                    Err(status) => {
                        assert_eq!(status, 204, "{received:?}");
                        break;
                    }
                };
                // Read at most two events of each stream, so that the next one starts in the middle.
                for _ in 0..2 {
                    let Some(event) = stream.next().await else { break };
                    received.extend(event.id);
                }
                last_id = stream.last_event_id.clone().or(last_id);
            }
            cancelling.await.expect("cancelled");
            let database = shared().database().await;
            let order: uuid::Uuid = order.parse().expect("an id");
            let rows = "SELECT partition || '-' || seq FROM order_event WHERE order_id = $1 ORDER BY seq";
            let rows = database.query(rows, &[&order]).await.expect("rows");
            let happened: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
            // The first stream starts with the newest state and delivers every later event.
            let from =
                happened.iter().position(|id| Some(id) == received.first()).expect("an event that happened");
            assert_eq!(received, happened[from..], "of {happened:?}");
        })
    });
    for follower in followers.collect::<Vec<_>>() {
        follower.await.expect("no panic");
    }
}

/// The first stream of a gateway starts the consumer of the topic, which takes a while. The stream must receive the
/// events of that time.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_stream_of_a_gateway_misses_no_event_that_happens_while_it_opens() {
    const GATEWAYS: usize = 4;
    let system = System::start(Shape { gateways: GATEWAYS, ..Shape::default() }).await;
    let sale = fresh("first");
    system.client().open_sale(&sale, terms(&[("A", 1000, Some(50))])).await;
    let mut orders = vec![];
    for gateway in 0..GATEWAYS {
        let (client, customer) = (system.gateway_client(gateway), format!("c{gateway}"));
        client.until_sale(&sale, "open", true).await;
        let order =
            client.order_until_answered(&sale, &customer, "k", &order_body(&[("A", 1)])).await.order_id();
        client.until_settled(&sale, &customer, &order).await;
        orders.push((client, customer, order));
    }
    for (client, customer, order) in &orders {
        let opening = EventStream::open(events_of(client, customer, &sale, order));
        let (stream, ()) = tokio::join!(opening, cancel(client, customer, &sale, order));
        let mut stream = stream.expect("a stream");
        let mut names = vec![];
        while let Some(event) = stream.next().await {
            names.push(event.name);
        }
        assert!(names == ["order.created", "order.cancelled"] || names == ["order.cancelled"], "{names:?}");
    }
}

/// A change between the query of the history and the arrival of its result: the result does not contain it, and it
/// was delivered to all subscribers before the stream begins.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_happens_while_the_history_is_in_transit_is_not_lost() {
    let mut system = System::start(Shape::default()).await;
    let direct = system.database_url.clone();
    let (postgres, through) = Forwarder::start_for_url(&direct).await;
    system.database_url = through;
    system.add_gateway(&["--database-pool-size".into(), "2".into()]);
    system.database_url = direct;
    let (client, slow) = (system.client(), system.gateway_client(1));
    let sale = fresh("late");
    client.open_sale(&sale, terms(&[("A", 1000, Some(5))])).await;
    testkit::until("the other gateway sells the item", async || {
        let url = slow.request(Method::GET, &format!("/v1/sales/{sale}"));
        url.send().await.is_ok_and(|answer| answer.status() == 200) // the listener is not open at first
    })
    .await;
    let order = client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 1)])).await.order_id();
    client.until_settled(&sale, "c", &order).await;
    let open = || EventStream::open(events_of(&slow, "c", &sale, &order));
    let mut observer = open().await.expect("a stream"); // receives what every stream of this gateway receives
    assert_eq!(observer.next().await.map(|event| event.name), Some("order.created".to_owned()));
    for _ in 0..4 {
        drop(open().await.expect("a stream")); // every connection has prepared the query
    }

    let database = system.database().await;
    let since: SystemTime = database.query_one("SELECT now()", &[]).await.expect("a time").get(0);
    postgres.hold_responses();
    let opening = tokio::spawn(open());
    let answered = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle' \
                 AND query LIKE '%JOIN order_event%ORDER BY e.seq%' AND state_change > $1";
    testkit::until("Postgres has sent its answer", async || {
        database.query_one(answered, &[&since]).await.expect("a number").get::<_, i64>(0) > 0
    })
    .await;
    cancel(&client, "c", &sale, &order).await;
    assert_eq!(observer.next().await.map(|event| event.name), Some("order.cancelled".to_owned()));
    postgres.mend();
    let mut stream = opening.await.expect("no panic").expect("a stream");
    let first = stream.next().await.expect("the state in the history").name;
    assert!(["order.created", "order.processing"].contains(&first.as_str()), "{first}");
    assert_eq!(stream.next().await.map(|event| event.name), Some("order.cancelled".to_owned()));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn only_its_customer_follows_an_order() {
    let (client, _, sale) = open_sale(5).await;
    let order = client.order_until_answered(&sale, "owner", "k", &order_body(&[("A", 1)])).await.order_id();
    let path = format!("/v1/sales/{sale}/orders/{order}");
    let refused = async |request: RequestBuilder| {
        let answer = tokio::time::timeout(testkit::wait::PATIENCE, client.send(request)).await;
        answer.expect("a refusal, not a stream").code().to_string()
    };
    let anonymous = |path: &str| client.request(Method::GET, path);

    assert_eq!(refused(events_of(&client, "other", &sale, &order)).await, "not_found");
    client.until_settled(&sale, "owner", &order).await;
    assert_eq!(
        refused(events_of(&client, "other", &sale, &order)).await,
        "not_found",
        "nor after it is settled"
    );
    assert_eq!(refused(events_of(&client, "owner", &sale, "nonsense")).await, "not_found");
    assert_eq!(refused(events_of(&client, "owner", "no-such-sale", &order)).await, "unknown_sale");
    let unknown = "019caa3f-8c7d-7abc-8a7b-d1bca63a8fa9";
    assert_eq!(refused(events_of(&client, "owner", &sale, unknown)).await, "not_found");
    assert_eq!(refused(anonymous(&format!("{path}/events"))).await, "unauthenticated");
    assert_eq!(refused(anonymous(&format!("{path}/events?access_token=mine"))).await, "unauthenticated");
    assert_eq!(refused(anonymous(&format!("{path}/events?access_token=dev-admin"))).await, "forbidden");
    assert_eq!(
        refused(anonymous(&format!("{path}?access_token=dev:mine"))).await,
        "unauthenticated",
        "only here"
    );
    for id in ["x", "1", "99-1", "0-"] {
        let request = events_of(&client, "owner", &sale, &order).header("Last-Event-ID", id);
        assert_eq!(refused(request).await, "malformed_request", "{id}");
    }
    let no_upgrade = anonymous(&format!("{path}/ws?access_token=dev:mine"));
    assert_eq!(refused(no_upgrade).await, "malformed_request");
    assert_eq!(socket_of(&client, "other", &sale, &order, "").await.err().expect("a refusal"), 404);
}
