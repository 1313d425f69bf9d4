//! The shared part of settlement's tests: a log to write records into, sales for these records, and settlers in this
//! process or as separate processes.
#![allow(dead_code)] // each test program uses a part of it

pub(crate) mod shop;

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use contract::ids::{CustomerId, Epoch, IdempotencyKey, SaleId, Sequence, Sku};
use contract::lifecycle::OrderStatus;
use contract::order::{Line, Order};
use contract::record::{
    Action, Command as OrderCommand, Headers, NewTotal, OutboxId, RecordType, TotalsChange,
};
use contract::timestamp::Timestamp;
use contract::wire;
use invariants::money;
use invariants::stock::{self, Stock};
use lua::outbox::{LogRecord, accepted_record};
use process::kafka::{Message, Producer, ProducerSettings};
use testkit::system::{Shape, System};
use testkit::{Program, environment, eventually, until};
use tokio_postgres::Client;
use uuid::Uuid;

/// The database, the topics and the settlers of one test.
pub(crate) struct Bench {
    pub(crate) system: System,
    pub(crate) db: Client,
    pub(crate) producer: Producer,
}

/// Adds the default arguments. Most tests write records into the log that no gateway has reserved. Redis and Postgres
/// differ then, and reconciliation must not detect it.
pub(crate) fn with_defaults(args: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = args.iter().map(ToString::to_string).collect();
    if !args.contains(&"--reconcile-every-ms") {
        all.extend(["--reconcile-every-ms".into(), "600000".into()]);
    }
    all
}

