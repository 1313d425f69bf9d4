//! The API's documents and running gateways: the one says what the other does. `schemathesis` reads the document
//! that a listener serves and asks whatever it allows and forbids: `tests/openapi/*.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::order_body;
use testkit::system::{Shape, System};
use testkit::tool::run_to_end;
use testkit::{Client, fresh, python};
use tokio::process::Command;

/// All that is asked of one listener takes about a minute; this much on a machine that does very much else.
const ASKED_MAX: Duration = Duration::from_secs(600);
/// With it the gateway takes callbacks; nobody here has it to sign one.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi")
}

async fn interpreter() -> PathBuf {
    python::environment(&folder().join("requirements.txt")).await
}

/// A system with the sample sale open, of which nobody can buy all.
async fn selling() -> (System, Client, String) {
    let gateway_args = ["--storefront", "--payment-webhook-secret", SECRET].map(String::from).to_vec();
    let system = System::start(Shape { gateway_args, ..Shape::default() }).await;
    let client = system.client();
    let sale = fresh("spring");
    client.open_sale(&sale, sample()).await;
    (system, client, sale)
}

/// The document's own example of a definition, with enough for all.
fn sample() -> Value {
    let document: Value = serde_json::from_str(include_str!("../openapi/admin.json")).expect("JSON");
    let body = &document["paths"]["/admin/v1/sales/{sale}"]["put"]["requestBody"];
    let mut terms = body["content"]["application/json"]["examples"]["sample"]["value"].clone();
    terms["max_orders_per_customer"] = json!(null);
    terms["items"][0]["total"] = json!(1_000_000);
    terms
}

/// Lets schemathesis ask one listener, with a file of settings and what they name.
async fn ask(settings: &str, listener: &str, options: &[&str], named: &[(&str, &str)]) {
    let python = interpreter().await;
    let environment = python.ancestors().nth(2).expect("it lies in bin/");
    let mut schemathesis = Command::new(&python);
    schemathesis
        .args(["-m", "schemathesis.cli", "--no-color", "--config-file"])
        .arg(folder().join(settings))
        .args(["run", &format!("{listener}/openapi.json"), "--url", listener])
        .args(["--checks", "all", "--request-timeout", "10", "--warnings", "off"])
        .args(options)
        .envs(named.iter().copied())
        // Where it keeps what it has worked out about Unicode.
        .current_dir(environment);
    run_to_end(&format!("schemathesis ({settings})"), schemathesis, ASKED_MAX).await;
}

#[tokio::test]
async fn both_listeners_serve_documents_that_are_openapi_3_1() {
    let python = interpreter().await;
    let system = testkit::shared();
    let (public, admin) = &system.gateways[0];
    for (listener, file) in [(public, "public.json"), (admin, "admin.json")] {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(file);
        let mut validator = Command::new(&python);
        validator.args(["-m", "openapi_spec_validator", "--schema", "3.1"]).arg(&kept);
        run_to_end(&format!("openapi-spec-validator {file}"), validator, ASKED_MAX).await;
        let served = reqwest::get(format!("{listener}/openapi.json")).await.expect("an answer");
        assert_eq!(served.headers()["content-type"], "application/json");
        assert_eq!(served.text().await.expect("text"), std::fs::read_to_string(&kept).expect("the file"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_read_the_documents_and_try_them_out() {
    let gateway_args = vec!["--storefront".into()];
    let system = System::start(Shape { gateway_args, ..Shape::default() }).await;
    testkit::browser::run_journeys("docs.js", &system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_are_answered_as_documented_whatever_they_send() {
    let (system, client, sale) = selling().await;
    let customer = fresh("c");
    client.credit(&customer, "k", &json!({ "amount": 1_000_000_000u64, "currency": "KRW" })).await;
    let placed = client.order_until_answered(&sale, &customer, "k", &order_body(&[("A", 1)])).await;
    let order = placed.order_id();
    client.until_settled(&sale, &customer, &order).await;
    // It has come to its end: a stream of it ends, too.
    let path = format!("/v1/sales/{sale}/orders/{order}");
    client.call(&customer, Method::DELETE, &path, None).await;
    testkit::until("it is cancelled", async || {
        client.get(&customer, &path).await.body["status"] == "cancelled"
    })
    .await;
    let named = [("SALE", sale.as_str()), ("ORDER", order.as_str()), ("CUSTOMER", customer.as_str())];
    ask("public.toml", &system.gateways[0].0, &[], &named).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_are_answered_as_documented_whatever_they_send() {
    let (system, client, sale) = selling().await;
    let customer = fresh("c");
    let placed = client.order_until_answered(&sale, &customer, "k", &order_body(&[("A", 1)])).await;
    let order = placed.order_id();
    client.until_settled(&sale, &customer, &order).await;
    // Sales that are changed: each is where the change leads to already.
    let [draft, paused, closed, rebuilt] = ["draft", "paused", "closed", "rebuilt"].map(fresh);
    let define = |sale: &str| format!("/admin/v1/sales/{sale}");
    assert_eq!(client.admin(Method::PUT, &define(&draft), Some(&sample())).await.status, 201);
    for (sale, action, state) in [(&paused, "pause", "paused"), (&closed, "close", "closed")] {
        client.open_sale(sale, sample()).await;
        client.admin(Method::POST, &format!("{}/{action}", define(sale)), None).await;
        client.until_sale(sale, state, true).await;
    }
    client.open_sale(&rebuilt, sample()).await;
    let named = [
        ("SALE", sale.as_str()),
        ("ORDER", order.as_str()),
        ("CUSTOMER", customer.as_str()),
        ("DRAFT", draft.as_str()),
        ("PAUSED", paused.as_str()),
        ("CLOSED", closed.as_str()),
        ("REBUILT", rebuilt.as_str()),
    ];
    // What the public listener has is asked there.
    let own = ["--exclude-path-regex", "^/v1/"];
    ask("admin.toml", &system.gateways[0].1, &own, &named).await;
}
