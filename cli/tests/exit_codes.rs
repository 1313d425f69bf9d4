//! Failed commands end with exit codes that scripts can distinguish, and with messages that say what to do.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;
use support::Operator;
use testkit::client::terms;
use testkit::control::Timing;
use testkit::{Forwarder, fresh, shared};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_a_customers_token_and_no_token_are_distinguished() {
    let operator = Operator::for_system(shared());
    for (token, code) in
        [(None, "unauthenticated"), (Some("nonsense"), "unauthenticated"), (Some("dev:alice"), "forbidden")]
    {
        let finished = Operator { token, ..operator.clone() }.run(&["sale", "list", "--json"]);
        assert_eq!(finished.code, 5, "{finished:?}");
        assert_eq!(finished.error()["problem"]["code"], code);
        assert!(finished.error()["hint"].as_str().expect("a hint").contains("ADMIN_TOKEN"));
    }
    let finished = Operator { token: None, ..operator }.run(&["sale", "list"]);
    assert!(finished.err.starts_with("error: ") && finished.err.contains("\n  try: "), "{}", finished.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn not_found_and_not_allowed_have_different_exit_codes() {
    let (operator, sale) = (Operator::for_system(shared()), fresh("refused"));
    let order = "0199b1de-0000-7000-8000-000000000000";
    for arguments in [
        &["sale", "show", &sale][..],
        &["sale", "open", &sale],
        &["sale", "report", &sale],
        &["inventory", &sale],
        &["orders", "list", &sale],
        &["orders", "show", &sale, order],
        &["dead-letters", "replay", "999999999"],
    ] {
        let finished = operator.run(&[arguments, &["--json"]].concat());
        assert_eq!(
            (finished.code, &finished.error()["kind"]),
            (4, &json!("not_found")),
            "{arguments:?}: {finished:?}"
        );
    }
    operator
        .run_with_input(&["sale", "apply", "-", "--sale", &sale], &terms(&[("A", 1, Some(1))]).to_string())
        .ok();
    let finished = operator.run(&["sale", "pause", &sale, "--json"]);
    assert_eq!(
        (finished.code, &finished.error()["problem"]["code"]),
        (1, &json!("illegal_move")),
        "{finished:?}"
    );
    assert_eq!(operator.run(&["sale", "rebuild", &sale, "--yes"]).code, 1);
}

#[test]
fn wrong_usage_is_reported_before_anything_is_sent() {
    let offline = Operator { admin_url: "http://127.0.0.1:1".into(), token: None };
    for arguments in [
        &["sale", "open"][..],
        &["sale", "open", "no/name"],
        &["sale", "opne", "mugs"],
        &["orders", "list", "mugs", "--status", "lost"],
        &["wallet", "credit", "alice", "0", "KRW"],
        &["wallet", "credit", "alice", "10", "won"],
        &["--admin-url", "localhost:80", "sale", "list"],
    ] {
        assert_eq!(offline.run(arguments).code, 2, "{arguments:?}");
        let finished = offline.run(&[arguments, &["--json"]].concat());
        assert_eq!((finished.code, &finished.error()["kind"]), (2, &json!("usage")), "{arguments:?}");
    }
    // A CA file without a certificate is an error; falling back to the system's CAs would hide it.
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert_eq!(offline.run(&["--ca-file", source, "sale", "list"]).code, 2);
    let help = offline.run(&["--help"]).ok().out;
    for code in 0..=8 {
        assert!(
            help.lines().any(|line| line.starts_with(&format!("  {code}  "))),
            "{code} is not explained:\n{help}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_down_or_hangs_is_unreachable_within_the_timeout() {
    let down = Operator { admin_url: "http://127.0.0.1:1".into(), token: Some("t") };
    let finished = down.run(&["sale", "list", "--json"]);
    assert_eq!((finished.code, &finished.error()["kind"]), (6, &json!("unreachable")), "{finished:?}");
    assert_eq!(down.run(&["status"]).code, 6);

    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let hangs =
        Operator { admin_url: format!("http://{}", silent.local_addr().expect("bound")), token: Some("t") };
    let begun = std::time::Instant::now();
    hangs.run(&["--help"]).ok();
    let control = begun.elapsed();
    let begun = std::time::Instant::now();
    assert_eq!(hangs.run(&["sale", "list", "--timeout", "1"]).code, 6);
    // It is unknown whether the sale was opened, which is reported differently from "not opened".
    let finished = hangs.run(&["sale", "open", "mugs", "--timeout", "1", "--json"]);
    assert_eq!((finished.code, &finished.error()["kind"]), (6, &json!("outcome_unknown")), "{finished:?}");
    Timing { took: begun.elapsed(), control }
        .assert_within(Duration::from_secs(10), "two timeouts of one second");
}

#[test]
fn a_server_that_is_no_gateway_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
        }
    });
    let operator = Operator { admin_url: format!("http://{address}"), token: Some("t") };
    let finished = operator.run(&["sale", "list"]);
    assert_eq!(finished.code, 6);
    assert!(
        finished.err.contains("unexpected response") && finished.err.contains("--admin-url"),
        "{}",
        finished.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_credits_only_once() {
    let (client, customer) = (shared().client(), fresh("rich"));
    let (way, admin_url) = Forwarder::start_for_url(&format!("{}/", shared().gateways[0].1)).await;
    let operator = Operator { admin_url, token: Some("dev-admin") };
    way.hold_responses();
    let crediting = std::thread::spawn({
        let (operator, customer) = (operator.clone(), customer.clone());
        move || operator.run(&["wallet", "credit", &customer, "50000", "KRW", "--json"])
    });
    let balance = async || client.get(&customer, "/v1/wallet").await.body["balance"].as_u64();
    testkit::until("the credit is stored", async || balance().await == Some(50_000)).await;
    way.cut();
    way.mend();
    let finished = crediting.join().expect("it ends").ok();
    assert_eq!(finished.json()["balance"], 50_000);
    let key = finished.json()["key"].as_str().expect("a key").to_owned();
    assert!(finished.err.contains(&key), "an interrupted user has the key: {}", finished.err);

    let again =
        |amount| operator.run(&["wallet", "credit", &customer, amount, "KRW", "--key", &key, "--json"]);
    assert_eq!(again("50000").ok().json()["balance"], 50_000);
    let other = again("60000");
    assert_eq!((other.code, &other.error()["problem"]["code"]), (1, &json!("idempotency_key_reused")));
    assert_eq!(balance().await, Some(50_000));
}
