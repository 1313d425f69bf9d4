//! The publication of a sale: read from Postgres, and produced to the topic `sales`.

use contract::ids::SaleId;
use contract::money::Currency;
use contract::publication::SalePublication;
use contract::sale::{SaleState, SaleTerms};
use contract::timestamp::Timestamp;
use contract::wire;
use deadpool_postgres::Client;
use process::kafka::{Acknowledged, Message, ProduceError, Producer};
use serde::de::DeserializeOwned;

use crate::queries::{SelectPublications, SelectPublicationsRow};
use crate::store::database::DatabaseError;

/// The error of a sale that could not be published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A query of Postgres failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// Kafka did not acknowledge the message.
    #[error("the topic `sales`: {0}")]
    Produce(#[from] ProduceError),
    /// The rows in Postgres are not a valid sale.
    #[error("the sale {sale} cannot be published: {why}")]
    InvalidSale {
        /// The id of the sale.
        sale: String,
        /// The reason why it is invalid.
        why: String,
    },
}

/// Reads sales as they are published, each with its own result. Drafts are left out.
pub async fn read(
    client: &Client,
    sales: &[&str],
) -> Result<Vec<Result<SalePublication, PublishError>>, DatabaseError> {
    let rows = SelectPublications { sale_ids: sales }.fetch(client).await?;
    let read = rows.into_iter().map(|row| {
        let sale = row.sale_id.clone();
        publication(row).map_err(|why| PublishError::InvalidSale { sale, why })
    });
    Ok(read.collect())
}

fn publication(row: SelectPublicationsRow) -> Result<SalePublication, String> {
    Ok(SalePublication {
        sale_id: SaleId::parse(&row.sale_id).map_err(|error| error.to_string())?,
        partition: row.partition,
        state: SaleState::parse(&row.state).ok_or("unknown state")?,
        version: row.version as u64,
        epoch: row.epoch,
        ready: row.ready,
        terms: SaleTerms {
            title: row.title,
            currency: Currency::parse(&row.currency).ok_or("unknown currency")?,
            opens_at: row.opens_at.map(Timestamp::from_datetime),
            closes_at: row.closes_at.map(Timestamp::from_datetime),
            max_orders_per_customer: row.max_orders_per_customer.map(|limit| limit as u32),
            hold_seconds: row.hold_seconds as u32,
            delivery_fee: row.delivery_fee as u64,
            free_delivery_from: row.free_delivery_from.map(|from| from as u64),
            discount_policies: json("discount_policies", row.discount_policies)?,
            items: json("items", row.items)?,
        },
        scripts: row.scripts.map(|scripts| json("scripts", scripts)).transpose()?,
        requires: 0,
    })
}

fn json<T: DeserializeOwned>(column: &str, value: serde_json::Value) -> Result<T, String> {
    wire::decode_value(value).map_err(|error| format!("{column}: {error}"))
}

/// Produces a publication to the topic `sales`. The future resolves with the acknowledgement of Kafka.
pub fn produce(
    producer: &Producer,
    topic: &str,
    sale: &SalePublication,
) -> Result<impl Future<Output = Result<Acknowledged, ProduceError>> + Send + use<>, ProduceError> {
    let value = wire::encode(sale);
    producer.send(&Message { topic, partition: Some(0), key: &sale.key(), value: Some(&value), headers: &[] })
}
