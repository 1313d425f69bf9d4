//! Violations planted into the real services, at least one for each source of evidence.

use std::path::PathBuf;
use std::time::Duration;

use checker::evidence::*;
use checker::finding::{Finding, Verdict};
use checker::{command, evaluate};
use contract::keys::SaleKeys;
use customers::journal;
use fred::prelude::*;
use uuid::Uuid;

use super::sale::{PARTITION, batch, healthy, order, published, sold_out};
use super::services::Planted;

const WAIT: Duration = Duration::from_secs(20);
/// The wait for violations that prevent the sale from becoming quiescent.
const SHORT_WAIT: Duration = Duration::from_millis(100);

fn fresh() -> Evidence {
    healthy(&format!("check-{}", Uuid::new_v4().simple()))
}

async fn findings(planted: &Planted, evidence: &Evidence, wait: Duration) -> Vec<Finding> {
    let (sale, journal) = (&evidence.stored.sale.sale_id, evidence.journal.clone());
    let gathered =
        checker::gather(&planted.services, sale, journal, evidence.expectations, wait).await.unwrap();
    evaluate(&gathered)
}

#[track_caller]
fn assert_violated(findings: &[Finding], invariants: &[u8]) {
    let violated: Vec<_> =
        findings.iter().filter(|finding| finding.verdict == Verdict::Violated).map(|f| f.invariant).collect();
    assert_eq!(violated, invariants, "{findings:#?}");
}

#[tokio::test]
async fn a_healthy_sale_on_real_services_has_no_violation() {
    let evidence = fresh();
    let planted = Planted::create(&evidence).await;
    let findings = findings(&planted, &evidence, WAIT).await;
    assert_violated(&findings, &[]);
    assert!(findings.iter().all(|finding| finding.verdict != Verdict::Unchecked), "{findings:#?}");
}

#[tokio::test]
async fn a_row_missing_from_postgres_is_found() {
    let evidence = fresh();
    let planted = Planted::create(&evidence).await;
    let id = evidence.stored.orders[3].id.0;
    for query in
        ["DELETE FROM customer_order WHERE order_id = $1", "DELETE FROM order_line WHERE order_id = $1"]
    {
        planted.postgres.execute(query, &[&id]).await.unwrap();
    }
    // Counters without orders, a 202 without its row, a sequence that Redis assigned, a skipped record.
    assert_violated(&findings(&planted, &evidence, WAIT).await, &[1, 2, 7, 10]);
}

#[tokio::test]
async fn a_counter_changed_in_postgres_is_found() {
    let evidence = fresh();
    let planted = Planted::create(&evidence).await;
    planted.postgres.execute("UPDATE sale_item SET held = held + 1 WHERE sku = 'A'", &[]).await.unwrap();
    assert_violated(&findings(&planted, &evidence, WAIT).await, &[1, 5]);
}

#[tokio::test]
async fn an_event_missing_from_postgres_is_found() {
    let evidence = fresh();
    let planted = Planted::create(&evidence).await;
    planted.postgres.execute("DELETE FROM order_event WHERE seq = 2", &[]).await.unwrap();
    assert_violated(&findings(&planted, &evidence, WAIT).await, &[8, 10]);
}

#[tokio::test]
async fn a_unit_too_many_in_redis_is_found() {
    let evidence = fresh();
    let planted = Planted::create(&evidence).await;
    let keys = SaleKeys::new(&evidence.stored.sale.sale_id, evidence.stored.sale.epoch);
    let _: i64 = planted.redis.hincrby(&keys.stock, "A", 1).await.unwrap();
    assert_violated(&findings(&planted, &evidence, WAIT).await, &[5]);
}

#[tokio::test]
async fn an_entry_left_in_the_outbox_prevents_quiescence() {
    let evidence = fresh();
    let planted = Planted::create(&evidence).await;
    let keys = SaleKeys::new(&evidence.stored.sale.sale_id, evidence.stored.sale.epoch);
    let _: String = planted.redis.xadd(&keys.outbox, false, None, "1-1000001", ("at", "1")).await.unwrap();
    let findings = findings(&planted, &evidence, SHORT_WAIT).await;
    assert_violated(&findings, &[]);
    assert_eq!(findings[4].verdict, Verdict::Unchecked, "{:?}", findings[4]);
    assert!(findings[4].notes[0].contains("1 entries are in the outbox"), "{:?}", findings[4].notes);
}

#[tokio::test]
async fn a_record_that_settlement_skipped_is_found() {
    let evidence = fresh();
    let planted = Planted::create(&evidence).await;
    let sale = &evidence.stored.sale.sale_id;
    planted.append(&[batch(sale, 6, 2, 5, &[&order(sale, 5, &[("C", 1)])])]);
    planted.postgres.execute("UPDATE log_position SET next_offset = 7", &[]).await.unwrap();
    assert_violated(&findings(&planted, &evidence, WAIT).await, &[10]);
}

#[tokio::test]
async fn a_record_that_is_never_settled_is_found() {
    let evidence = fresh();
    let planted = Planted::create(&evidence).await;
    let sale = &evidence.stored.sale.sale_id;
    planted.append(&[batch(sale, 6, 2, 5, &[&order(sale, 5, &[("C", 1)])])]);
    assert_violated(&findings(&planted, &evidence, SHORT_WAIT).await, &[10]);
}

#[tokio::test]
async fn an_event_published_with_the_id_of_another_is_found() {
    let evidence = fresh();
    let planted = Planted::create(&evidence).await;
    let other = PublishedEvent { id: format!("{PARTITION}-1"), ..published(&evidence.stored.events[3]) };
    planted.publish_event(&evidence, &other);
    assert_violated(&findings(&planted, &evidence, WAIT).await, &[8]);
}

#[tokio::test]
async fn a_journal_that_contradicts_the_stores_ends_the_command_with_exit_code_1() {
    let mut evidence = fresh();
    let planted = Planted::create(&evidence).await;
    let folder = std::env::temp_dir().join(evidence.stored.sale.sale_id.as_str());
    let check = async |name: &str, evidence: &Evidence| {
        let (file, json) = (folder.join(format!("{name}.jsonl")), folder.join(format!("{name}.json")));
        let (journal, writer) = journal::create(&file).unwrap();
        evidence.journal.iter().for_each(|entry| journal.write(entry.clone()));
        drop(journal);
        writer.finish().unwrap();
        let code = command::run(&arguments(&planted, evidence, file, &json)).await.unwrap();
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
        (format!("{code:?}"), document)
    };
    let (code, document) = check("healthy", &evidence).await;
    assert_eq!(code, format!("{:?}", std::process::ExitCode::from(0)), "{document:#}");
    assert_eq!(document["outcome"], "holds");

    // A customer was refused before another, who arrived later, was accepted.
    let early = sold_out(&evidence.stored.sale.sale_id, 1, "c6", 0);
    evidence.journal.push(early);
    let (code, document) = check("overtaken", &evidence).await;
    assert_eq!(code, format!("{:?}", std::process::ExitCode::from(1)), "{document:#}");
    assert_eq!(document["findings"][6]["verdict"], "violated");
    assert_eq!(document["findings"][6]["violations"], 1);
    std::fs::remove_dir_all(folder).unwrap();
}

fn arguments(
    planted: &Planted,
    evidence: &Evidence,
    file: PathBuf,
    json: &std::path::Path,
) -> command::Arguments {
    command::Arguments {
        sale: evidence.stored.sale.sale_id.clone(),
        journal: vec![file],
        journal_complete: true,
        expect_sold_out: false,
        wait: WAIT,
        json: Some(json.to_owned()),
        services: planted.services.clone(),
    }
}
