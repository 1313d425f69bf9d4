//! Many customers at two gateways and two settlers, with a rebalance during the burst: every unit is sold once,
//! and the sequences have no gap.

use std::collections::HashSet;

use testkit::client::{order_body, terms};
use testkit::system::Shape;
use testkit::{System, fresh};

const CUSTOMERS: usize = 1500;
const UNITS: u64 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_and_two_settlers_sell_every_unit_once_through_a_rebalance() {
    let mut system = System::start(Shape { gateways: 2, settlements: 2, ..Shape::default() }).await;
    let clients = [system.gateway_client(0), system.gateway_client(1)];
    let sales = [fresh("one"), fresh("two"), fresh("three"), fresh("four"), fresh("five")];
    for sale in &sales {
        clients[0].open_sale(sale, terms(&[("A", 1000, Some(UNITS / sales.len() as u64))])).await;
        clients[1].until_sale(sale, "open", true).await;
    }
    let requests: Vec<_> = (0..CUSTOMERS)
        .map(|i| {
            let (client, sale) = (clients[i % 2].clone(), sales[i % sales.len()].clone());
            tokio::spawn(async move {
                let answer =
                    client.order_until_answered(&sale, &format!("c{i}"), "k", &order_body(&[("A", 1)])).await;
                (sale, answer)
            })
        })
        .collect();
    // A third settler joins and leaves while the customers are served: partitions move twice.
    let joined = system.add_settlement(&[]);
    let mut accepted = vec![];
    for (i, request) in requests.into_iter().enumerate() {
        let (sale, answer) = request.await.unwrap();
        match answer.status.as_u16() {
            202 => accepted.push((sale, answer.order_id(), answer.body["sequence"].as_u64().unwrap())),
            _ => assert_eq!(answer.code(), "sold_out", "{:?}", answer.body),
        }
        if i == CUSTOMERS / 2 {
            joined.cancel();
        }
    }
    assert_eq!(accepted.len() as u64, UNITS, "every unit is sold, none twice");

    let database = system.database().await;
    testkit::until("everything is settled", async || {
        let row = database.query_one("SELECT count(*) FROM customer_order", &[]).await.unwrap();
        row.get::<_, i64>(0) as u64 == UNITS
    })
    .await;
    for sale in &sales {
        let rows = database
            .query(
                "SELECT order_id::text, sequence FROM customer_order WHERE sale_id = $1 ORDER BY sequence",
                &[sale],
            )
            .await
            .unwrap();
        let settled: Vec<(String, u64)> =
            rows.iter().map(|row| (row.get(0), row.get::<_, i64>(1) as u64)).collect();
        let sequences: Vec<u64> = settled.iter().map(|(_, sequence)| *sequence).collect();
        assert_eq!(sequences, (1..=settled.len() as u64).collect::<Vec<_>>(), "no gap, no duplicate");
        let acknowledged: HashSet<_> = accepted
            .iter()
            .filter(|(accepted_sale, ..)| accepted_sale == sale)
            .map(|(_, id, sequence)| (id.clone(), *sequence))
            .collect();
        assert_eq!(settled.into_iter().collect::<HashSet<_>>(), acknowledged, "each 202 has its row");
        let row = database
            .query_one("SELECT total, held FROM sale_item WHERE sale_id = $1", &[sale])
            .await
            .unwrap();
        assert_eq!(row.get::<_, i64>(0), row.get::<_, i64>(1));
    }
    let events =
        database.query_one("SELECT count(*), count(DISTINCT order_id) FROM order_event", &[]).await.unwrap();
    assert_eq!((events.get::<_, i64>(0), events.get::<_, i64>(1)), (UNITS as i64, UNITS as i64));
}
