//! The consumer group `analytics`: aggregates orders. It maintains the funnel and the revenue of each sale, orders per
//! second, deliveries per hour, and when items sold out, for `GET /admin/v1/sales/{sale}/report`.
//!
//! Every event is counted exactly once. The increments of a batch and its positions are one transaction, and the
//! statuses of an order that are counted are stored with the order, because the topic may hold an event more than once.
//!
//! | module         | what it does                                                  |
//! |----------------|---------------------------------------------------------------|
//! | [`consumer`]   | reads batches from the positions in Postgres                  |
//! | [`increments`] | computes the increments of a batch, without Postgres          |
//! | [`store`]      | the transaction of a batch                                    |
//! | [`sell_out`]   | records when an item sold out for the first time              |
//! | [`settings`]   | every setting                                                 |

pub mod consumer;
pub mod increments;
pub mod sell_out;
pub mod settings;
pub mod store;

use process::kafka::Producer;
use tokio::runtime::Handle;

use crate::group::dead_letters::DeadLetterApi;
use crate::group::{self, Group, GroupError};
use crate::host::Host;
pub use settings::AnalyticsSettings;

/// The consumer group of this component. Its retry topic holds only events that an operator has replayed.
pub const GROUP: Group = Group::new("analytics", "analytics.retry", "analytics.dead-letter");
/// The tables that the component writes.
const TABLES: [&str; 6] = [
    "analytics_position",
    "analytics_order",
    "analytics_sale",
    "analytics_second",
    "analytics_hour",
    "analytics_sell_out",
];

/// Runs the component until the host stops.
pub async fn run(host: &Host, settings: AnalyticsSettings) -> Result<(), GroupError> {
    let producer = Producer::start(&host.services.kafka_brokers, GROUP.name, &group::PRODUCER)?;
    DeadLetterApi::new(&host.services, GROUP, producer.clone())
        .serve(host, settings.analytics_listen)
        .await?;
    let pool = host.postgres_pool(GROUP.name)?;
    let ready = async {
        host.wait_for_schema(&pool, &TABLES).await?;
        group::create_topics(host, &[GROUP.retry, GROUP.dead_letters], settings.kafka_replication_factor)
            .await
    };
    if ready.await.is_some() {
        host.spawn("sell-out", sell_out::run(host.clone(), pool.clone()));
        let (host, runtime) = (host.clone(), Handle::current());
        let work = move || consumer::consume(&host, &settings, &pool, &producer, &runtime);
        group::run_consumer_thread(work).await?;
    }
    Ok(())
}
