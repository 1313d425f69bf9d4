//! The lifecycle of an order as its consumer groups see it, from acceptance to refund: payments, notification and
//! analytics are independent processes with their own positions.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use process::kafka::{self, LogContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use reqwest::Method;
use serde_json::{Value, json};
use testkit::claim_address;
use testkit::client::{order_body, terms};
use testkit::system::Shape;
use testkit::{Client, MailServer, Program, System, environment, fresh, until};
use uuid::Uuid;

const SECRET: &str = "whsec_c2VjcmV0LW9mLXRoZS1wYXltZW50LXByb3ZpZGVy";
const GROUPS: [&str; 3] = ["payments", "notification", "analytics"];
/// The timeout of one request to Kafka.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The next offset of each partition of `order-events`.
type Positions = BTreeMap<i32, i64>;

/// A system whose deliveries advance automatically, with the consumer groups of its events.
struct Shop {
    // The fields are dropped in this order, so that no process calls one that has stopped.
    groups: BTreeMap<&'static str, Program>,
    _provider: Program,
    mail: MailServer,
    listens: BTreeMap<&'static str, SocketAddr>,
    journal: PathBuf,
    database: tokio_postgres::Client,
    system: System,
}

impl Shop {
    async fn open() -> Self {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let gateway_args = words(&format!("--payment-webhook-secret {SECRET}"));
        let settlement_args =
            words("--delivery-ship-after 1 --delivery-scan-after 1 --delivery-deliver-after 1");
        let system = System::start(Shape { gateway_args, settlement_args, ..Shape::default() }).await;
        let listens: BTreeMap<_, _> =
            GROUPS.into_iter().chain(["provider"]).map(|part| (part, claim_address())).collect();
        let journal = std::env::temp_dir().join(fresh("provider")).join("payments.jsonl");
        let provider = words(&format!(
            "--log-filter warn provider --provider-listen {} --provider-journal {} --payment-webhook-secret {SECRET}",
            listens["provider"],
            journal.display()
        ));
        let mut provider = Program::start("downstream", provider);
        provider.wait_until_ready(listens["provider"]).await;
        let mut shop = Self {
            groups: BTreeMap::new(),
            _provider: provider,
            mail: MailServer::start().await,
            listens,
            journal,
            database: system.database().await,
            system,
        };
        for group in GROUPS {
            shop.start(group).await;
        }
        shop
    }

    async fn start(&mut self, group: &'static str) {
        let own = match group {
            "payments" => {
                let (provider, gateway) = (self.url("provider", ""), &self.system.gateways[0].0);
                format!("--provider-url {provider} --payment-callback-url {gateway}/v1/payments/callback")
            }
            "notification" => format!("--smtp-url {} --notification-language en", self.mail.url()),
            _ => String::new(),
        };
        let own = format!("--log-filter warn {group} --{group}-listen {} {own}", self.listens[group]);
        let args = self.system.service_args().into_iter().chain(own.split_whitespace().map(str::to_owned));
        let mut program = Program::start("downstream", args);
        program.wait_until_ready(self.listens[group]).await;
        self.groups.insert(group, program);
    }

    fn url(&self, part: &str, path: &str) -> String {
        format!("http://{}{path}", self.listens[part])
    }

    /// Places an order that is paid immediately by a card with this token. Mails go to the customer's address.
    async fn order(&self, sale: &str, customer: &str, token: &str) -> String {
        let mut body = order_body(&[("A", 1)]);
        body["payment"] = json!({"method": "card", "token": token});
        let who = format!("{customer}:{customer}@example.com");
        self.system.client().order_until_answered(sale, &who, "k", &body).await.order_id()
    }

    /// Returns the end offsets of `order-events`.
    fn ends(&self) -> Positions {
        let topic = self.topic();
        tokio::task::block_in_place(|| {
            let kafka = self.group_client("none");
            let metadata = kafka.fetch_metadata(Some(&topic), REQUEST_TIMEOUT).unwrap();
            let partitions = metadata.topics()[0].partitions().iter().map(|partition| partition.id());
            let end = |partition| kafka.fetch_watermarks(&topic, partition, REQUEST_TIMEOUT).unwrap().1;
            partitions.map(|partition| (partition, end(partition))).collect()
        })
    }

