//! The access of a gateway to a sale in Redis, without a gateway.

use std::time::Duration;

use contract::ids::{Epoch, SaleId};
use contract::keys::SaleKeys;
use contract::order::Order;
use contract::publication::ScriptDigests;
use contract::sale::SaleState;
use contract::wire;
use lua::Redis;
use lua::reserve::{Candidate, Terms, Verdict, reserve};
use tokio_postgres::types::Json;

use super::Bench;

/// A sale in Redis, as a gateway uses it.
pub(crate) struct Shop {
    pub(crate) redis: Redis,
    pub(crate) keys: SaleKeys,
    pub(crate) scripts: ScriptDigests,
    limit: Option<u32>,
}

impl Shop {
    pub(crate) async fn open(bench: &Bench, sale: &SaleId, epoch: Epoch, limit: Option<u32>) -> Self {
        let redis =
            Redis::connect_once(&bench.system.redis_url, Duration::from_secs(10)).await.expect("Redis");
        let select = "SELECT scripts FROM sale WHERE sale_id = $1 AND ready";
        let Json(scripts) =
            bench.db.query_one(select, &[&sale.as_str()]).await.expect("the sale is ready").get(0);
        Self { redis, keys: SaleKeys::new(sale, epoch), scripts, limit }
    }

    pub(crate) async fn reserve(&self, order: &Order) -> Verdict {
        let payload = wire::encode(order);
        let candidate = Candidate::new(order, payload, self.limit.is_some());
        let terms = Terms { opens_at: None, closes_at: None, state: SaleState::Open, limit: self.limit };
        let deadline = self.redis.deadline().await.expect("Redis");
        let outcome =
            reserve(&self.redis, &self.scripts.reserve, &self.keys, &terms, deadline, &[], &[&candidate])
                .await;
        outcome.expect("Redis responds").expect("the state is not lost").verdicts.remove(0)
    }

    pub(crate) async fn get(&self, key: &str, field: &[u8]) -> Option<bytes::Bytes> {
        let args = vec![key.to_string().into(), bytes::Bytes::copy_from_slice(field)];
        self.redis.command("HGET", args).await.expect("Redis")
    }

    pub(crate) async fn units(&self, sku: &str) -> String {
        let units = self.get(&self.keys.stock, sku.as_bytes()).await.expect("Redis");
        String::from_utf8(units.to_vec()).expect("text")
    }

    pub(crate) async fn exists(&self, key: &str) -> bool {
        self.redis.command::<i64>("EXISTS", vec![key.to_string().into()]).await.expect("Redis") == 1
    }
}
