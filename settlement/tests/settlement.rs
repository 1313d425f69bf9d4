//! Records of the log and their effects in Postgres.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use contract::ids::Epoch;
use support::{Bench, acceptance, barrier, keyed_order, order, totals};
use testkit::{Signal, until};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn accepted_orders_become_rows_held_units_and_events_in_one_transaction() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, Some(1), &[("A", Some(50)), ("B", None)]).await;
    let orders: Vec<_> = (0..20).map(|n| order(&sale, &format!("c{n}"), &[("A", 2), ("B", 1)])).collect();
    bench.write(0, &sale, &acceptance(&sale, epoch, 1, &orders[..12])).await;
    bench.write(0, &sale, &acceptance(&sale, epoch, 13, &orders[12..])).await;
    bench.until_orders(&sale, 20).await;

    assert_eq!(bench.units(&sale, "A").await, (40, 0));
    assert_eq!(bench.units(&sale, "B").await, (20, 0));
    assert_eq!(bench.number("SELECT next_sequence FROM sale WHERE sale_id = $1", &sale).await, 21);
    let row = bench
        .db
        .query_one(
            "SELECT sequence, customer_id, status, subtotal, total, currency, idempotency_key, epoch, \
             hold_expires_at - accepted_at = interval '1 hour' FROM customer_order WHERE order_id = $1",
            &[&orders[14].id.0],
        )
        .await
        .unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, &str>(1)), (15, "c14"));
    assert_eq!((row.get::<_, &str>(2), row.get::<_, i64>(3), row.get::<_, i64>(4)), ("created", 300, 300));
    assert_eq!((row.get::<_, &str>(5), row.get::<_, &str>(6)), ("KRW", orders[14].key.as_str()));
    assert_eq!(row.get::<_, i64>(7), epoch.0 as i64);
    assert!(row.get::<_, bool>(8), "the hold's deadline is recorded");
    let sequences = "SELECT count(*) FROM order_event e JOIN customer_order o USING (order_id) \
                     WHERE o.sale_id = $1 AND e.partition = 0 AND e.seq = o.sequence";
    assert_eq!(bench.number(sequences, &sale).await, 20, "events are in the order of the log");
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sales_share_a_partition_and_a_transaction() {
    let bench = Bench::start(1).await;
    let (one, one_epoch) = bench.open(1, None, &[("A", Some(100))]).await;
    let (two, two_epoch) = bench.open(1, None, &[("A", Some(100))]).await;
    for first in 1..=10 {
        bench.write(1, &one, &acceptance(&one, one_epoch, first, &[order(&one, "c", &[("A", 1)])])).await;
        bench.write(1, &two, &acceptance(&two, two_epoch, first, &[order(&two, "c", &[("A", 2)])])).await;
    }
    bench.until_orders(&one, 10).await;
    bench.until_orders(&two, 10).await;
    assert_eq!((bench.units(&one, "A").await.0, bench.units(&two, "A").await.0), (10, 20));
    bench.check(&one).await;
    bench.check(&two).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_in_the_log_twice_is_settled_once() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(100))]).await;
    let orders: Vec<_> = (0..6).map(|n| order(&sale, &format!("c{n}"), &[("A", 1)])).collect();
    let (first, second) =
        (acceptance(&sale, epoch, 1, &orders[..3]), acceptance(&sale, epoch, 4, &orders[3..]));
    // These are in one batch with their duplicates; the first follows the second, as after a relay.
    for record in [&second, &second, &first, &second, &first] {
        bench.write(0, &sale, record).await;
    }
    bench.until_orders(&sale, 6).await;
    // Another duplicate follows later.
    let last = bench.write(0, &sale, &first).await;
    bench.until_settled(0, last).await;
    bench.until_orders(&sale, 6).await;
    assert_eq!(bench.units(&sale, "A").await, (6, 0));
    assert_eq!(bench.number("SELECT count(*) FROM dead_letter WHERE sale_id = $1", &sale).await, 0);
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acceptance_after_a_higher_barrier_is_void() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(100))]).await;
    let before = acceptance(&sale, epoch, 1, &[order(&sale, "before", &[("A", 1)])]);
    let behind = acceptance(&sale, epoch, 2, &[order(&sale, "behind", &[("A", 1)])]);
    let next = Epoch(epoch.0 + 1);
    let new = acceptance(&sale, next, 2, &[order(&sale, "new", &[("A", 1)])]);
    let (ending, lower) = (barrier(&sale, next), barrier(&sale, epoch));
    let change = totals(&sale, epoch, Uuid::new_v4(), &[("A", 7)]);
    let mut last = 0;
    for record in [&before, &ending, &behind, &change, &new, &lower, &behind] {
        last = bench.write(0, &sale, record).await;
    }
    bench.until_settled(0, last).await;
    let rows = bench
        .db
        .query(
            "SELECT customer_id FROM customer_order WHERE sale_id = $1 ORDER BY sequence",
            &[&sale.as_str()],
        )
        .await
        .unwrap();
    let customers: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(customers, ["before", "new"]);
    assert_eq!(bench.number("SELECT settled_epoch FROM sale WHERE sale_id = $1", &sale).await, next.0 as i64);
    assert_eq!(bench.number("SELECT total FROM sale_item WHERE sale_id = $1", &sale).await, 100);
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_applied_becomes_a_dead_letter_with_its_units_and_blocks_no_other() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(100))]).await;
    let good =
        |first: u64| acceptance(&sale, epoch, first, &[order(&sale, &format!("c{first}"), &[("A", 1)])]);
    let headers = |first: u64| good(first).headers.encode();

    bench.write(0, &sale, &good(1)).await;
    let malformed = bench.write_raw(0, sale.as_str(), b"{nonsense", &headers(2)).await;
    bench.write_raw(0, sale.as_str(), b"{nonsense", &headers(2)).await; // relayed
    bench.write_raw(0, sale.as_str(), &good(3).value, &[]).await;
    bench.write_raw(0, "no-sale", &good(4).value, &headers(4)).await;
    bench.write_raw(0, "not a sale id", b"", &[("type", "accepted\0".into())]).await;
    bench.write(0, &sale, &acceptance(&sale, epoch, 5, &[order(&sale, "c5", &[("Z", 1)])])).await;
    bench.write(1, &sale, &good(6)).await; // into the wrong partition
    let last = bench.write(0, &sale, &good(7)).await;
    bench.until_settled(0, last).await;
    bench.until_settled(1, 0).await;

    bench.until_orders(&sale, 2).await;
    let rows = bench
        .db
        .query(
            "SELECT reason, log_offset, units::text, value FROM dead_letter ORDER BY partition, log_offset",
            &[],
        )
        .await
        .unwrap();
    let reasons: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(
        reasons,
        [
            "malformed",
            "malformed",
            "unknown_type",
            "inconsistent",
            "unknown_type",
            "unknown_sku",
            "wrong_partition"
        ]
    );
    assert_eq!((rows[0].get::<_, i64>(1), rows[0].get::<_, &[u8]>(3)), (malformed, &b"{nonsense"[..]));
    assert_eq!((rows[0].get::<_, &str>(2), rows[1].get::<_, &str>(2)), (r#"{"A": 1}"#, "{}"));
    // Held back: the unit of the malformed record, once, and that of the record in the wrong partition.
    assert_eq!(bench.units(&sale, "A").await, (2, 2));
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_postgres_rejects_becomes_a_dead_letter_alone() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(5))]).await;
    let at = |first: u64, units: u32| {
        acceptance(&sale, epoch, first, &[order(&sale, &format!("c{first}"), &[("A", units)])])
    };
    let taken = keyed_order(&sale, "c1", "once", &[("A", 1)]);
    let mut again = keyed_order(&sale, "c1", "once", &[("A", 1)]);
    again.id = contract::ids::OrderId::new(1, 2, again.id.request());
    // Units: 1 + 2 are available, 9 never are, and 2 are again; then an idempotency key that exists already.
    let mut last = 0;
    for record in [
        &acceptance(&sale, epoch, 1, std::slice::from_ref(&taken)),
        &at(2, 2),
        &at(3, 9),
        &at(4, 2),
        &acceptance(&sale, epoch, 5, &[again]),
    ] {
        last = bench.write(0, &sale, record).await;
    }
    bench.until_settled(0, last).await;
    bench.until_orders(&sale, 3).await;
    assert_eq!(bench.units(&sale, "A").await, (5, 10), "9 + 1 units are held back");
    let trips = "SELECT count(*) FROM dead_letter WHERE sale_id = $1 AND reason = 'guard_trip'";
    assert_eq!(bench.number(trips, &sale).await, 2);
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_totals_is_settled_once_and_released_to_redis() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(10)), ("B", Some(10))]).await;
    let redis =
        lua::Redis::connect_once(&bench.system.redis_url, std::time::Duration::from_secs(10)).await.unwrap();
    let keys = contract::keys::SaleKeys::new(&sale, epoch);
    let field = async |name: &str| -> Option<String> {
        redis.command("HGET", vec![keys.stock.clone().into(), name.to_string().into()]).await.unwrap()
    };
    let version = bench.number("SELECT version FROM sale WHERE sale_id = $1", &sale).await;
    // As change_totals.lua leaves it: A raised, B lowered (and taken out), pending until Postgres has it.
    let change = Uuid::new_v4();
    let set = [&keys.stock, ":change", &change.to_string(), "=A", "15", "=B", "4", "B", "4"];
    let _: i64 =
        redis.command("HSET", set.map(|s| bytes::Bytes::from(s.to_string())).to_vec()).await.unwrap();
    let record = totals(&sale, epoch, change, &[("A", 15), ("B", 4)]);
    bench.write(0, &sale, &record).await;
    bench.write(0, &sale, &record).await;

    until("the change is settled in Redis", async || field(":change").await.is_none()).await;
    let total = "SELECT sum(total)::bigint FROM sale_item WHERE sale_id = $1";
    assert_eq!(bench.number(total, &sale).await, 19);
    let (list, all) = (keys.returning.clone(), ["0", "-1"].map(bytes::Bytes::from));
    let returning: Vec<String> =
        redis.command("LRANGE", vec![list.into(), all[0].clone(), all[1].clone()]).await.unwrap();
    assert_eq!(returning.len(), 1);
    assert!(returning[0].ends_with(" 5 A"), "{returning:?}");
    let releases = "SELECT sum(units)::bigint FROM stock_release WHERE sale_id = $1";
    assert_eq!(bench.number(releases, &sale).await, 5);
    until("the new version is visible to gateways", async || {
        bench.number("SELECT version FROM sale WHERE sale_id = $1", &sale).await == version + 1
    })
    .await;
    // Only Postgres can reject this change: more units are held than the new total.
    bench.write(0, &sale, &acceptance(&sale, epoch, 1, &[order(&sale, "c", &[("A", 12)])])).await;
    let last = bench.write(0, &sale, &totals(&sale, epoch, Uuid::new_v4(), &[("A", 11)])).await;
    bench.until_settled(0, last).await;
    let trips = "SELECT count(*) FROM dead_letter WHERE sale_id = $1 AND reason = 'guard_trip'";
    assert_eq!(bench.number(trips, &sale).await, 1);
    assert_eq!(bench.number(total, &sale).await, 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_met_again_blocks_nothing_and_another_record_at_its_offset_is_stored() {
    let bench = Bench::start(0).await;
    let mut settler = bench.process(&[]).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(100))]).await;
    let good =
        |first: u64| acceptance(&sale, epoch, first, &[order(&sale, &format!("c{first}"), &[("A", 1)])]);
    let headers = good(1).headers.encode();
    let malformed = bench.write_raw(0, sale.as_str(), b"{nonsense", &headers).await;
    bench.until_settled(0, malformed).await;
    let letters = "SELECT count(*) FROM dead_letter WHERE sale_id = $1";
    assert_eq!(bench.number(letters, &sale).await, 1);

    // As an operator sets the position back, or after a restore of an older dump.
    let mut expected = 1;
    for topic_is_new in [false, true] {
        settler.signal(Signal::TERM);
        assert!(settler.ends_within(std::time::Duration::from_secs(10)).await);
        if topic_is_new {
            bench.run("UPDATE dead_letter SET value = 'of the former topic' WHERE sale_id = $1", &sale).await;
            expected = 2;
        }
        let back = "UPDATE log_position SET next_offset = $1 WHERE partition = 0";
        bench.db.execute(back, &[&malformed]).await.unwrap();
        settler = bench.process(&[]).await;
        let last = bench.write(0, &sale, &good(2 + u64::from(topic_is_new))).await;
        bench.until_settled(0, last).await;
        assert_eq!(bench.number(letters, &sale).await, expected);
    }
    let undecided = "SELECT count(*) FROM dead_letter WHERE sale_id = $1 AND state = 'undecided'";
    assert_eq!(bench.number(undecided, &sale).await, 2, "each record waits for its own decision");
    bench.until_orders(&sale, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_postgres_rejects_holds_up_its_partition_alone_until_it_is_accepted() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(100))]).await;
    let (other, other_epoch) = bench.open(1, None, &[("A", Some(100))]).await;
    let refuse = "ALTER TABLE dead_letter ADD CONSTRAINT on_purpose CHECK (reason <> 'malformed')";
    bench.db.batch_execute(refuse).await.unwrap();
    let record = acceptance(&sale, epoch, 1, &[order(&sale, "c", &[("A", 1)])]);
    let malformed = bench.write_raw(0, sale.as_str(), b"{nonsense", &record.headers.encode()).await;
    for first in 1..=20 {
        let order = order(&other, &format!("c{first}"), &[("A", 1)]);
        bench.write(1, &other, &acceptance(&other, other_epoch, first, &[order])).await;
    }
    bench.until_orders(&other, 20).await;
    let position = "SELECT next_offset FROM log_position WHERE partition = 0 AND $1::text <> ''";
    assert_eq!(bench.number(position, &sale).await, malformed, "no record is skipped");
    bench.db.batch_execute("ALTER TABLE dead_letter DROP CONSTRAINT on_purpose").await.unwrap();
    bench.until_settled(0, malformed).await;
    assert_eq!(bench.number("SELECT count(*) FROM dead_letter WHERE sale_id = $1", &sale).await, 1);
}
