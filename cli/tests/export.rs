//! Exported files hold what Postgres holds, and a file is either complete or not created.

mod support;

use std::collections::BTreeMap;
use std::process::Command;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};
use support::{Folder, Operator, run_to_end};
use testkit::client::{order_body, terms};
use testkit::{Forwarder, fresh, shared};

/// The number of orders that are copied in addition to those that customers place: more than two pages.
const COPIES: i64 = 1_100;

/// Creates a sale with orders of every kind (paid, cancelled, with two lines) and many copies of the first one.
async fn sold(copies: i64) -> String {
    let (client, sale, db) = (shared().client(), fresh("export"), shared().database().await);
    let mut there = terms(&[("A", 1000, Some(100)), ("B", 250, None)]);
    there["max_orders_per_customer"] = Value::Null;
    client.open_sale(&sale, there).await;
    let rich = fresh("rich");
    client.credit(&rich, "k", &json!({ "amount": 10_000, "currency": "KRW" })).await;
    let mut paid = order_body(&[("A", 2), ("B", 3)]);
    paid["payment"] = json!({ "method": "wallet" });
    for (customer, body) in
        [("alice", order_body(&[("A", 1)])), (&rich, paid), ("bob", order_body(&[("B", 1)]))]
    {
        let accepted = client.order_until_answered(&sale, customer, "k", &body).await;
        client.until_settled(&sale, customer, &accepted.order_id()).await;
        if customer == "bob" {
            let path = format!("/v1/sales/{sale}/orders/{}", accepted.order_id());
            client.call(customer, reqwest::Method::DELETE, &path, None).await;
            testkit::until("it is cancelled", async || {
                client.get(customer, &path).await.body["status"] == "cancelled"
            })
            .await;
        }
    }
    db.execute(
        "INSERT INTO customer_order
         SELECT (jsonb_populate_record(o, jsonb_build_object(
                    'order_id', md5($1 || n)::uuid, 'sequence', o.sequence + 100 + n, 'idempotency_key', 'copy' || n))).*
           FROM customer_order o, generate_series(1, $2::bigint) n WHERE o.sale_id = $1 AND o.sequence = 1",
        &[&sale, &copies],
    )
    .await
    .expect("copied");
    db.execute(
        "INSERT INTO order_line
         SELECT (jsonb_populate_record(l, jsonb_build_object('order_id', o.order_id))).*
           FROM customer_order o
           JOIN customer_order f ON f.sale_id = o.sale_id AND f.sequence = 1
           JOIN order_line l ON l.order_id = f.order_id
          WHERE o.sale_id = $1 AND o.sequence > 100",
        &[&sale],
    )
    .await
    .expect("copied");
    sale
}

/// Returns the rows in Postgres by column name: newest first, times in milliseconds.
async fn in_postgres(sale: &str) -> Vec<Value> {
    let rows = shared()
        .database()
        .await
        .query(
            "SELECT jsonb_build_object(
                'order_id', o.order_id, 'sale_id', o.sale_id, 'sequence', o.sequence, 'customer_id', o.customer_id,
                'status', o.status, 'accepted_at', (extract(epoch FROM o.accepted_at) * 1000)::bigint,
                'currency', o.currency, 'subtotal', o.subtotal, 'discount', o.discount,
                'delivery_fee', o.delivery_fee, 'total', o.total,
                'updated_at', floor(extract(epoch FROM o.updated_at) * 1000)::bigint,
                'hold_expires_at', (extract(epoch FROM o.hold_expires_at) * 1000)::bigint,
                'cancel_reason', o.cancel_reason, 'customer_email', o.customer_email, 'fulfilment', o.fulfilment,
                'payment_method', p.method, 'payment_status', p.status,
                'delivery_status', d.status, 'tracking_number', d.tracking_number,
                'lines', (SELECT jsonb_agg(jsonb_build_object(
                              'sku', l.sku, 'quantity', l.quantity, 'unit_price', l.unit_price) ORDER BY l.line)
                            FROM order_line l WHERE l.order_id = o.order_id))
               FROM customer_order o LEFT JOIN payment p USING (order_id) LEFT JOIN delivery d USING (order_id)
              WHERE o.sale_id = $1 ORDER BY o.sequence DESC",
            &[&sale],
        )
        .await
        .expect("orders");
    rows.iter().map(|row| row.get(0)).collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Str(text) => text.as_str().into(),
        Field::Long(number) | Field::TimestampMillis(number) => (*number).into(),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::Group(row) => {
            row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
        }
        other => panic!("{other:?}"),
    }
}

