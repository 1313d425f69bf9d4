//! Every script against states that no script has written: whatever it finds, all of its writes happen or none. A state
//! that cannot be right is reported as lost, never by an error in the middle.

mod support;

use bytes::Bytes;
use contract::ids::{Epoch, Sku};
use contract::record::{NewTotal, OutboxId, TotalsChange};
use fred::types::Value;
use lua::change_totals::{ChangeOutcome, change_totals};
use lua::release::{Release, ReleaseOutcome, release};
use lua::reply::Rejection;
use lua::reserve::Verdict;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use support::{Sale, open_terms};
use uuid::Uuid;

/// One thing that is wrong with a state.
#[derive(Debug, Clone)]
enum Damage {
    /// A key has another type.
    Type(usize, &'static str),
    /// A field of the stock has this value.
    Field(&'static str, &'static str),
    /// A field of the stock does not exist.
    NoField(&'static str),
    /// A customer's receipts have only this number of bytes.
    CutReceipts(usize),
    /// The list of returned units has this entry at its head.
    Returned(&'static str),
    /// The outbox has had an entry with a later sequence, and has it no more if `deleted`.
    LaterEntry { deleted: bool },
    /// The outbox has lost its entries.
    NoEntries,
}

fn damage() -> impl Strategy<Value = Damage> {
    let field = proptest::sample::select(vec![":next", ":released", ":change", "A", "=A", "B", "=B", "U"]);
    let value = proptest::sample::select(vec![
        "",
        "x",
        "-1",
        "0",
        "1",
        "3",
        "1.5",
        "1e9",
        " 7",
        "u",
        "nan",
        "999999999999999",
        "99999999999999999999",
    ]);
    let entry = proptest::sample::select(vec![
        "",
        "x",
        "0 1",
        "0 x A",
        "0 -1 A",
        "0 1 A",
        "0 1 Z",
        "0 999999999999999 A",
        "0 99999999999999999999 A",
        "9999999999999 1 A",
    ]);
    let of_type = proptest::sample::select(vec!["string", "hash", "list", "set", "zset", "stream"]);
    prop_oneof![
        (0usize..5, of_type).prop_map(|(key, of_type)| Damage::Type(key, of_type)),
        (field.clone(), value).prop_map(|(field, value)| Damage::Field(field, value)),
        field.prop_map(Damage::NoField),
        (0usize..130).prop_map(Damage::CutReceipts),
        entry.prop_map(Damage::Returned),
        any::<bool>().prop_map(|deleted| Damage::LaterEntry { deleted }),
        Just(Damage::NoEntries),
    ]
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Reserve { orders: usize },
    ChangeTotals { total: u64 },
    Release { after: u64 },
    AckOutbox,
    ReadStock,
    FindOrders,
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        3 => (1usize..4).prop_map(|orders| Call::Reserve { orders }),
        2 => proptest::sample::select(vec![1, 5, 9]).prop_map(|total| Call::ChangeTotals { total }),
        2 => proptest::sample::select(vec![0, 9]).prop_map(|after| Call::Release { after }),
        1 => Just(Call::AckOutbox),
        1 => Just(Call::ReadStock),
        1 => Just(Call::FindOrders),
    ]
}

/// The keys of a sale, as they are stored.
type Stored = Vec<Option<Bytes>>;

/// A sale with two orders of one customer in the outbox.
struct Broken {
    sale: Sale,
    first: OutboxId,
}

impl Broken {
    async fn open(redis: lua::Redis) -> Self {
        let sale = Sale::open(redis, &[("A", Some(9)), ("B", Some(9)), ("U", None)]).await;
        let mut ids = vec![];
        for key in ["k1", "k2"] {
            let order = sale.order("c", key, 1, &[("A", 1), ("U", 1)]);
            let reply = sale.reserve(&open_terms(Some(9)), &[order], true).await.expect("not lost");
            assert_eq!(reply.accepted, 1);
            ids.push(reply.outbox_id());
        }
        Self { sale, first: ids[0] }
    }

    async fn command(&self, name: &'static str, args: &[&[u8]]) -> Value {
        let args = args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect();
        self.sale.redis.command(name, args).await.expect("done")
    }

    async fn apply(&self, damage: &Damage) {
        let keys = self.sale.keys.all().map(str::as_bytes);
        let [stock, buyers, _, outbox, returning] = keys;
        match damage {
            Damage::Type(key, of_type) => {
                let key = keys[*key];
                self.command("DEL", &[key]).await;
                let (command, args): (_, &[&[u8]]) = match *of_type {
                    "string" => ("SET", &[key, b"1"]),
                    "hash" => ("HSET", &[key, b"1", b"1"]),
                    "list" => ("RPUSH", &[key, b"1"]),
                    "set" => ("SADD", &[key, b"1"]),
                    "zset" => ("ZADD", &[key, b"1", b"1"]),
                    _ => ("XADD", &[key, b"1-1000001", b"1", b"1"]),
                };
                self.command(command, args).await;
            }
            Damage::Field(field, value) if self.is(stock, "hash").await => {
                self.command("HSET", &[stock, field.as_bytes(), value.as_bytes()]).await;
            }
            Damage::NoField(field) if self.is(stock, "hash").await => {
                self.command("HDEL", &[stock, field.as_bytes()]).await;
            }
            Damage::CutReceipts(bytes) if self.is(buyers, "hash").await => {
                if let Value::Bytes(receipts) = self.command("HGET", &[buyers, b"c"]).await {
                    let cut = &receipts[..receipts.len().min(*bytes)];
                    self.command("HSET", &[buyers, b"c", cut]).await;
                }
            }
            Damage::Returned(entry) if self.is(returning, "list").await => {
                self.command("LPUSH", &[returning, entry.as_bytes()]).await;
            }
            Damage::LaterEntry { deleted } if self.is(outbox, "stream").await => {
                self.command("XADD", &[outbox, b"*", b"orders", b"{}"]).await;
                if *deleted {
                    self.command("XTRIM", &[outbox, b"MAXLEN", b"0"]).await;
                }
            }
            Damage::NoEntries => {
                self.command("DEL", &[outbox]).await;
            }
            _ => {} // earlier damage has replaced the key
        }
    }

    /// Returns whether a key has this type or does not exist.
    async fn is(&self, key: &[u8], of_type: &str) -> bool {
        let actual = self.command("TYPE", &[key]).await;
        actual.as_str().is_some_and(|actual| actual == of_type || actual == "none")
    }

    async fn stored(&self) -> Stored {
        let mut stored = vec![];
        for key in self.sale.keys.all() {
            let dump = self.sale.redis.command("DUMP", vec![Bytes::copy_from_slice(key.as_bytes())]).await;
            stored.push(dump.expect("stored"));
        }
        stored
    }

    /// Returns the units of a SKU that are available or returning; `None` if it is unlimited.
    async fn units(&self, sku: &str) -> Option<u64> {
        let skus = [Sku::parse(sku).expect("a SKU")];
        let digest = &self.sale.scripts.digests.read_stock;
        let read =
            lua::read_stock::read_stock(&self.sale.redis, digest, &self.sale.keys, skus.iter(), 0, false);
        let read = read.await.expect("a reply").expect("not lost");
        read.stock[0].available.map(|available| available + read.stock[0].returning)
    }

    async fn field(&self, field: &str) -> Option<u64> {
        let value = self.command("HGET", &[self.sale.keys.stock.as_bytes(), field.as_bytes()]).await;
        value.as_str().and_then(|value| value.parse().ok())
    }

    async fn has_entry(&self, id: OutboxId) -> bool {
        let id = id.to_string();
        let found =
            self.command("XRANGE", &[self.sale.keys.outbox.as_bytes(), id.as_bytes(), id.as_bytes()]).await;
        found.array_len().is_some_and(|entries| entries == 1)
    }

    /// Reserves orders, the first ones of which exist. Returns whether nothing may have been written.
    async fn reserve(&self, orders: usize) -> Result<bool, TestCaseError> {
        let sale = &self.sale;
        let keys: Vec<_> = (0..orders).map(|n| format!("k{n}")).collect();
        let batch: Vec<_> = keys.iter().map(|key| sale.order("c", key, 1, &[("A", 1), ("U", 1)])).collect();
        let units = if self.is_sound().await { Some(self.units("A").await) } else { None };
        match sale.reserve(&open_terms(Some(9)), &batch, true).await {
            Err(Rejection::Lost) => Ok(true),
            Err(Rejection::Late) => Err(TestCaseError::fail("late")),
            Ok(reply) => {
                prop_assert_eq!(self.field(":next").await, Some(reply.first.0 + reply.accepted));
                // What is damaged may lie behind the returned units that are due, where this script does not read.
                if let Some(units) = units {
                    prop_assert_eq!(self.units("A").await, units.map(|units| units - reply.accepted));
                }
                if reply.accepted > 0 {
                    prop_assert!(self.has_entry(reply.outbox_id()).await);
                }
                let again = sale.reserve(&open_terms(Some(9)), &batch, true).await;
                let again = again.expect("not lost").verdicts;
                for (verdict, again) in reply.verdicts.iter().zip(again) {
                    if let Verdict::Accepted(sequence) = verdict {
                        let Verdict::Replayed { order, in_outbox: true } = again else {
                            return Err(TestCaseError::fail(format!("{again:?}")));
                        };
                        prop_assert_eq!(order.sequence, *sequence);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Sets a total. Returns whether nothing may have been written.
    async fn change_totals(&self, total: u64) -> Result<bool, TestCaseError> {
        let (sale, digests) = (&self.sale, &self.sale.scripts.digests);
        let (change_id, sku) = (Uuid::now_v7(), Sku::parse("A").expect("a SKU"));
        let items = vec![NewTotal { sku, total }];
        let change = TotalsChange { sale_id: sale.id.clone(), epoch: Epoch(1), change_id, items };
        let deadline = sale.redis.deadline().await.expect("the time");
        let changed = change_totals(&sale.redis, &digests.change_totals, &sale.keys, deadline, &change).await;
        if let Ok(ChangeOutcome::Recorded(id)) = changed.map_err(failed)? {
            prop_assert!(self.has_entry(id).await);
            prop_assert_eq!(self.field("=A").await, Some(total));
            Ok(false)
        } else {
            Ok(true)
        }
    }

    /// Releases units and both orders. Returns whether nothing may have been written.
    async fn release(&self, after: u64) -> Result<bool, TestCaseError> {
        let (sale, digests) = (&self.sale, &self.sale.scripts.digests);
        let units = vec![(Sku::parse("A").expect("a SKU"), 1), (Sku::parse("B").expect("a SKU"), 1)];
        let cancelled = ["k1", "k2"].map(|key| (b"c".to_vec(), sale.order("c", key, 1, &[("A", 1)]).id));
        let back =
            Release { after, to: after + 9, settled_changes: vec![], units, cancelled: cancelled.into() };
        let released = release(&sale.redis, &digests.release, &sale.keys, &back).await;
        if let Ok(ReleaseOutcome::Applied) = released.map_err(failed)? {
            prop_assert_eq!(self.field(":released").await, Some(after + 9));
            Ok(false)
        } else {
            Ok(true)
        }
    }

    async fn call(&self, call: Call) -> Result<(), TestCaseError> {
        let (sale, digests) = (&self.sale, &self.sale.scripts.digests);
        let before = self.stored().await;
        let is_unchanged = match call {
            Call::Reserve { orders } => self.reserve(orders).await?,
            Call::ChangeTotals { total } => self.change_totals(total).await?,
            Call::Release { after } => self.release(after).await?,
            Call::AckOutbox => {
                let ids = [self.first];
                let acknowledged =
                    lua::outbox::acknowledge(&sale.redis, &digests.ack_outbox, &sale.keys, &ids).await;
                acknowledged.map_err(failed)?.is_err()
            }
            Call::ReadStock => {
                let skus = ["A", "B", "U"].map(|sku| Sku::parse(sku).expect("a SKU"));
                let digest = &digests.read_stock;
                let read =
                    lua::read_stock::read_stock(&sale.redis, digest, &sale.keys, skus.iter(), 0, false);
                let _ = read.await.map_err(failed)?;
                true
            }
            Call::FindOrders => {
                let field = b"c".to_vec();
                let found =
                    lua::find_orders::find_orders(&sale.redis, &digests.find_orders, &sale.keys, field).await;
                let _ = found.map_err(failed)?;
                true
            }
        };
        if is_unchanged {
            prop_assert_eq!(self.stored().await, before);
        }
        Ok(())
    }

    /// Returns whether the stock can be read.
    async fn is_sound(&self) -> bool {
        let skus = [Sku::parse("A").expect("a SKU")];
        let digest = &self.sale.scripts.digests.read_stock;
        let read =
            lua::read_stock::read_stock(&self.sale.redis, digest, &self.sale.keys, skus.iter(), 0, false);
        read.await.is_ok_and(|read| read.is_ok())
    }
}

fn failed(error: lua::RedisError) -> TestCaseError {
    TestCaseError::fail(format!("the script failed: {error}"))
}

#[test]
fn all_writes_of_a_script_happen_or_none_whatever_it_finds() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let redis = runtime.block_on(support::redis());
    let case = (proptest::collection::vec(damage(), 1..3), proptest::collection::vec(call(), 1..6));
    let config = ProptestConfig {
        cases: 600,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(
            "proptest-regressions/broken_states.txt",
        ))),
        ..ProptestConfig::default()
    };
    proptest::test_runner::TestRunner::new(config)
        .run(&case, |(damages, calls)| {
            runtime.block_on(async {
                let broken = Broken::open(redis.clone()).await;
                for damage in &damages {
                    broken.apply(damage).await;
                }
                for call in calls {
                    broken.call(call).await?;
                }
                Ok(())
            })
        })
        .expect("every script is atomic");
}

/// The log has acknowledged later sequences than the state knows: a state that was restored, or written over.
#[tokio::test]
async fn a_state_that_is_behind_its_outbox_accepts_nothing() {
    let broken = Broken::open(support::redis().await).await;
    broken.command("HSET", &[broken.sale.keys.stock.as_bytes(), b":next", b"2"]).await;
    let before = broken.stored().await;
    let order = broken.sale.order("d", "k", 1, &[("A", 1)]);
    let reply = broken.sale.reserve(&open_terms(None), &[order], true).await;
    assert_eq!(reply, Err(Rejection::Lost));
    assert_eq!(broken.stored().await, before, "nothing is written");
}
