//! How fast the settle loop is, and what an order costs. Not part of the tests (it measures):
//! `SETTLEMENT_PROGRAM=$PWD/target/release/settlement cargo test -p settlement --test throughput -- --ignored --nocapture`

mod support;

use std::time::Instant;

use support::{Bench, acceptance, order};

const RECORDS: u64 = 3000;
const ORDERS_A_RECORD: u64 = 64;

/// User and system time of a process in microseconds, from /proc (in hundredths of a second).
fn cpu_us(pid: i32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
    (ticks(11) + ticks(12)) * 10_000
}

async fn backends(bench: &Bench) -> Vec<i32> {
    let select = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'settlement'";
    bench.db.query(select, &[]).await.expect("Postgres").iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn settle_a_backlog() {
    let bench = Bench::start(0).await;
    let mut process = bench.process(&[]).await;
    let (sale, epoch) = bench.open(0, Some(1), &[("A", Some(10_000_000)), ("B", Some(10_000_000))]).await;
    let orders = (RECORDS * ORDERS_A_RECORD) as i64;
    process.kill();
    let mut answers = Vec::new();
    for record in 0..RECORDS {
        let first = 1 + record * ORDERS_A_RECORD;
        let batch: Vec<_> = (first..first + ORDERS_A_RECORD)
            .map(|n| order(&sale, &format!("customer-{n}"), &[(if n % 2 == 0 { "A" } else { "B" }, 1)]))
            .collect();
        let record = acceptance(&sale, epoch, first, &batch);
        let message = process::kafka::Message {
            topic: &bench.topic("orders"),
            partition: Some(0),
            key: sale.as_str(),
            value: Some(&record.value),
            headers: &record.headers.encode(),
        };
        answers.push(bench.producer.send(&message).expect("room"));
    }
    for answer in answers {
        answer.await.expect("acknowledged");
    }
    let process = bench.process(&[]).await;
    while bench.orders(&sale).await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let (begun, before) = (Instant::now(), bench.orders(&sale).await);
    let pids = backends(&bench).await;
    let cpu = |pids: &[i32]| (cpu_us(process.id() as i32), pids.iter().map(|pid| cpu_us(*pid)).sum::<u64>());
    let (own, postgres) = cpu(&pids);
    while bench.orders(&sale).await < orders {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (took, settled) = (begun.elapsed(), orders - before);
    let (own_after, postgres_after) = cpu(&pids);
    println!(
        "settled {settled} orders in {took:?}: {:.0} orders/s, {:.2} µs of settlement and {:.2} µs of Postgres an order",
        settled as f64 / took.as_secs_f64(),
        (own_after - own) as f64 / settled as f64,
        (postgres_after - postgres) as f64 / settled as f64,
    );
    let published = "SELECT next_seq - 1 FROM publish_cursor WHERE partition = 0 AND $1::text IS NOT NULL";
    while bench.number(published, &sale).await < orders {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let (own_told, postgres_told) = cpu(&pids);
    println!(
        "and told in {:?}: {:.2} µs of settlement and {:.2} µs of Postgres an order, settling included",
        begun.elapsed(),
        (own_told - own) as f64 / settled as f64,
        (postgres_told - postgres) as f64 / settled as f64,
    );
    bench.check(&sale).await;
}
