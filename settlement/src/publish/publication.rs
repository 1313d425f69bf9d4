//! The publication of a sale: read from Postgres, and produced to the topic `sales`.

use contract::ids::{Epoch, SaleId};
use contract::money::Currency;
use contract::publication::{SalePublication, ScriptDigests};
use contract::sale::{DiscountPolicy, Item, SaleState, SaleTerms};
use contract::timestamp::Timestamp;
use process::kafka::{Acknowledged, Message, ProduceError, Producer};
use time::OffsetDateTime;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Row};

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
    let rows = client.query(include_str!("../../queries/select_publications.sql"), &[&sales]).await?;
    let read = rows.iter().map(|row| {
        publication(row).map_err(|why| PublishError::InvalidSale { sale: row.get("sale_id"), why })
    });
    Ok(read.collect())
}

fn publication(row: &Row) -> Result<SalePublication, String> {
    let sale_id: &str = row.get("sale_id");
    let json = |error: tokio_postgres::Error| {
        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
    };
    let Json(discount_policies) =
        row.try_get::<_, Json<Vec<DiscountPolicy>>>("discount_policies").map_err(json)?;
    let Json(items) = row.try_get::<_, Json<Vec<Item>>>("items").map_err(json)?;
    let scripts = row.try_get::<_, Option<Json<ScriptDigests>>>("scripts").map_err(json)?;
    let at = |column| row.get::<_, Option<OffsetDateTime>>(column).map(Timestamp::from_datetime);
    Ok(SalePublication {
        sale_id: SaleId::parse(sale_id).map_err(|error| error.to_string())?,
        partition: row.get("partition"),
        state: SaleState::parse(row.get("state")).ok_or("unknown state")?,
        version: row.get::<_, i64>("version") as u64,
        epoch: Epoch(row.get::<_, i64>("epoch") as u64),
        ready: row.get("ready"),
        terms: SaleTerms {
            title: row.get("title"),
            currency: Currency::parse(row.get("currency")).ok_or("unknown currency")?,
            opens_at: at("opens_at"),
            closes_at: at("closes_at"),
            max_orders_per_customer: row
                .get::<_, Option<i32>>("max_orders_per_customer")
                .map(|limit| limit as u32),
            hold_seconds: row.get::<_, i32>("hold_seconds") as u32,
            delivery_fee: row.get::<_, i64>("delivery_fee") as u64,
            free_delivery_from: row.get::<_, Option<i64>>("free_delivery_from").map(|from| from as u64),
            discount_policies,
            items,
        },
        scripts: scripts.map(|Json(scripts)| scripts),
    })
}

/// Produces a publication to the topic `sales`. The future resolves with the acknowledgement of Kafka.
pub fn produce(
    producer: &Producer,
    topic: &str,
    sale: &SalePublication,
) -> Result<impl Future<Output = Result<Acknowledged, ProduceError>> + Send + use<>, ProduceError> {
    // A struct of names, texts and numbers always serializes.
    let value = serde_json::to_vec(sale).unwrap_or_default();
    producer.send(&Message { topic, partition: Some(0), key: &sale.key(), value: Some(&value), headers: &[] })
}
