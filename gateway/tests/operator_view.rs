//! The operator's page in a real browser, with a complete system including analytics. The journeys are in
//! `storefront/browser/operator.js`.

use contract::ids::{CustomerId, Epoch, IdempotencyKey, SaleId, Sequence, Sku};
use contract::order::{Line, Order};
use contract::record::OutboxId;
use contract::wire;
use process::kafka::{Message, Producer, ProducerSettings};
use process::walltime;
use testkit::claim_address;
use testkit::client::terms;
use testkit::system::Shape;
use testkit::{Program, System, environment};

/// Appends an order of more units than exist to the log, like a gateway that has promised them.
async fn oversell(system: &System, sale: &str) {
    let select = "SELECT partition FROM sale WHERE sale_id = $1";
    let row = system.database().await.query_one(select, &[&sale]).await.expect("the sale");
    let partition: i32 = row.get(0);
    let sale = SaleId::parse(sale).expect("a name");
    let customer = CustomerId::parse("oversold").expect("a name");
    let key = IdempotencyKey::parse("k").expect("a key");
    let line = Line { sku: Sku::parse("LAMP").expect("a name"), quantity: 5, unit_price: 100 };
    let order = Order::plain(&sale, customer, key, walltime::now(), [line]);
    let json = wire::encode_text(&order);
    let id = OutboxId::batch(Sequence(1), 1);
    let record = lua::outbox::accepted_record(
        &sale,
        Epoch(1),
        id,
        walltime::now(),
        json.as_bytes(),
        std::slice::from_ref(&order),
    );
    let settings = ProducerSettings { linger_ms: 0.0, timeout_ms: 10_000, queue_messages_max: 100 };
    let producer = Producer::start(&environment("KAFKA_BROKERS"), "test", &settings).expect("a producer");
    let message = Message {
        topic: &format!("{}orders", system.topic_prefix),
        partition: Some(partition),
        key: sale.as_str(),
        value: Some(&record.value),
        headers: &record.headers.encode(),
    };
    producer.send(&message).expect("queue capacity").await.expect("acknowledged");
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_run_a_sale_in_a_browser_and_see_every_problem() {
    let system = System::start(Shape::default()).await;
    let listen = claim_address().to_string();
    let own = ["--log-filter", "warn", "analytics", "--analytics-listen", &listen].map(String::from);
    let _analytics = Program::start("downstream", system.service_args().into_iter().chain(own));
    let client = system.client();
    client.open_sale("letters", terms(&[("LAMP", 100, Some(3))])).await;
    oversell(&system, "letters").await;
    testkit::browser::run_journeys("operator.js", &system).await;
}
