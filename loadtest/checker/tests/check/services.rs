//! A database and topics of one test on the running services, filled from plain evidence.

use std::path::Path;
use std::time::Duration;

use checker::evidence::*;
use checker::settings::Services;
use checker::{postgres, redis};
use contract::event;
use contract::keys::{SaleKeys, stock_fields};
use contract::record::Record;
use contract::timestamp::Timestamp;
use contract::topics;
use contract::wire;
use fred::prelude::*;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio_postgres::Client as Postgres;
use uuid::Uuid;

use super::sale::PARTITION;

const AT: Timestamp = Timestamp(1_790_000_000_000);

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests by ./dev test"))
}

/// The services with a planted sale.
pub(crate) struct Planted {
    pub(crate) services: Services,
    pub(crate) postgres: Postgres,
    pub(crate) redis: Client,
    producer: BaseProducer,
}

impl Planted {
    /// Creates a database and topics, and fills them from the evidence.
    pub(crate) async fn create(evidence: &Evidence) -> Self {
        let name = format!("check_{}", Uuid::new_v4().simple());
        let database_url = setting("DATABASE_URL");
        let server = postgres::connect(&database_url).await.unwrap();
        server.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        let base = database_url.rsplit_once('/').unwrap().0;
        let services = Services {
            database_url: format!("{base}/{name}"),
            redis_url: setting("REDIS_URL"),
            kafka_brokers: setting("KAFKA_BROKERS"),
            topic_prefix: format!("{name}."),
        };
        let postgres = postgres::connect(&services.database_url).await.unwrap();
        migrate(&postgres).await;
        create_topics(&services).await;
        let producer = ClientConfig::new()
            .set("bootstrap.servers", &services.kafka_brokers)
            .set("linger.ms", "0")
            .create()
            .unwrap();
        let redis = redis::connect(&services.redis_url).await.unwrap();
        let planted = Self { services, postgres, redis, producer };
        planted.store_rows(evidence).await;
        planted.store_stock(evidence).await;
        planted.append(&evidence.log);
        planted.publish(evidence);
        planted
    }

    async fn store_rows(&self, evidence: &Evidence) {
        let (pg, sale) = (&self.postgres, &evidence.stored.sale);
        let id = sale.sale_id.as_str();
        pg.execute(
            "INSERT INTO sale (sale_id, partition, title, currency, max_orders_per_customer, hold_seconds, \
             delivery_fee, state, epoch, ready, was_ready, settled_epoch) \
             VALUES ($1, $2, 'T', 'KRW', 1, 60, 0, 'open', 2, true, true, 2)",
            &[&id, &sale.partition],
        )
        .await
        .unwrap();
        for (item, position) in evidence.stored.items.iter().zip(0i32..) {
            let total = item.total.map(|total| total as i64);
            let values: &[&(dyn tokio_postgres::types::ToSql + Sync)] =
                &[&id, &item.sku.as_str(), &position, &total, &(item.held as i64)];
            pg.execute(
                "INSERT INTO sale_item (sale_id, sku, position, name, price, max_quantity_per_order, total, held) \
                 VALUES ($1, $2, $3, 'N', 100, 10, $4, $5)",
                values,
            )
            .await
            .unwrap();
        }
        for order in &evidence.stored.orders {
            self.store_order(id, order).await;
        }
        for event in &evidence.stored.events {
            pg.execute(
                "INSERT INTO order_event (partition, seq, order_id, status, at) VALUES ($1, $2, $3, $4, now())",
                &[&sale.partition, &event.seq, &event.order_id.0, &event.status],
            )
            .await
            .unwrap();
        }
        let position = &evidence.stored.position;
        pg.execute(
            "INSERT INTO log_position VALUES ('orders', $1, $2, $3)",
            &[&sale.partition, &position.next_offset, &position.events.next],
        )
        .await
        .unwrap();
        pg.execute("INSERT INTO publish_cursor VALUES ($1, $2)", &[&sale.partition, &position.events.next])
            .await
            .unwrap();
    }

    async fn store_order(&self, sale: &str, order: &OrderRow) {
        let values: &[&(dyn tokio_postgres::types::ToSql + Sync)] = &[
            &order.id.0,
            &sale,
            &order.customer.as_str(),
            &order.status,
            &(order.sequence.0 as i64),
            &(order.epoch.0 as i64),
            &(order.amounts.subtotal as i64),
            &order.key.as_str(),
            &order.digest.0.as_slice(),
        ];
        self.postgres
            .execute(
                "INSERT INTO customer_order (order_id, sale_id, customer_id, status, sequence, epoch, subtotal, \
                 discount, delivery_fee, total, currency, idempotency_key, request_digest, hold_seconds, \
                 hold_expires_at, accepted_at, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, $7, 'KRW', $8, $9, 60, now(), now(), now())",
                values,
            )
            .await
            .unwrap();
        for ((sku, quantity), line) in order.lines.iter().zip(0i32..) {
            self.postgres
                .execute(
                    "INSERT INTO order_line VALUES ($1, $2, $3, $4, 100)",
                    &[&order.id.0, &line, &sku.as_str(), &(*quantity as i32)],
                )
                .await
                .unwrap();
        }
    }

