//! The OpenAPI documents describe what running gateways do. `schemathesis` reads the document that a listener
//! serves and sends requests that it allows and forbids, as configured in `tests/openapi/*.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use testkit::client::order_body;
use testkit::system::{Shape, System};
use testkit::tool::run_to_end;
use testkit::{Client, fresh, python};
use tokio::process::Command;

/// The time limit of one schemathesis run. It takes about a minute on an idle machine; the limit allows for a very
/// busy one.
const RUN_MAX: Duration = Duration::from_secs(600);
/// Enables payment callbacks at the gateway. No test signs one with it.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi")
}

async fn interpreter() -> PathBuf {
    python::environment(&folder().join("requirements.txt")).await
}

/// Starts a system and opens the sample sale with more stock than the requests can buy.
async fn start_selling() -> (System, Client, String) {
    let gateway_args = ["--storefront", "--payment-webhook-secret", SECRET].map(String::from).to_vec();
    let system = System::start(Shape { gateway_args, ..Shape::default() }).await;
    let client = system.client();
    let sale = fresh("spring");
    client.open_sale(&sale, sample()).await;
    (system, client, sale)
}

/// Returns the document's example of a definition, with stock for every request.
fn sample() -> Value {
    let document: Value = serde_json::from_str(include_str!("../openapi/admin.json")).expect("JSON");
    let body = &document["paths"]["/admin/v1/sales/{sale}"]["put"]["requestBody"];
    let mut terms = body["content"]["application/json"]["examples"]["sample"]["value"].clone();
    terms["max_orders_per_customer"] = json!(null);
    terms["items"][0]["total"] = json!(1_000_000);
    terms
}

/// Runs schemathesis against one listener, with a settings file and the environment variables that it uses.
async fn run_schemathesis(settings: &str, listener: &str, options: &[&str], variables: &[(&str, &str)]) {
    let python = interpreter().await;
    let environment = python.ancestors().nth(2).expect("a path in bin/");
    let mut schemathesis = Command::new(&python);
    schemathesis
        .args(["-m", "schemathesis.cli", "--no-color", "--config-file"])
        .arg(folder().join(settings))
        .args(["run", &format!("{listener}/openapi.json"), "--url", listener])
        .args(["--checks", "all", "--request-timeout", "10", "--warnings", "off"])
        .args(options)
        .envs(variables.iter().copied())
        // schemathesis caches Unicode data in the working directory.
        .current_dir(environment);
    run_to_end(&format!("schemathesis ({settings})"), schemathesis, RUN_MAX).await;
}

#[tokio::test]
async fn both_listeners_serve_documents_that_are_openapi_3_1() {
    let python = interpreter().await;
    let system = testkit::shared();
    let (public, admin) = &system.gateways[0];
    for (listener, file) in [(public, "public.json"), (admin, "admin.json")] {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi").join(file);
        let mut validator = Command::new(&python);
        validator.args(["-m", "openapi_spec_validator", "--schema", "3.1"]).arg(&golden);
        run_to_end(&format!("openapi-spec-validator {file}"), validator, RUN_MAX).await;
        let served = reqwest::get(format!("{listener}/openapi.json")).await.expect("an answer");
        assert_eq!(served.headers()["content-type"], "application/json");
        assert_eq!(served.text().await.expect("text"), std::fs::read_to_string(&golden).expect("the file"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documents_can_be_read_and_tried_out_in_a_browser() {
    let gateway_args = vec!["--storefront".into()];
    let system = System::start(Shape { gateway_args, ..Shape::default() }).await;
    testkit::browser::run_journeys("docs.js", &system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_to_customers_conform_to_the_document_for_any_request() {
    let (system, client, sale) = start_selling().await;
    let customer = fresh("c");
    client.credit(&customer, "k", &json!({ "amount": 1_000_000_000u64, "currency": "KRW" })).await;
    let placed = client.order_until_answered(&sale, &customer, "k", &order_body(&[("A", 1)])).await;
    let order = placed.order_id();
    client.until_settled(&sale, &customer, &order).await;
    // The order reaches a final state, so that its streams end.
    let path = format!("/v1/sales/{sale}/orders/{order}");
    client.call(&customer, Method::DELETE, &path, None).await;
    testkit::until("the order is cancelled", async || {
        client.get(&customer, &path).await.body["status"] == "cancelled"
    })
    .await;
    let variables = [("SALE", sale.as_str()), ("ORDER", order.as_str()), ("CUSTOMER", customer.as_str())];
    run_schemathesis("public.toml", &system.gateways[0].0, &[], &variables).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_to_operators_conform_to_the_document_for_any_request() {
    let (system, client, sale) = start_selling().await;
    let customer = fresh("c");
    let placed = client.order_until_answered(&sale, &customer, "k", &order_body(&[("A", 1)])).await;
    let order = placed.order_id();
    client.until_settled(&sale, &customer, &order).await;
    // Each action has its own sale, which is already in the state to which the action leads.
    let [draft, paused, closed, rebuilt] = ["draft", "paused", "closed", "rebuilt"].map(fresh);
    let define = |sale: &str| format!("/admin/v1/sales/{sale}");
    assert_eq!(client.admin(Method::PUT, &define(&draft), Some(&sample())).await.status, 201);
    for (sale, action, state) in [(&paused, "pause", "paused"), (&closed, "close", "closed")] {
        client.open_sale(sale, sample()).await;
        client.admin(Method::POST, &format!("{}/{action}", define(sale)), None).await;
        client.until_sale(sale, state, true).await;
    }
    client.open_sale(&rebuilt, sample()).await;
    let variables = [
        ("SALE", sale.as_str()),
        ("ORDER", order.as_str()),
        ("CUSTOMER", customer.as_str()),
        ("DRAFT", draft.as_str()),
        ("PAUSED", paused.as_str()),
        ("CLOSED", closed.as_str()),
        ("REBUILT", rebuilt.as_str()),
    ];
    // The public endpoints are tested on the public listener.
    let admin_only = ["--exclude-path-regex", "^/v1/"];
    run_schemathesis("admin.toml", &system.gateways[0].1, &admin_only, &variables).await;
}
