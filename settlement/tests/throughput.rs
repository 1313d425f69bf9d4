//! Measures the throughput of the settle loop and the cost of an order. It is not part of the ordinary tests:
//! `SETTLEMENT_PROGRAM=$PWD/target/release/settlement cargo test -p settlement --test throughput -- --ignored --nocapture`

mod support;

use std::time::{Duration, Instant};

use contract::ids::{Epoch, SaleId};
use support::{Bench, acceptance, order};

const RECORDS: u64 = 2000;
const ORDERS_PER_RECORD: u64 = 64;

/// Returns the user and system time of processes in microseconds, from /proc (which counts hundredths of a second).
fn cpu_us(pids: &[i32]) -> f64 {
    let cpu = |pid: &i32| {
        let stat = procfs::process::Process::new(*pid).and_then(|process| process.stat());
        let ticks = stat.map_or(0, |stat| stat.utime + stat.stime);
        ticks as f64 * 1e6 / procfs::ticks_per_second() as f64
    };
    pids.iter().map(cpu).sum()
}

async fn backends(bench: &Bench) -> Vec<i32> {
    let select = "SELECT pid FROM pg_stat_activity \
                  WHERE datname = current_database() AND application_name = 'settlement'";
    bench.db.query(select, &[]).await.expect("Postgres").iter().map(|row| row.get(0)).collect()
}

async fn until_at_least(bench: &Bench, sale: &SaleId, select: &str, number: i64) {
    while bench.number(select, sale).await < number {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Writes a backlog while no settler runs.
async fn write_backlog(bench: &Bench, sale: &SaleId, epoch: Epoch, from: u64) {
    let mut acknowledgements = Vec::new();
    for record in 0..RECORDS {
        let first = from + record * ORDERS_PER_RECORD;
        let batch: Vec<_> = (first..first + ORDERS_PER_RECORD)
            .map(|n| order(sale, &format!("customer-{n}"), &[(if n % 2 == 0 { "A" } else { "B" }, 1)]))
            .collect();
        let record = acceptance(sale, epoch, first, &batch);
        let message = process::kafka::Message {
            topic: &bench.topic("orders"),
            partition: Some(0),
            key: sale.as_str(),
            value: Some(&record.value),
            headers: &record.headers.encode(),
        };
        acknowledgements.push(bench.producer.send(&message).expect("the producer has capacity"));
    }
    for acknowledgement in acknowledgements {
        acknowledgement.await.expect("Kafka acknowledges the record");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn settle_a_backlog() {
    let settled = "SELECT next_sequence - 1 FROM sale WHERE sale_id = $1";
    let published = "SELECT next_seq - 1 FROM publish_cursor WHERE partition = 0 AND $1::text IS NOT NULL";
    let bench = Bench::start(0).await;
    let mut process = bench.process(&[]).await;
    let (sale, epoch) = bench.open(0, Some(1), &[("A", Some(10_000_000)), ("B", Some(10_000_000))]).await;
    let lock = bench.system.database().await;
    let mut behind = 0;
    for publishing in [false, true, false, true] {
        process.kill();
        write_backlog(&bench, &sale, epoch, behind as u64 + 1).await;
        if !publishing {
            lock.batch_execute("BEGIN; SELECT FROM publish_cursor WHERE partition = 0 FOR UPDATE")
                .await
                .expect("locked");
        }
        process = bench.process(&[]).await;
        let from = behind;
        behind += (RECORDS * ORDERS_PER_RECORD) as i64;
        until_at_least(&bench, &sale, settled, from + 1).await;
        let (begun, from) = (Instant::now(), bench.number(settled, &sale).await);
        let (own, postgres) = (vec![process.pid() as i32], backends(&bench).await);
        let (own_before, postgres_before) = (cpu_us(&own), cpu_us(&postgres));
        until_at_least(&bench, &sale, settled, behind).await;
        let took = begun.elapsed();
        if publishing {
            until_at_least(&bench, &sale, published, behind).await;
        }
        let orders = (behind - from) as f64;
        println!(
            "{orders} orders {}: {:.0} orders/s; {:.1} µs of settlement, {:.1} µs of Postgres an order",
            if publishing { "settled and published" } else { "settled" },
            orders / took.as_secs_f64(),
            (cpu_us(&own) - own_before) / orders,
            (cpu_us(&postgres) - postgres_before) / orders,
        );
        if !publishing {
            lock.batch_execute("COMMIT").await.expect("unlocked");
        }
        until_at_least(&bench, &sale, published, behind).await;
    }
    bench.check(&sale).await;

    let begun = Instant::now();
    bench.run("UPDATE sale SET rebuild_requested = true WHERE sale_id = $1", &sale).await;
    bench.until_ready(&sale, epoch.0 as i64 + 1).await;
    println!(
        "rebuilt with {behind} orders in {:.1} s, of which 3.5 s wait for leases",
        begun.elapsed().as_secs_f64()
    );
}