    async fn store_stock(&self, evidence: &Evidence) {
        let redis = evidence.redis.as_ref().unwrap();
        let keys = SaleKeys::new(&evidence.stored.sale.sale_id, evidence.stored.sale.epoch);
        let mut fields = vec![
            (stock_fields::MARK.to_owned(), "m".to_owned()),
            (stock_fields::NEXT.to_owned(), redis.next.to_string()),
            (stock_fields::RELEASED.to_owned(), redis.released.to_string()),
        ];
        for (sku, units) in &redis.available {
            fields.push((sku.clone(), units.map_or("u".into(), |units| units.to_string())));
        }
        for (sku, total) in &redis.totals {
            fields.push((format!("{}{sku}", stock_fields::TOTAL), total.to_string()));
        }
        let () = self.redis.hset(&keys.stock, fields).await.unwrap();
    }

    /// Appends records to the sale's partition.
    pub(crate) fn append(&self, records: &[LogRecord]) {
        for record in records {
            let (sale, value) = match record.record.as_ref().unwrap() {
                Record::Accepted(batch) => (&batch.sale_id, wire::encode(batch)),
                Record::Barrier(barrier) => (&barrier.sale_id, wire::encode(barrier)),
                Record::Totals(change) => (&change.sale_id, wire::encode(change)),
                Record::Command(command) => (&command.sale_id, wire::encode(command)),
                Record::Tick(_) | Record::Decision(_) => panic!("not a record of a sale: {record:?}"),
            };
            let headers = record.headers.encode();
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            self.send(topics::ORDERS.name, sale.as_str(), &value, &headers);
        }
        self.producer.flush(Duration::from_secs(10)).unwrap();
    }

    fn publish(&self, evidence: &Evidence) {
        for event in &evidence.published {
            self.publish_event(evidence, event);
        }
        for movement in &evidence.movements {
            let sale = &evidence.stored.sale.sale_id;
            let data = event::InventoryEvent {
                sale_id: sale.clone(),
                order_id: movement.order_id.map(|id| id.0),
                sku: movement.sku.parse().unwrap(),
                quantity: movement.quantity,
                time: AT,
            };
            let headers = event::headers(&movement.id, &movement.movement, "s", AT);
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let key = format!("{sale}/{}", movement.sku);
            self.send(topics::INVENTORY_EVENTS.name, &key, &wire::encode(&data), &headers);
        }
        self.producer.flush(Duration::from_secs(10)).unwrap();
    }

    /// Publishes one order event.
    pub(crate) fn publish_event(&self, evidence: &Evidence, published: &PublishedEvent) {
        let order =
            evidence.stored.orders.iter().find(|order| order.id.to_string() == published.key).unwrap();
        let data = event::OrderEvent {
            order_id: order.id,
            customer_id: order.customer.clone(),
            sale_id: evidence.stored.sale.sale_id.clone(),
            status: contract::lifecycle::OrderStatus::parse(&published.status).unwrap(),
            cancel_reason: None,
            description: "d".into(),
            time: AT,
            sequence: order.sequence,
            subtotal: order.amounts.subtotal,
            discount: 0,
            delivery_fee: 0,
            total: order.total,
            currency: contract::money::Currency::KRW,
        };
        let headers = event::headers(&published.id, &event::order_event_type(data.status), "s", AT);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.send(topics::ORDER_EVENTS.name, &published.key, &wire::encode(&data), &headers);
        self.producer.flush(Duration::from_secs(10)).unwrap();
    }

    fn send(&self, topic: &str, key: &str, value: &[u8], headers: &[(&str, &str)]) {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(*value) }));
        let topic = format!("{}{topic}", self.services.topic_prefix);
        let record = BaseRecord::to(&topic).partition(PARTITION).key(key).payload(value).headers(headers);
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }
}

/// Runs settlement's migrations in the order of their versions.
async fn migrate(postgres: &Postgres) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../settlement/migrations");
    let version = |path: &Path| -> u32 {
        let name = path.file_name().unwrap().to_str().unwrap();
        name[1..].split_once("__").unwrap().0.parse().unwrap()
    };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
    files.sort_by_key(|path| version(path));
    for file in files {
        postgres.batch_execute(&std::fs::read_to_string(file).unwrap()).await.unwrap();
    }
}

async fn create_topics(services: &Services) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &services.kafka_brokers).create().unwrap();
    let names: Vec<_> = [topics::ORDERS, topics::ORDER_EVENTS, topics::INVENTORY_EVENTS]
        .iter()
        .map(|topic| format!("{}{}", services.topic_prefix, topic.name))
        .collect();
    let new: Vec<_> = names.iter().map(|name| NewTopic::new(name, 4, TopicReplication::Fixed(1))).collect();
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    for result in admin.create_topics(&new, &options).await.unwrap() {
        result.unwrap();
    }
}