/// The items of a sale: the SKU and the total of each.
pub(crate) type Items<'a> = &'a [(&'a str, Option<i64>)];

impl Bench {
    /// Starts this number of settlers in this process.
    pub(crate) async fn start(settlements: usize) -> Self {
        Self::with_args(settlements, &[]).await
    }

    pub(crate) async fn with_args(settlements: usize, args: &[&str]) -> Self {
        let args = with_defaults(args);
        let shape = Shape { gateways: 0, settlements, settlement_args: args, ..Shape::default() };
        let system = System::start(shape).await;
        let db = system.database().await;
        let settings = ProducerSettings { linger_ms: 1.0, timeout_ms: 10_000, queue_messages_max: 100_000 };
        let producer = Producer::start(&environment("KAFKA_BROKERS"), "test", &settings).expect("a producer");
        Self { system, db, producer }
    }

    /// Starts a settler as a separate process, and waits until the schema and the topics exist.
    pub(crate) async fn process(&self, args: &[&str]) -> Program {
        let process = start_settler(&self.system, args);
        until("the schema and the topics exist", async || {
            self.db.query_one("SELECT FROM log_position LIMIT 1", &[]).await.is_ok()
        })
        .await;
        process
    }

    pub(crate) fn topic(&self, name: &str) -> String {
        format!("{}{name}", self.system.topic_prefix)
    }

    /// Creates a sale that is open but not necessarily ready.
    pub(crate) async fn define(&self, partition: i32, limit: Option<i32>, items: Items<'_>) -> SaleId {
        let sale = SaleId::parse(&testkit::fresh("s")).expect("a name");
        let insert = "INSERT INTO sale (sale_id, partition, title, currency, hold_seconds, delivery_fee, \
                      max_orders_per_customer, state) VALUES ($1, $2, 'T', 'KRW', 3600, 0, $3, 'draft')";
        self.db.execute(insert, &[&sale.as_str(), &partition, &limit]).await.expect("a sale");
        for ((sku, total), position) in items.iter().zip(0i32..) {
            let insert = "INSERT INTO sale_item (sale_id, sku, position, name, price, max_quantity_per_order, total) \
                          VALUES ($1, $2, $3, $2, 100, 10, $4)";
            self.db.execute(insert, &[&sale.as_str(), sku, &position, total]).await.expect("an item");
        }
        self.run("UPDATE sale SET state = 'open' WHERE sale_id = $1", &sale).await;
        sale
    }

    /// Creates a sale and waits until it is ready. Returns its epoch too.
    pub(crate) async fn open(&self, partition: i32, limit: Option<i32>, items: Items<'_>) -> (SaleId, Epoch) {
        let sale = self.define(partition, limit, items).await;
        let epoch = self.until_ready(&sale, 1).await;
        (sale, epoch)
    }

    /// Waits until a sale is ready in this epoch or a later one.
    pub(crate) async fn until_ready(&self, sale: &SaleId, epoch: i64) -> Epoch {
        eventually(&format!("{sale} is ready"), async || {
            let select = "SELECT epoch FROM sale WHERE sale_id = $1 AND ready AND epoch >= $2";
            let row = self.db.query_opt(select, &[&sale.as_str(), &epoch]).await.expect("Postgres");
            row.map(|row| Epoch(row.get::<_, i64>(0) as u64))
        })
        .await
    }

    /// Executes a statement whose parameter is the sale.
    pub(crate) async fn run(&self, statement: &str, sale: &SaleId) {
        self.db.execute(statement, &[&sale.as_str()]).await.expect("Postgres");
    }

    /// Queries one number; the parameter is the sale.
    pub(crate) async fn number(&self, select: &str, sale: &SaleId) -> i64 {
        let row = self.db.query_one(select, &[&sale.as_str()]).await.expect("Postgres");
        row.get::<_, Option<i64>>(0).unwrap_or_default()
    }

    /// Returns the number of orders in Postgres.
    pub(crate) async fn orders(&self, sale: &SaleId) -> i64 {
        self.number("SELECT count(*) FROM customer_order WHERE sale_id = $1", sale).await
    }

    /// Returns the held and the dead-lettered units of a SKU.
    pub(crate) async fn units(&self, sale: &SaleId, sku: &str) -> (i64, i64) {
        let select = "SELECT held, dead_lettered FROM sale_item WHERE sale_id = $1 AND sku = $2";
        let row = self.db.query_one(select, &[&sale.as_str(), &sku]).await.expect("Postgres");
        (row.get(0), row.get(1))
    }

    /// Waits until exactly this number of orders is settled.
    pub(crate) async fn until_orders(&self, sale: &SaleId, orders: i64) {
        until(&format!("{orders} orders are settled"), async || self.orders(sale).await >= orders).await;
        assert_eq!(self.orders(sale).await, orders);
    }

    /// Waits until the record at an offset is settled.
    pub(crate) async fn until_settled(&self, partition: i32, offset: i64) {
        until(&format!("offset {offset} is settled"), async || {
            let select = "SELECT next_offset FROM log_position WHERE partition = $1";
            let row = self.db.query_one(select, &[&partition]).await.expect("Postgres");
            row.get::<_, i64>(0) > offset
        })
        .await;
    }

    /// Writes a record, and returns its offset.
    pub(crate) async fn write(&self, partition: i32, sale: &SaleId, record: &LogRecord) -> i64 {
        self.write_raw(partition, sale.as_str(), &record.value, &record.headers.encode()).await
    }

    pub(crate) async fn write_raw(
        &self,
        partition: i32,
        key: &str,
        value: &[u8],
        headers: &[(&'static str, String)],
    ) -> i64 {
        let message = Message {
            topic: &self.topic("orders"),
            partition: Some(partition),
            key,
            value: Some(value),
            headers,
        };
        let acknowledgement = self.producer.send(&message).expect("the producer has capacity");
        acknowledgement.await.expect("Kafka acknowledges the record").offset
    }

    /// Checks the invariants that hold whenever nothing is in flight.
    pub(crate) async fn check(&self, sale: &SaleId) {
        let holds =
            |check: invariants::Check| check.unwrap_or_else(|violation| panic!("{sale}: {violation}"));
        let units = "SELECT i.total, i.held, i.sold, i.dead_lettered, coalesce(l.held, 0)::bigint, coalesce(l.sold, 0)::bigint \
                     FROM sale_item i LEFT JOIN (SELECT sku, sum(quantity) FILTER (WHERE status = ANY ($2)) AS held, \
                     sum(quantity) FILTER (WHERE status <> ALL ($2) AND status <> 'cancelled') AS sold \
                     FROM order_line JOIN customer_order USING (order_id) WHERE sale_id = $1 GROUP BY sku) l USING (sku) \
                     WHERE i.sale_id = $1";
        let held = OrderStatus::ALL.into_iter().filter(|status| status.holds_units());
        let held: Vec<_> = held.map(OrderStatus::as_str).collect();
        for row in self.db.query(units, &[&sale.as_str(), &held]).await.expect("items") {
            let number = |column| row.get::<_, i64>(column) as u64;
            let total = row.get::<_, Option<i64>>(0).map(|total| total as u64);
            let item = Stock { total, held: number(1), sold: number(2), dead_lettered: number(3) };
            holds(stock::never_oversold(&item));
            holds(stock::orders_match(&Stock { sold: 0, ..item }, number(4)));
            holds(stock::orders_match(&Stock { held: 0, ..item }, number(5)));
        }
        let wallets = "SELECT w.balance, coalesce(sum(e.amount), 0)::bigint FROM wallet w \
                       LEFT JOIN wallet_entry e USING (customer_id, currency) GROUP BY w.customer_id, w.currency, w.balance";
        for row in self.db.query(wallets, &[]).await.expect("wallets") {
            holds(money::wallet_balanced(row.get(0), row.get(1)));
        }
        let payments = "SELECT o.status, p.status IS NOT DISTINCT FROM 'captured' FROM customer_order o \
                        LEFT JOIN payment p USING (order_id) WHERE o.sale_id = $1";
        for row in self.db.query(payments, &[&sale.as_str()]).await.expect("payments") {
            let status = OrderStatus::parse(row.get(0)).expect("a status");
            let is_paid = status.is_paid() && status != OrderStatus::RefundRequested;
            holds(money::captured_while_paid(is_paid, row.get(1)));
        }
        let released = "SELECT coalesce(sum(abs(coalesce(r.units, 0) - l.quantity)), 0)::bigint \
                        FROM order_line l JOIN customer_order o USING (order_id) LEFT JOIN \
                        (SELECT order_id, sku, sum(units) AS units FROM stock_release GROUP BY order_id, sku) r \
                        USING (order_id, sku) WHERE o.sale_id = $1 AND o.status = 'cancelled'";
        assert_eq!(self.number(released, sale).await, 0, "each cancelled order releases its units once");
        let events = "SELECT count(*) - count(DISTINCT (e.order_id, e.status)) FROM order_event e \
                      JOIN customer_order o USING (order_id) WHERE o.sale_id = $1";
        assert_eq!(self.number(events, sale).await, 0, "there is one event per order and status");
        let without = "SELECT count(*) FROM customer_order o WHERE sale_id = $1 \
                       AND NOT EXISTS (SELECT FROM order_event e WHERE e.order_id = o.order_id)";
        assert_eq!(self.number(without, sale).await, 0, "every order has an event");
        let next = "SELECT next_sequence - 1 - coalesce((SELECT max(sequence) FROM customer_order WHERE sale_id = $1), 0) \
                    FROM sale WHERE sale_id = $1";
        assert!(self.number(next, sale).await >= 0, "next_sequence is higher than every order's sequence");
    }
}

/// Returns an order with a new idempotency key.
pub(crate) fn order(sale: &SaleId, customer: &str, lines: &[(&str, u32)]) -> Order {
    keyed_order(sale, customer, &testkit::fresh("k"), lines)
}

pub(crate) fn keyed_order(sale: &SaleId, customer: &str, key: &str, lines: &[(&str, u32)]) -> Order {
    let customer = CustomerId::parse(customer).expect("a name");
    let key = IdempotencyKey::parse(key).expect("a key");
    let lines = lines.iter().map(|(sku, quantity)| Line {
        sku: Sku::parse(sku).expect("a name"),
        quantity: *quantity,
        unit_price: 100,
    });
    Order::plain(sale, customer, key, now(), lines)
}

/// Returns the record of an accepted batch, as a gateway writes it.
pub(crate) fn acceptance(sale: &SaleId, epoch: Epoch, first: u64, orders: &[Order]) -> LogRecord {
    let json: Vec<_> = orders.iter().map(wire::encode_text).collect();
    let id = OutboxId::batch(Sequence(first), orders.len() as u64);
    accepted_record(sale, epoch, id, now(), json.join(",").as_bytes(), orders)
}

/// Returns the record of a change of totals.
pub(crate) fn totals(sale: &SaleId, epoch: Epoch, change: Uuid, items: &[(&str, u64)]) -> LogRecord {
    let items =
        items.iter().map(|(sku, total)| NewTotal { sku: Sku::parse(sku).expect("a name"), total: *total });
    let change = TotalsChange { sale_id: sale.clone(), epoch, change_id: change, items: items.collect() };
    let value = wire::encode(&change);
    LogRecord { headers: Headers::with_epoch(RecordType::Totals, epoch), value }
}

/// Returns a customer's command to cancel an order.
pub(crate) fn cancel(sale: &SaleId, order: &Order) -> LogRecord {
    command(sale, order, Action::Cancel)
}

/// Returns a command: from the customer of the order, or from the system.
pub(crate) fn command(sale: &SaleId, order: &Order, action: Action) -> LogRecord {
    let is_from_customer = matches!(action, Action::Cancel | Action::Pay(_) | Action::Refund);
    let command = OrderCommand {
        sale_id: sale.clone(),
        order_id: order.id,
        customer_id: is_from_customer.then(|| order.customer.clone()),
        at: now(),
        action,
    };
    let value = wire::encode(&command);
    LogRecord { headers: Headers::without_epoch(RecordType::Command), value }
}

/// Returns a tick.
pub(crate) fn tick(at: Timestamp) -> LogRecord {
    let value = wire::encode(&contract::record::Tick { at });
    LogRecord { headers: Headers::without_epoch(RecordType::Tick), value }
}

/// Returns an operator's decision about a dead letter.
pub(crate) fn decision(dead_letter_id: i64, verdict: contract::record::Resolution) -> LogRecord {
    let decision = contract::record::Decision { dead_letter_id, verdict };
    let value = wire::encode(&decision);
    LogRecord { headers: Headers::without_epoch(RecordType::Decision), value }
}

/// Returns the barrier of an epoch.
pub(crate) fn barrier(sale: &SaleId, epoch: Epoch) -> LogRecord {
    let value = format!(r#"{{"sale_id":"{sale}","epoch":{epoch}}}"#).into();
    LogRecord { headers: Headers::with_epoch(RecordType::Barrier, epoch), value }
}

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    Timestamp(since.as_millis() as u64)
}

/// Starts a settler as a separate process. It is killed when the value is dropped.
pub(crate) fn start_settler(system: &System, args: &[&str]) -> Program {
    // Measurements use the release build.
    let program = std::env::var("SETTLEMENT_PROGRAM");
    let mut command = Command::new(program.as_deref().unwrap_or(env!("CARGO_BIN_EXE_settlement")));
    command.args(["--settlement-listen", "127.0.0.1:0", "--log-filter", "warn"]);
    Program::spawn(command.args(system.service_args()).args(with_defaults(args)))
}
