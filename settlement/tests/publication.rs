//! The topics that settlement publishes: sales for the gateways, events for all subscribers.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use contract::ids::SaleId;
use contract::lifecycle::OrderStatus;
use contract::order::{Order, PaymentMethod, PaymentRequest};
use contract::publication::{self, SalePublication, SalesMessage};
use contract::record::{Action, DeliveryChange};
use contract::wire;
use process::kafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use support::{Bench, acceptance, cancel, command, order};
use testkit::{Signal, until};

/// A consumer that reads a topic from its beginning.
struct Topic(BaseConsumer);

/// A copy of a message.
struct ReceivedMessage {
    key: String,
    value: serde_json::Value,
    headers: BTreeMap<String, String>,
    raw: Vec<u8>,
}

impl Topic {
    fn subscribe(bench: &Bench, name: &str, partitions: i32) -> Self {
        let mut config = process::kafka::client(&testkit::environment("KAFKA_BROKERS"), "test");
        config.set("group.id", "none").set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "20");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(&bench.topic(name), partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        Self(consumer)
    }

    fn next(&self) -> Option<ReceivedMessage> {
        let message = self.0.poll(Duration::from_millis(50))?.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let headers = message.headers().map(|headers| {
            headers.iter().map(|h| (h.key.to_string(), text(h.value.unwrap_or_default()))).collect()
        });
        let raw = message.payload().unwrap_or_default().to_vec();
        Some(ReceivedMessage {
            key: text(message.key().unwrap_or_default()),
            value: serde_json::from_slice(&raw).unwrap_or_default(),
            headers: headers.unwrap_or_default(),
            raw,
        })
    }