    /// Returns the position from which a group would resume after a restart: from Kafka, or for analytics from Postgres.
    async fn committed(&self, group: &str) -> Positions {
        let topic = self.topic();
        let mut positions: Positions = self.ends().into_keys().map(|partition| (partition, 0)).collect();
        if group == "analytics" {
            let select = "SELECT partition, next_offset FROM analytics_position WHERE topic = $1";
            let rows = self.database.query(select, &[&topic]).await.unwrap();
            positions.extend(rows.iter().map(|row| (row.get::<_, i32>(0), row.get::<_, i64>(1))));
            return positions;
        }
        tokio::task::block_in_place(|| {
            let mut list = TopicPartitionList::new();
            for partition in positions.keys() {
                list.add_partition(&topic, *partition);
            }
            let committed = self.group_client(group).committed_offsets(list, REQUEST_TIMEOUT).unwrap();
            for element in committed.elements() {
                if let Offset::Offset(next) = element.offset() {
                    positions.insert(element.partition(), next);
                }
            }
        });
        positions
    }

    fn topic(&self) -> String {
        format!("{}order-events", self.system.topic_prefix)
    }

    /// Creates a client that queries a group without being a member of it.
    fn group_client(&self, group: &str) -> BaseConsumer<LogContext> {
        let mut config = kafka::client(&environment("KAFKA_BROKERS"), "test");
        config.set("group.id", format!("{}{group}", self.system.topic_prefix));
        config.create_with_context(LogContext).unwrap()
    }

    /// Waits until these groups have processed every event.
    async fn until_processed(&self, groups: &[&str]) {
        for group in groups {
            let done = async || self.committed(group).await == self.ends();
            until(&format!("{group} has processed every event"), done).await;
        }
    }

    /// Returns the amounts captured and refunded by the provider, for each payment of an order.
    async fn charged(&self, sale: &str, order: &str) -> Vec<(u64, u64)> {
        let page = reqwest::get(self.url("provider", &format!("/v1/ledger?sale={sale}"))).await.unwrap();
        let page: Value = serde_json::from_slice(&page.bytes().await.unwrap()).unwrap();
        let entries = page["entries"].as_array().unwrap().iter().filter(|entry| entry["order_id"] == order);
        entries
            .map(|entry| (entry["captured"].as_u64().unwrap(), entry["refunded"].as_u64().unwrap()))
            .collect()
    }

    /// Returns the subjects of the mails to a customer, in the order of the events.
    fn mails_to(&self, customer: &str) -> Vec<String> {
        let to = format!("\nTo: {customer}@example.com\n");
        let mails = self.mail.mails().into_iter().filter(|mail| mail.contains(&to));
        let line = |mail: &str, name: &str| {
            let value = mail.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.trim().to_owned()
        };
        // `<partition-seq.order@…>`: a second mail about the same event would have the same ID.
        let seq = |id: &str| id.split_once('-').unwrap().1.split_once('.').unwrap().0.parse::<i64>().unwrap();
        let mut mails: Vec<_> =
            mails.map(|mail| (seq(&line(&mail, "Message-ID:")), line(&mail, "Subject:"))).collect();
        mails.sort();
        mails.into_iter().map(|(_, subject)| subject).collect()
    }

    async fn report(&self, sale: &str) -> Value {
        let path = format!("/admin/v1/sales/{sale}/report");
        self.system.client().admin(Method::GET, &path, None).await.body
    }

    /// Returns the number of events of an order, and the number that analytics has counted.
    async fn counted(&self, order: &str) -> (i64, i64) {
        let select = "SELECT (SELECT count(*) FROM order_event WHERE order_id = $1), \
                      (SELECT bit_count(seen::bit(32)) FROM analytics_order WHERE order_id = $1)";
        let order: Uuid = order.parse().unwrap();
        let row = self.database.query_one(select, &[&order]).await.unwrap();
        (row.get(0), row.get(1))
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        let folder = self.journal.parent().unwrap();
        let _ = std::fs::remove_dir_all(folder); // leftovers in the temporary folder are harmless
    }
}

