//! Live updates at their limits: slow clients, too many streams, a gateway that stops, and Postgres down.

use std::time::Duration;

use contract::event::headers;
use contract::lifecycle::OrderStatus;
use contract::timestamp::Timestamp;
use process::kafka::{Message, Producer, ProducerSettings};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;
use testkit::client::{order_body, terms};
use testkit::control::timed;
use testkit::system::Shape;
use testkit::{Client, EventStream, Forwarder, LiveSocket, System, environment, fresh};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

fn path(sale: &str, order: &str) -> String {
    format!("/v1/sales/{sale}/orders/{order}")
}

fn events_of(client: &Client, sale: &str, order: &str) -> RequestBuilder {
    client.request(Method::GET, &format!("{}/events", path(sale, order))).bearer_auth("dev:c")
}

fn socket_url(client: &Client, sale: &str, order: &str) -> String {
    client.socket_url(&format!("{}/ws?access_token=dev:c", path(sale, order)))
}

/// Opens a sale and returns it with a settled order of the customer `c`.
async fn settled_order(client: &Client) -> (String, String) {
    let sale = fresh("limits");
    client.open_sale(&sale, terms(&[("A", 1000, Some(5))])).await;
    let order = client.order_until_answered(&sale, "c", "k", &order_body(&[("A", 1)])).await.order_id();
    client.until_settled(&sale, "c", &order).await;
    (sale, order)
}

/// Returns the value of a gateway metric, summed over all gateways of this process.
async fn metric(system: &System, name: &str) -> f64 {
    let page = reqwest::get(format!("{}/metrics", system.gateways[0].1)).await.expect("an answer");
    let page = page.text().await.expect("a page");
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    line.map_or(0.0, |value| value.trim().parse().expect("a number"))
}

/// Publishes many changes of an order that are not stored in Postgres.
async fn flood(system: &System, order: &str, from_id: &str, events: i64) {
    let settings = ProducerSettings { linger_ms: 5.0, timeout_ms: 20_000, queue_messages_max: 100_000 };
    let producer = Producer::start(&environment("KAFKA_BROKERS"), "flood", &settings).expect("a producer");
    let topic = format!("{}order-events", system.topic_prefix);
    let (partition, from) = from_id.split_once('-').expect("partition-seq");
    let from: i64 = from.parse().expect("a number");
    let value = json!({"status": "created", "time": Timestamp(1_790_000_000_000)}).to_string();
    let mut last = None;
    for seq in from + 1..=from + events {
        let id = format!("{partition}-{seq}");
        let about = headers(&id, "order.created", order, Timestamp(1_790_000_000_000));
        let message = Message {
            topic: &topic,
            partition: Some(0),
            key: order,
            value: Some(value.as_bytes()),
            headers: &about,
        };
        last = Some(producer.send(&message).expect("sent"));
    }
    last.expect("events").await.expect("in the topic");
}

