//! Postgres returns to an earlier state, while Redis and the log keep the later one.

#![allow(clippy::unwrap_used)] // a failed step is a failed test

mod support;

use std::process::Command;
use std::time::Duration;

use contract::keys::SaleKeys;
use lua::reserve::Verdict;
use support::shop::Shop;
use support::{Bench, acceptance, order};
use testkit::{Program, Signal, until};

async fn stop(mut settler: Program) {
    settler.signal(Signal::TERM);
    assert!(settler.ends_within(Duration::from_secs(10)).await);
}

/// Reserves an order and writes its record, as a gateway does.
async fn sell(
    bench: &Bench,
    shop: &Shop,
    sale: &contract::ids::SaleId,
    epoch: contract::ids::Epoch,
    customer: &str,
) {
    let order = order(sale, customer, &[("A", 1)]);
    let Verdict::Accepted(sequence) = shop.reserve(&order).await else { panic!("not accepted") };
    bench.write(0, sale, &acceptance(sale, epoch, sequence.0, &[order])).await;
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_restored_takes_no_order_back_and_no_epoch_begins_again() {
    let mut bench = Bench::start(0).await;
    let settler = bench.process(&[]).await;
    let (sale, first) = bench.open(0, None, &[("A", Some(100))]).await;
    let shop = Shop::open(&bench, &sale, first, None).await;
    for n in 0..3 {
        sell(&bench, &shop, &sale, first, &format!("before-{n}")).await;
    }
    bench.until_orders(&sale, 3).await;
    let dump = std::env::temp_dir().join(format!("{sale}.dump"));
    let url = bench.system.database_url.clone();
    run(Command::new("pg_dump").args(["--format=custom", "--dbname", &url, "--file"]).arg(&dump));

    // A rebuild, and orders in the new epoch. Its barrier and its orders are in the log.
    bench.run("UPDATE sale SET rebuild_requested = true WHERE sale_id = $1", &sale).await;
    let second = bench.until_ready(&sale, first.0 as i64 + 1).await;
    let shop = Shop::open(&bench, &sale, second, None).await;
    for n in 0..20 {
        sell(&bench, &shop, &sale, second, &format!("after-{n}")).await;
    }
    bench.until_orders(&sale, 23).await;
    let version = bench.number("SELECT version FROM sale WHERE sale_id = $1", &sale).await;
    stop(settler).await;

    run(Command::new("pg_restore").args(["--clean", "--if-exists", "--dbname", &url]).arg(&dump));
    std::fs::remove_file(&dump).unwrap();
    bench.db = bench.system.database().await;
    assert_eq!(bench.orders(&sale).await, 3);
    // Gateways continue to sell by what they have read.
    for n in 0..5 {
        sell(&bench, &shop, &sale, second, &format!("meanwhile-{n}")).await;
    }
    let _settler = bench.process(&[]).await;
    until("the sale is ready in an epoch that is new", async || {
        let select = "SELECT count(*) FROM sale WHERE sale_id = $1 AND ready AND epoch > 2 AND version > 2";
        bench.number(select, &sale).await == 1
    })
    .await;
    bench.until_orders(&sale, 28).await;
    let ended = SaleKeys::new(&sale, second);
    assert!(!shop.exists(&ended.stock).await, "the epoch that gateways sold meanwhile has ended");
    assert!(bench.number("SELECT version FROM sale WHERE sale_id = $1", &sale).await > version);
    let third = bench.until_ready(&sale, second.0 as i64 + 1).await;
    let shop = Shop::open(&bench, &sale, third, None).await;
    assert_eq!((shop.units("A").await, shop.units(":next").await), ("72".into(), "29".into()));
    assert_eq!(bench.number("SELECT count(*) FROM dead_letter WHERE sale_id = $1", &sale).await, 0);
    bench.check(&sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_whose_keys_exist_is_passed_over() {
    let bench = Bench::start(1).await;
    let (sale, epoch) = bench.open(0, None, &[("A", Some(10))]).await;
    let shop = Shop::open(&bench, &sale, epoch, None).await;
    let next = SaleKeys::new(&sale, contract::ids::Epoch(epoch.0 + 1));
    // As a history that the database has lost has left them, even with the same fields.
    let fields = [&*next.stock, ":next", "7", ":released", "0", "A", "3", "=A", "10"];
    let args = fields.map(|field| bytes::Bytes::copy_from_slice(field.as_bytes())).to_vec();
    shop.redis.command::<i64>("HSET", args).await.unwrap();
    bench.run("UPDATE sale SET rebuild_requested = true WHERE sale_id = $1", &sale).await;
    let rebuilt = bench.until_ready(&sale, epoch.0 as i64 + 1).await;
    assert_eq!(rebuilt.0, epoch.0 + 2);
    let shop = Shop::open(&bench, &sale, rebuilt, None).await;
    assert_eq!(shop.units("A").await, "10");
}