async fn until_status(client: &Client, customer: &str, sale: &str, order: &str, status: &str) {
    let path = format!("/v1/sales/{sale}/orders/{order}/status");
    until(&format!("{order} is {status}"), async || {
        client.get(customer, &path).await.body["status"] == status
    })
    .await;
}

const PAID: &str = "We have received your payment for A test";
const SHIPPED: &str = "Your order from A test is on its way";
const DELIVERED: &str = "Your order from A test has been delivered";
const REFUSED: &str = "Your payment for A test was declined";
const RETURNED: &str = "Your order from A test has been refunded";

#[tokio::test(flavor = "multi_thread")]
async fn three_groups_follow_orders_from_acceptance_to_their_end_independently() {
    let mut shop = Shop::open().await;
    let client = shop.system.client();
    let sale = fresh("a");
    client.open_sale(&sale, terms(&[("A", 1000, Some(10))])).await;

    // One order goes through every automatic step: accepted, paid, shipped, delivered.
    let kept = shop.order(&sale, "kim", "tok_approve").await;
    until_status(&client, "kim", &sale, &kept, "delivered").await;
    shop.until_processed(&GROUPS).await;
    assert_eq!(shop.charged(&sale, &kept).await, [(1000, 0)]);
    assert_eq!(shop.mails_to("kim"), [PAID, SHIPPED, DELIVERED]);
    assert_eq!(shop.counted(&kept).await, (7, 7));

    // Another order is not paid while notification is stopped. The other groups continue.
    shop.groups.remove("notification").unwrap().stop().await;
    let stopped_at = shop.committed("notification").await;
    assert_eq!(stopped_at, shop.ends(), "stopping lost the position");
    let refused = shop.order(&sale, "lee", "tok_decline").await;
    until_status(&client, "lee", &sale, &refused, "cancelled").await;
    shop.until_processed(&["payments", "analytics"]).await;
    assert_eq!(shop.counted(&refused).await, (4, 4));
    assert_eq!(shop.committed("notification").await, stopped_at);
    assert_eq!(shop.mails_to("lee"), [""; 0]);

    // Notification resumes where it stopped, and the other groups are unaffected.
    let others = [shop.committed("payments").await, shop.committed("analytics").await];
    shop.start("notification").await;
    shop.until_processed(&["notification"]).await;
    assert_eq!(shop.mails_to("lee"), [REFUSED]);
    assert_eq!(shop.mails_to("kim"), [PAID, SHIPPED, DELIVERED], "no mail is sent again");
    assert_eq!([shop.committed("payments").await, shop.committed("analytics").await], others);

    // The first order is returned and refunded.
    let refund = format!("/v1/sales/{sale}/orders/{kept}/refund");
    assert_eq!(client.call("kim", Method::POST, &refund, None).await.status, 202);
    until_status(&client, "kim", &sale, &kept, "refunded").await;
    shop.until_processed(&GROUPS).await;
    assert_eq!(shop.charged(&sale, &kept).await, [(1000, 1000)]);
    assert_eq!(shop.mails_to("kim"), [PAID, SHIPPED, DELIVERED, RETURNED]);
    assert_eq!(shop.counted(&kept).await, (9, 9));

    let report = shop.report(&sale).await;
    let funnel = json!({"accepted": 2, "payment_requested": 2, "paid": 1, "payment_failed": 1, "expired": 0,
        "cancelled": 1, "shipped": 1, "delivered": 1, "refund_requested": 1, "refunded": 1});
    assert_eq!((&report["funnel"], &report["revenue"]["net"]), (&funnel, &json!(0)), "{report}");
    for (group, program) in &mut shop.groups {
        assert!(program.is_running(), "{group} has stopped");
        let metrics = reqwest::get(format!("http://{}/metrics", shop.listens[group])).await.unwrap();
        let metrics = metrics.text().await.unwrap();
        let dead = metrics.lines().find(|line| line.starts_with("consumer_dead_letters_total{"));
        assert!(dead.is_none_or(|line| line.ends_with(" 0")), "{dead:?}");
    }
}