const BEHIND: &str = r#"live_update_streams_ended_total{reason="behind"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn slow_clients_are_disconnected_with_the_event_id_to_resume_from() {
    const EVENTS: i64 = 30_000; // about 10 MB, more than the socket buffers hold
    let system = System::start(Shape::default()).await;
    let client = system.client();
    let (sale, order) = settled_order(&client).await;
    let mut first = EventStream::open(events_of(&client, &sale, &order)).await.expect("a stream");
    let id = first.next().await.and_then(|event| event.id).expect("the newest event id");
    drop(first);

    // One client of each transport that sends a request and then does not read.
    let address = system.gateways[0].0.strip_prefix("http://").expect("a URL").parse().expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small window");
    let mut stalled = socket.connect(address).await.expect("connected");
    let request = format!(
        "GET {}/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer dev:c\r\n\r\n",
        path(&sale, &order)
    );
    stalled.write_all(request.as_bytes()).await.expect("the request is sent");
    let mut socket = LiveSocket::open(&socket_url(&client, &sale, &order)).await.expect("a WebSocket");
    let mut text = String::new();
    while !text.contains(&format!("id: {id}\n")) {
        let mut read = [0; 1024];
        let read_bytes = stalled.read(&mut read).await.expect("the stream begins");
        text.push_str(std::str::from_utf8(&read[..read_bytes]).expect("text"));
    }
    assert_eq!(socket.next().await.expect("the stream begins")["id"], json!(id));

    flood(&system, &order, &id, EVENTS).await;
    testkit::until("both are disconnected", async || metric(&system, BEHIND).await == 2.0).await;

    let read = tokio::time::timeout(testkit::wait::PATIENCE, stalled.read_to_string(&mut text)).await;
    read.expect("the stream ends in time").expect("text");
    let ids: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert!((ids.len() as i64) < EVENTS, "{} events were queued for a client that did not read", ids.len());
    let last_id = ids.last().expect("some events");
    let reset = format!("event: reset\ndata: {{\"last_event_id\":\"{last_id}\"}}\n\n");
    assert!(text.contains(&reset), "the end of the stream: {:?}", &text[text.len().saturating_sub(300)..]);

    let mut last_id = None;
    let (code, reason) = loop {
        match socket.next().await {
            Ok(message) => last_id = message["id"].as_str().map(str::to_owned),
            Err(closed) => break closed,
        }
    };
    assert_eq!(
        (code, reason),
        (1013, format!("fell behind, last_event_id={}", last_id.expect("some messages")))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_gateway_ends_its_streams_and_they_resume_at_another() {
    let mut system = System::start(Shape::default()).await;
    let stop = system.add_gateway(&[]);
    let (staying, stopping) = (system.gateway_client(0), system.gateway_client(1));
    let (sale, order) = settled_order(&staying).await;
    stopping.until_sale(&sale, "open", true).await;
    let mut stream = EventStream::open(events_of(&stopping, &sale, &order)).await.expect("a stream");
    let mut socket = LiveSocket::open(&socket_url(&stopping, &sale, &order)).await.expect("a socket");
    let created = stream.next().await.and_then(|event| event.id).expect("an id");
    assert_eq!(socket.next().await.expect("a message")["id"], json!(created));
    stream.retry_ms = None;

    let stopped = async {
        stop.cancel();
        assert_eq!(stream.next().await, None, "the stream ends, and not in the middle of an event");
        assert!(stream.retry_ms.is_some_and(|pause| pause >= 1000), "with the time after which to reconnect");
        let closed = socket.next().await.expect_err("the end");
        assert_eq!(closed, (1001, format!("this gateway is shutting down, last_event_id={created}")));
        testkit::until("the gateway has stopped", async || {
            reqwest::get(format!("{}/health/live", system.gateways[1].1)).await.is_err()
        })
        .await;
    };
    let ((), timing) = timed(&staying, stopped).await;
    timing.assert_within(Duration::from_secs(10), "the gateway stops");

    let again = events_of(&staying, &sale, &order).header("Last-Event-ID", &created);
    let mut stream = EventStream::open(again).await.expect("a stream");
    let cancel = staying.request(Method::DELETE, &path(&sale, &order)).bearer_auth("dev:c");
    assert_eq!(staying.send(cancel).await.status, 202);
    let next = stream.next().await.expect("the next event");
    assert_eq!(next.data["status"], OrderStatus::Cancelled.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_a_limit_of_their_own() {
    let args = ["--live-streams-max", "3", "--connections-max", "2"].map(str::to_owned).to_vec();
    let system = System::start(Shape { gateway_args: args, ..Shape::default() }).await;
    // A client without idle connections, because each would occupy one of the two connection slots.
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client");
    let client = system.client();
    let (sale, order) = settled_order(&client).await;
    drop(client);
    let public = &system.gateways[0].0;
    let get = |what: &str| http.get(format!("{public}{}/{what}", path(&sale, &order))).bearer_auth("dev:c");
    let url = format!("{}{}/ws?access_token=dev:c", public.replace("http", "ws"), path(&sale, &order));

    let mut stream = EventStream::open(get("events")).await.expect("a stream");
    let mut other = EventStream::open(get("events")).await.expect("a second");
    let mut socket = LiveSocket::open(&url).await.expect("a third");
    assert_eq!(stream.next().await.expect("an event").name, "order.created");
    assert_eq!(other.next().await.expect("an event").name, "order.created");
    assert_eq!(socket.next().await.expect("a message")["status"], "created");

    // Ordinary connections are not limited by the streams.
    let ordinary: Vec<_> = (0..2).map(|_| tokio::spawn(get("status").send())).collect();
    for request in ordinary {
        assert_eq!(request.await.expect("no panic").expect("a response").status(), 200);
    }
    let refused = get("events").send().await.expect("an answer");
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    let refused: serde_json::Value =
        serde_json::from_slice(&refused.bytes().await.expect("a body")).expect("a problem");
    assert_eq!(refused["code"], "overloaded");

    drop(stream);
    testkit::until("the slot of a disconnected client is free", async || {
        get("events").send().await.expect("an answer").status() == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_opened_while_postgres_is_down_receives_the_stored_state_later() {
    let none = Shape { gateways: 0, ..Shape::default() };
    let mut system = System::start(none).await;
    let direct = system.database_url.clone();
    let (postgres, through) = Forwarder::start_for_url(&direct).await;
    system.database_url = through;
    system.add_gateway(&[]);
    system.database_url = direct;
    let admin = system.gateways[0].1.clone();
    testkit::until("the gateway is ready", async || {
        reqwest::get(format!("{admin}/health/ready")).await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    let client = system.client();
    let (sale, order) = settled_order(&client).await;

    let mut stream = EventStream::open(events_of(&client, &sale, &order)).await.expect("a stream");
    let id = stream.next().await.and_then(|event| event.id).expect("an id");
    drop(stream);
    // The event is published before Postgres goes down, so that the stream does not receive it from the topic.
    let seq: i64 = id.split_once('-').and_then(|(_, seq)| seq.parse().ok()).expect("partition-seq");
    let database = system.database().await;
    testkit::until("the event is published", async || {
        let cursor = database.query_one("SELECT max(next_seq) FROM publish_cursor", &[]).await;
        cursor.expect("a cursor").get::<_, Option<i64>>(0) > Some(seq)
    })
    .await;

    postgres.cut();
    let mut stream = EventStream::open(events_of(&client, &sale, &order)).await.expect("a stream");
    let first = stream.next().await.expect("the state in Redis");
    assert_eq!((first.name.as_str(), &first.id), ("order.processing", &None));
    // The events after a given one cannot be read now.
    let resumed = events_of(&client, &sale, &order).header("Last-Event-ID", &id);
    assert_eq!(EventStream::open(resumed).await.err().expect("a refusal"), StatusCode::SERVICE_UNAVAILABLE);

    postgres.mend();
    let created = stream.next().await.expect("the state in Postgres");
    assert_eq!((created.name.as_str(), created.id), ("order.created", Some(id)));
    let cancel = client.request(Method::DELETE, &path(&sale, &order)).bearer_auth("dev:c");
    assert_eq!(client.send(cancel).await.status, 202);
    assert_eq!(stream.next().await.map(|event| event.name), Some("order.cancelled".to_owned()));
}