    /// Waits until `done` accepts the last publication under each key.
    async fn until(&self, what: &str, done: impl Fn(&HashMap<String, SalePublication>) -> bool) {
        let mut last = HashMap::new();
        until(what, async || {
            while let Some(message) = self.next() {
                if let Ok(SalesMessage::Sale(sale)) =
                    publication::decode(message.key.as_bytes(), Some(&message.raw))
                {
                    last.insert(message.key, *sale);
                }
            }
            done(&last)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_sale_is_published_and_no_draft_is() {
    let bench = Bench::start(1).await;
    let topic = Topic::subscribe(&bench, "sales", 1);
    let (sale, epoch) = bench.open(2, Some(2), &[("B", Some(5)), ("A", None)]).await;
    let draft = bench.define(0, None, &[("A", None)]).await;
    bench.run("UPDATE sale SET state = 'draft', epoch = 1, ready = true WHERE sale_id = $1", &draft).await;
    let key = format!("{sale}/{epoch}");
    topic
        .until("the sale is ready, with its scripts and terms", |all| {
            all.get(&key).is_some_and(|sale| {
                let skus: Vec<_> = sale.terms.items.iter().map(|item| item.sku.as_str()).collect();
                let is_complete = skus == ["B", "A"] && sale.terms.max_orders_per_customer == Some(2);
                sale.ready && sale.scripts.is_some() && sale.partition == 2 && is_complete
            })
        })
        .await;
    bench.run("UPDATE sale SET state = 'paused', version = version + 1 WHERE sale_id = $1", &sale).await;
    topic
        .until("the sale is paused", |all| {
            all.get(&key).is_some_and(|sale| sale.state.as_str() == "paused" && sale.ready)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_message_of_a_former_publisher_is_corrected() {
    let bench = Bench::start(1).await;
    let topic = Topic::subscribe(&bench, "sales", 1);
    let (sale, epoch) = bench.open(0, None, &[("A", Some(5))]).await;
    let key = format!("{sale}/{epoch}");
    let last = std::cell::RefCell::new(None);
    topic
        .until("the sale is ready", |all| {
            *last.borrow_mut() = all.get(&key).cloned();
            all.get(&key).is_some_and(|sale| sale.ready)
        })
        .await;
    let current = last.into_inner().unwrap();
    let late =
        SalePublication { ready: false, scripts: None, version: current.version - 1, ..current.clone() };
    let value = wire::encode(&late);
    let message = Message {
        topic: &bench.topic("sales"),
        partition: Some(0),
        key: &key,
        value: Some(&value),
        headers: &[],
    };
    bench.producer.send(&message).unwrap().await.unwrap();
    // The late message is followed by the correct one again: compaction keeps the correct one.
    topic
        .until("the correct message follows the late one", |all| {
            all.get(&key).is_some_and(|sale| sale.version == current.version && sale.ready)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_published_with_event_ids_that_are_the_same_in_every_delivery() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(500)), ("B", None)]).await;
    let orders: Vec<_> = (0..300).map(|n| order(&sale, &format!("c{n}"), &[("A", 1), ("B", 2)])).collect();
    for (batch, first) in orders.chunks(50).zip((1..).step_by(50)) {
        bench.write(0, &sale, &acceptance(&sale, epoch, first, batch)).await;
    }
    let (order_topic, stock_topic) =
        (Topic::subscribe(&bench, "order-events", 4), Topic::subscribe(&bench, "inventory-events", 4));
    let (order_events, stock_events) = (collect(&order_topic, 300).await, collect(&stock_topic, 600).await);
    for (n, order) in orders.iter().enumerate() {
        let event = &order_events[&format!("0-{}", n + 1)];
        assert_eq!(event.key, order.id.to_string());
        assert_eq!(event.headers["ce_type"], "order.created");
        assert_eq!(event.headers["ce_specversion"], "1.0");
        assert_eq!((&event.value["sequence"], &event.value["total"]), (&(n + 1).into(), &300.into()));
        assert_eq!(event.value["sale_id"], sale.as_str());
        let stock = &stock_events[&format!("0-{}-B", n + 1)];
        assert_eq!((stock.key.as_str(), &stock.value["quantity"]), (format!("{sale}/B").as_str(), &2.into()));
        assert_eq!(stock.headers["ce_type"], "STOCK_RESERVED");
        assert!(stock_events.contains_key(&format!("0-{}-A", n + 1)));
    }
    cursor_is(&bench, &sale, 301).await;

    // This simulates a publisher that died before its cursor moved: the events are published again, from Postgres now,
    // and byte for byte the same.
    bench.db.execute("UPDATE publish_cursor SET next_seq = 101 WHERE partition = 0", &[]).await.unwrap();
    let again = collect(&order_topic, 200).await;
    for (id, event) in &again {
        assert_eq!(event.raw, order_events[id].raw);
        assert_eq!(event.headers, order_events[id].headers);
    }
    assert!(again.contains_key("0-101") && !again.contains_key("0-100"));
    cursor_is(&bench, &sale, 301).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_an_order_are_the_same_from_memory_and_from_postgres() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(50)), ("B", None)]).await;
    let customer = testkit::fresh("c");
    let wallet = "INSERT INTO wallet (customer_id, currency, balance) VALUES ($1, 'KRW', 500)";
    bench.db.execute(wallet, &[&customer]).await.unwrap();
    let paid = || Order {
        payment: Some(Box::new(PaymentRequest { method: PaymentMethod::Wallet, token: None })),
        ..order(&sale, &customer, &[("A", 1), ("B", 2)])
    };
    // The first order is paid and shipped, and its cancellation is refused. The wallet does not cover the second order.
    // The third order is cancelled.
    let orders = [paid(), paid(), order(&sale, "other", &[("B", 1)])];
    bench.write(0, &sale, &acceptance(&sale, epoch, 1, &orders)).await;
    bench.write(0, &sale, &cancel(&sale, &orders[2])).await;
    let ship = Action::Deliver(DeliveryChange { status: OrderStatus::Shipped });
    bench.write(0, &sale, &command(&sale, &orders[0], ship)).await;
    let last = bench.write(0, &sale, &cancel(&sale, &orders[0])).await;
    bench.until_settled(0, last).await;
    let (order_topic, stock_topic) =
        (Topic::subscribe(&bench, "order-events", 4), Topic::subscribe(&bench, "inventory-events", 4));
    // Order events: 3 created; requested, completed, preparing, shipped; requested, failed, cancelled; cancelled. Stock
    // events: 5 reserved, 2 confirmed, 3 released.
    let (order_events, stock_events) = (collect(&order_topic, 11).await, collect(&stock_topic, 10).await);
    let count = |what: &str| stock_events.values().filter(|event| event.headers["ce_type"] == what).count();
    assert_eq!([count("STOCK_RESERVED"), count("STOCK_CONFIRMED"), count("STOCK_RELEASED")], [5, 2, 3]);
    let reasons: Vec<_> =
        order_events.values().filter_map(|event| event.value["cancel_reason"].as_str()).collect();
    assert!(reasons.len() == 2 && reasons.contains(&"payment_failed") && reasons.contains(&"customer"));

    bench.db.execute("UPDATE publish_cursor SET next_seq = 1 WHERE partition = 0", &[]).await.unwrap();
    for (topic, first, number) in [(&order_topic, &order_events, 11), (&stock_topic, &stock_events, 10)] {
        let again = collect(topic, number).await;
        for (id, event) in &again {
            assert_eq!(String::from_utf8_lossy(&event.raw), String::from_utf8_lossy(&first[id].raw), "{id}");
            assert_eq!((&event.headers, &event.key), (&first[id].headers, &first[id].key));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cursor_passes_sequences_that_are_not_events() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(50))]).await;
    let orders: Vec<_> = (0..3).map(|n| order(&sale, &format!("c{n}"), &[("A", 1)])).collect();
    bench.write(0, &sale, &acceptance(&sale, epoch, 1, &orders)).await;
    for order in &orders {
        bench.write(0, &sale, &cancel(&sale, order)).await;
    }
    // Each order uses three sequences: created, cancelled, and its release, which is not published as an event.
    cursor_is(&bench, &sale, 10).await;
}

/// Receives this number of different events, by their ids.
async fn collect(topic: &Topic, count: usize) -> HashMap<String, ReceivedMessage> {
    let mut all = HashMap::new();
    until(&format!("{count} events"), async || {
        while let Some(message) = topic.next() {
            all.insert(message.headers["ce_id"].clone(), message);
        }
        all.len() >= count
    })
    .await;
    assert_eq!(all.len(), count);
    all
}

async fn cursor_is(bench: &Bench, sale: &SaleId, next: i64) {
    until("the cursor has passed the events", async || {
        bench.number("SELECT next_seq FROM publish_cursor WHERE partition = 0 AND $1::text <> ''", sale).await
            == next
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_quiet_partition_do_not_wait_for_a_busy_one() {
    let args = ["--batch-orders-max", "1", "--batch-wait-ms", "1"];
    let bench = Bench::with_args(1, &args).await;
    let (busy, epoch) = bench.open(0, None, &[("A", Some(1_000_000))]).await;
    let (quiet, quiet_epoch) = bench.open(1, None, &[("A", Some(10))]).await;
    let mut first = 1;
    let mut sell = async || {
        let record = acceptance(&busy, epoch, first, &[order(&busy, &format!("c{first}"), &[("A", 1)])]);
        first += 1;
        bench.write(0, &busy, &record).await
    };
    // The publisher waits for a row while more batches are committed than it remembers, the last one of the quiet sale.
    let holder = bench.system.database().await;
    holder.batch_execute("BEGIN; SELECT FROM publish_cursor WHERE partition = 0 FOR UPDATE").await.unwrap();
    for _ in 0..40 {
        let last = sell().await;
        bench.until_settled(0, last).await;
    }
    let record = acceptance(&quiet, quiet_epoch, 1, &[order(&quiet, "c", &[("A", 1)])]);
    bench.write(1, &quiet, &record).await;
    bench.until_orders(&quiet, 1).await;
    holder.batch_execute("ROLLBACK").await.unwrap();

    let unpublished = "SELECT count(*) FROM order_event e JOIN publish_cursor p ON p.partition = e.partition \
                       WHERE e.partition = 1 AND e.seq >= p.next_seq AND $1::text <> ''";
    until("the event of the quiet sale is published while the other sale is busy", async || {
        sell().await;
        bench.number(unpublished, &quiet).await == 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_is_suspended_is_replaced() {
    let bench = Bench::start(0).await;
    let settlers = [bench.process(&[]).await, bench.process(&[]).await];
    let topic = Topic::subscribe(&bench, "sales", 1);
    let (sale, epoch) = bench.open(0, None, &[("A", Some(5))]).await;
    let holder =
        "SELECT split_part(holder, '-', 1)::bigint FROM role WHERE name = 'publish sales' AND $1::text <> ''";
    let publisher = bench.number(holder, &sale).await;
    let suspended =
        settlers.iter().find(|settler| i64::from(settler.pid()) == publisher).expect("one of both");
    suspended.signal(Signal::STOP);
    bench.run("UPDATE sale SET state = 'paused', version = version + 1 WHERE sale_id = $1", &sale).await;
    let key = format!("{sale}/{epoch}");
    topic
        .until("the other process publishes that the sale is paused", |all| {
            all.get(&key).is_some_and(|sale| sale.state.as_str() == "paused")
        })
        .await;
    suspended.signal(Signal::CONT);
    bench.run("UPDATE sale SET state = 'open', version = version + 1 WHERE sale_id = $1", &sale).await;
    topic
        .until("there is a publisher after the suspended one has continued", |all| {
            all.get(&key).is_some_and(|sale| sale.state.as_str() == "open")
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_of_which_the_topic_has_a_later_version_than_postgres_is_raised_above_it() {
    let bench = Bench::start(1).await;
    let topic = Topic::subscribe(&bench, "sales", 1);
    let (sale, epoch) = bench.open(0, None, &[("A", Some(5))]).await;
    let key = format!("{sale}/{epoch}");
    bench.run("UPDATE sale SET version = version + 10 WHERE sale_id = $1", &sale).await;
    let version = bench.number("SELECT version FROM sale WHERE sale_id = $1", &sale).await as u64;
    topic
        .until("the sale is published", |all| all.get(&key).is_some_and(|sale| sale.version == version))
        .await;
    // As after the restore of an older dump. Gateways ignore every version up to the one that they have read.
    bench.run("UPDATE sale SET version = version - 10, state = 'paused' WHERE sale_id = $1", &sale).await;
    topic
        .until("the pause is published above it, and the sale is rebuilt", |all| {
            let newest = all.values().filter(|other| other.sale_id == sale).max_by_key(|sale| sale.rank());
            newest.is_some_and(|newest| {
                newest.rank() > (epoch, version) && newest.state.as_str() == "paused" && newest.ready
            })
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_partition_do_not_wait_for_one_that_cannot_be_published() {
    let bench = Bench::start(1).await;
    let (stuck, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    let (other, other_epoch) = bench.open(1, None, &[("A", Some(10))]).await;
    let holder = bench.system.database().await;
    holder.batch_execute("BEGIN; SELECT FROM publish_cursor WHERE partition = 0 FOR UPDATE").await.unwrap();
    let unpublished = "SELECT count(*) FROM order_event e JOIN publish_cursor p ON p.partition = e.partition \
                       JOIN customer_order o USING (order_id) WHERE o.sale_id = $1 AND e.seq >= p.next_seq";
    for (partition, sale, epoch) in [(0, &stuck, epoch), (1, &other, other_epoch)] {
        let record = acceptance(sale, epoch, 1, &[order(sale, "c", &[("A", 1)])]);
        bench.write(partition, sale, &record).await;
        bench.until_orders(sale, 1).await;
    }
    until("the other partition is published", async || bench.number(unpublished, &other).await == 0).await;
    assert_eq!(bench.number(unpublished, &stuck).await, 1, "the lock is still held");
    holder.batch_execute("ROLLBACK").await.unwrap();
    until("the partition is published", async || bench.number(unpublished, &stuck).await == 0).await;
}
