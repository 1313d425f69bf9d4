//! Creates a sale's Redis state like a rebuild, on the real servers that `./dev test` starts.
#![allow(dead_code, unreachable_pub)] // each test file uses a part of it

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use contract::ids::{CustomerId, Epoch, IdempotencyKey, RequestDigest, SaleId, Sku};
use contract::keys::SaleKeys;
use contract::order::{Line, Order};
use contract::sale::SaleState;
use contract::timestamp::Timestamp;
use contract::wire;
use lua::reserve::{Candidate, ReserveReply, Terms, reserve};
use lua::scripts::{Scripts, WrittenCounts, replication_id, seal};
use lua::{Redis, reply::Rejection};

pub const MARK: &str = "0123456789abcdef";

pub async fn redis() -> Redis {
    connect("REDIS_URL").await
}

/// Connects to the single-node Redis Cluster, which rejects keys outside the slot.
pub async fn cluster() -> Redis {
    connect("REDIS_CLUSTER_URL").await
}

async fn connect(variable: &str) -> Redis {
    let url = std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: run the tests by ./dev test"));
    Redis::connect_once(&url, Duration::from_secs(5)).await.expect("Redis is up")
}

/// Returns a name that no other test and no earlier run has used.
pub fn fresh_sale() -> SaleId {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = uuid::Uuid::now_v7().simple();
    SaleId::parse(&format!("t-{id}-{}", NEXT.fetch_add(1, Ordering::Relaxed))).expect("a name")
}

pub struct Sale {
    pub redis: Redis,
    pub id: SaleId,
    pub keys: SaleKeys,
    pub scripts: Scripts,
}

impl Sale {
    /// Creates a sale. `stock` are the units per SKU; `None` for unlimited.
    pub async fn open(redis: Redis, stock: &[(&str, Option<u64>)]) -> Self {
        let id = fresh_sale();
        let keys = SaleKeys::new(&id, Epoch(1));
        let mut fields = vec![":next".to_string(), "1".into(), ":released".into(), "0".into()];
        for (sku, units) in stock {
            match units {
                None => fields.extend([sku.to_string(), "u".into()]),
                Some(units) => {
                    fields.extend([sku.to_string(), units.to_string(), format!("={sku}"), units.to_string()]);
                }
            }
        }
        let args = std::iter::once(&keys.stock).chain(&fields).map(|arg| Bytes::from(arg.clone())).collect();
        let _: u64 = redis.command("HSET", args).await.expect("written");
        let replid = replication_id(&redis).await.expect("a replication id");
        let scripts = Scripts::render(&id, Epoch(1), MARK, &replid);
        scripts.load(&redis).await.expect("loaded");
        let written =
            WrittenCounts { stock_fields: fields.len() as u64 / 2, buyer_fields: 0, arrival_bytes: 0 };
        seal(&redis, &keys, MARK, &replid, written).await.expect("sealed");
        Self { redis, id, keys, scripts }
    }

    pub async fn reserve(
        &self,
        terms: &Terms,
        orders: &[Order],
        limited: bool,
    ) -> Result<ReserveReply, Rejection> {
        self.reserve_until(terms, orders, limited, self.redis.deadline().await.expect("the time")).await
    }

    pub async fn reserve_until(
        &self,
        terms: &Terms,
        orders: &[Order],
        limited: bool,
        deadline: lua::redis::Deadline,
    ) -> Result<ReserveReply, Rejection> {
        let candidates: Vec<_> =
            orders.iter().map(|order| Candidate::new(order, wire::encode(order), limited)).collect();
        let batch: Vec<_> = candidates.iter().collect();
        reserve(&self.redis, &self.scripts.digests.reserve, &self.keys, terms, deadline, &[], &batch)
            .await
            .expect("a reply")
    }

    pub fn order(&self, customer: &str, key: &str, body: u64, lines: &[(&str, u32)]) -> Order {
        let customer = CustomerId::parse(customer).expect("a name");
        let key = IdempotencyKey::parse(key).expect("a key");
        let lines = lines.iter().map(|(sku, quantity)| Line {
            sku: Sku::parse(sku).expect("a SKU"),
            quantity: *quantity,
            unit_price: 100,
        });
        let at = Timestamp(1_790_000_000_000 + body);
        let digest = RequestDigest(body.to_be_bytes());
        Order { digest, hold_seconds: 60, ..Order::plain(&self.id, customer, key, at, lines) }
    }
}

pub fn open_terms(limit: Option<u32>) -> Terms {
    Terms { opens_at: None, closes_at: None, state: SaleState::Open, limit }
}