fn in_parquet(file: &str) -> Vec<Value> {
    let reader = SerializedFileReader::new(std::fs::File::open(file).expect("the file")).expect("Parquet");
    let rows = reader.get_row_iter(None).expect("rows");
    let row = |row: parquet::record::Row| {
        row.get_column_iter().map(|(name, field)| (name.clone(), value(field))).collect()
    };
    rows.map(|read| row(read.expect("a row"))).collect()
}

fn in_csv(text: &[u8]) -> Vec<BTreeMap<String, String>> {
    csv::Reader::from_reader(text).deserialize().map(|row| row.expect("a row")).collect()
}

/// Asserts that a CSV row equals a row of Postgres.
fn assert_same(csv: &BTreeMap<String, String>, expected: &Value) {
    for (name, expected) in expected.as_object().expect("a row") {
        let written = &csv[name];
        let same = match expected {
            Value::Null => written.is_empty(),
            Value::String(text) => written == text,
            Value::Number(number) if name.ends_with("_at") => {
                let at = contract::timestamp::Timestamp(number.as_u64().expect("a time"));
                *written == at.to_string()
            }
            Value::Number(number) => *written == number.to_string(),
            list => serde_json::from_str::<Value>(written).expect("JSON") == *list,
        };
        assert!(same, "{name}: {written} is not {expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_and_parquet_hold_what_postgres_does() {
    let (operator, folder, sale) = (Operator::for_system(shared()), Folder::new(), sold(COPIES).await);
    let expected = in_postgres(&sale).await;
    assert_eq!(expected.len() as i64, COPIES + 3);
    assert!(
        ["cancelled", "created"].iter().all(|status| expected.iter().any(|row| row["status"] == *status))
    );
    assert!(expected.iter().any(|row| row["payment_method"] == "wallet"));

    let csv = in_csv(operator.run(&["export", &sale]).ok().out.as_bytes());
    assert_eq!(csv.len(), expected.len());
    csv.iter().zip(&expected).for_each(|(row, expected)| assert_same(row, expected));

    let file = folder.path().join("orders.parquet").display().to_string();
    let result = operator.run(&["export", &sale, "--output", &file, "--json"]).ok().json();
    assert_eq!((&result["orders"], &result["format"]), (&json!(expected.len()), &json!("parquet")));
    let rows = in_parquet(&file);
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row, expected);
    }

    let csv_file = folder.path().join("lines.csv").display().to_string();
    let result = operator.run(&["export", &sale, "--lines", "-o", &csv_file, "--json"]).ok().json();
    assert_eq!((&result["orders"], &result["rows"]), (&json!(expected.len()), &json!(expected.len() + 1)));
    let lines = in_csv(&std::fs::read(&csv_file).expect("the file"));
    let parquet_file = folder.path().join("lines.parquet").display().to_string();
    operator.run(&["export", &sale, "--lines", "-o", &parquet_file]).ok();
    let of = |row: &Value, line: &Value| {
        (row["order_id"].clone(), line["sku"].clone(), line["quantity"].clone(), line["unit_price"].clone())
    };
    let wanted: Vec<_> = expected
        .iter()
        .flat_map(|row| row["lines"].as_array().expect("lines").iter().map(|line| of(row, line)))
        .collect();
    let written: Vec<_> = in_parquet(&parquet_file).iter().map(|row| of(row, row)).collect();
    assert_eq!(written, wanted);
    assert_eq!(lines.len(), wanted.len());
    for (line, (order, sku, quantity, price)) in lines.iter().zip(&wanted) {
        assert_eq!(
            (&line["order_id"], &line["sku"]),
            (&order.as_str().expect("text").into(), &sku.as_str().expect("text").into())
        );
        assert_eq!((&line["quantity"], &line["unit_price"]), (&quantity.to_string(), &price.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_created_complete_or_not_at_all() {
    let (operator, folder, sale) = (Operator::for_system(shared()), Folder::new(), sold(600).await);
    let file_count = || std::fs::read_dir(folder.path()).expect("the folder").count();
    let file = folder.path().join("orders.csv").display().to_string();

    // An existing file is not overwritten without --force.
    std::fs::write(&file, "mine").expect("written");
    let refused = operator.run(&["export", &sale, "--output", &file]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(std::fs::read_to_string(&file).expect("the file exists"), "mine");

    // A full disk: at most 8 kB per file.
    for name in [&file, &folder.path().join("orders.parquet").display().to_string()] {
        let script = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
        let inner = operator.command(&["export", &sale, "--output", name, "--force", "--json"]);
        let mut command = Command::new("bash");
        command.args(["-c", script]).arg(inner.get_program()).args(inner.get_args());
        command.envs(inner.get_envs().map(|(name, value)| (name, value.expect("set"))));
        let finished = run_to_end(command, "");
        assert_eq!((finished.code, &finished.error()["kind"]), (7, &json!("file")), "{finished:?}");
        assert!(finished.err.contains("File too large"), "{}", finished.err);
        assert_eq!(file_count(), 1, "no incomplete file is left");
    }
    assert_eq!(std::fs::read_to_string(&file).expect("the file exists"), "mine");
    for format in ["csv", "parquet"] {
        let finished = operator.run(&["export", &sale, "--output", "/dev/full", "--format", format]);
        assert_eq!(finished.code, 7, "{finished:?}");
        assert!(finished.err.contains("/dev/full: No space left on device"), "{}", finished.err);
    }
    let mut command = Command::new("bash");
    command.args(["-c", "\"$0\" export \"$1\" > /dev/full", env!("CARGO_BIN_EXE_flashsale"), &sale]);
    command.env("ADMIN_URL", &operator.admin_url).env("ADMIN_TOKEN", "dev-admin");
    let finished = run_to_end(command, "");
    assert_eq!(finished.code, 7);
    assert!(finished.err.contains("cannot write the output: No space left on device"), "{}", finished.err);

    operator.run(&["export", &sale, "--output", &file, "--force"]).ok();
    assert_eq!(in_csv(&std::fs::read(&file).expect("the file")).len(), 603);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_is_interrupted_leaves_no_file() {
    let (folder, sale) = (Folder::new(), sold(COPIES).await);
    let file_count = || std::fs::read_dir(folder.path()).expect("the folder").count();
    let file = folder.path().join("orders.csv");
    let name = file.display().to_string();
    let (way, admin_url) = Forwarder::start_for_url(&format!("{}/", shared().gateways[0].1)).await;
    let operator = Operator { admin_url, token: Some("dev-admin") };
    // The export may fetch every page before the connection is blocked: then try again.
    let mut child = testkit::eventually("it is blocked between two pages", async || {
        let _ = std::fs::remove_file(&file); // from the previous attempt
        way.mend();
        let mut child = operator.command(&["export", &sale, "--output", &name]).spawn().expect("it starts");
        testkit::until("the file exists", async || file_count() > 0).await;
        let held = way.held_chunks();
        way.hang();
        testkit::until("it has ended, or waits for a page", async || {
            child.try_wait().expect("a child").is_some() || way.held_chunks() > held
        })
        .await;
        child.try_wait().expect("a child").is_none().then_some(child)
    })
    .await;
    assert!(!file.exists(), "the file does not exist before it is complete");
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill").success());
    let status = testkit::eventually("it has ended", async || child.try_wait().expect("a child")).await;
    assert_eq!((status.code(), file_count()), (Some(130), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_exported_leaves_no_file() {
    let (operator, folder) = (Operator::for_system(shared()), Folder::new());
    let file = folder.path().join("none.csv").display().to_string();
    assert_eq!(operator.run(&["export", &fresh("none"), "--output", &file]).code, 4);
    assert_eq!(operator.run(&["export", "x", "--format", "parquet"]).code, 2, "not to standard output");
    let nowhere = folder.path().join("no/such/folder.csv").display().to_string();
    assert_eq!(operator.run(&["export", &sold(0).await, "--output", &nowhere]).code, 7);
    assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
}
