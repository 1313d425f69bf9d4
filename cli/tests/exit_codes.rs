//! How commands end that do not do what they were asked: by exit codes that scripts can tell apart, and words that
//! tell what to do.

mod support;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;
use support::Operator;
use testkit::client::terms;
use testkit::{Forwarder, fresh, shared};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_from_a_customers_and_from_none() {
    let operator = Operator::of(shared());
    for (token, code) in
        [(None, "unauthenticated"), (Some("nonsense"), "unauthenticated"), (Some("dev:alice"), "forbidden")]
    {
        let said = Operator { token, ..operator.clone() }.run(&["sale", "list", "--json"]);
        assert_eq!(said.code, 5, "{said:?}");
        assert_eq!(said.error()["problem"]["code"], code);
        assert!(said.error()["hint"].as_str().expect("a hint").contains("ADMIN_TOKEN"));
    }
    let said = Operator { token: None, ..operator }.run(&["sale", "list"]);
    assert!(said.err.starts_with("error: ") && said.err.contains("\n  try: "), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_is_not_allowed_have_codes_of_their_own() {
    let (operator, sale) = (Operator::of(shared()), fresh("refused"));
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
        let said = operator.run(&[arguments, &["--json"]].concat());
        assert_eq!((said.code, &said.error()["kind"]), (4, &json!("not_found")), "{arguments:?}: {said:?}");
    }
    operator.fed(&["sale", "apply", "-", "--sale", &sale], &terms(&[("A", 1, Some(1))]).to_string()).ok();
    let said = operator.run(&["sale", "pause", &sale, "--json"]);
    assert_eq!((said.code, &said.error()["problem"]["code"]), (1, &json!("illegal_move")), "{said:?}");
    assert_eq!(operator.run(&["sale", "rebuild", &sale, "--yes"]).code, 1);
}

#[test]
fn wrong_usage_is_told_before_anything_is_sent() {
    let nobody = Operator { admin_url: "http://127.0.0.1:1".into(), token: None };
    for arguments in [
        &["sale", "open"][..],
        &["sale", "open", "no/name"],
        &["sale", "opne", "mugs"],
        &["orders", "list", "mugs", "--status", "lost"],
        &["wallet", "credit", "alice", "0", "KRW"],
        &["wallet", "credit", "alice", "10", "won"],
        &["--admin-url", "localhost:80", "sale", "list"],
    ] {
        assert_eq!(nobody.run(arguments).code, 2, "{arguments:?}");
        let said = nobody.run(&[arguments, &["--json"]].concat());
        assert_eq!((said.code, &said.error()["kind"]), (2, &json!("usage")), "{arguments:?}");
    }
    // A file of authorities without one is no reason to believe nobody else's word.
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    assert_eq!(nobody.run(&["--ca-file", source, "sale", "list"]).code, 2);
    let help = nobody.run(&["--help"]).ok().out;
    for code in 0..=8 {
        assert!(
            help.lines().any(|line| line.starts_with(&format!("  {code}  "))),
            "{code} is not explained:\n{help}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_away_or_hangs_is_unreachable_within_the_time_that_was_given() {
    let away = Operator { admin_url: "http://127.0.0.1:1".into(), token: Some("t") };
    let said = away.run(&["sale", "list", "--json"]);
    assert_eq!((said.code, &said.error()["kind"]), (6, &json!("unreachable")), "{said:?}");
    assert_eq!(away.run(&["status"]).code, 6);

    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let hangs =
        Operator { admin_url: format!("http://{}", silent.local_addr().expect("bound")), token: Some("t") };
    let begun = std::time::Instant::now();
    assert_eq!(hangs.run(&["sale", "list", "--timeout", "1"]).code, 6);
    // Whether it was opened is not known: that is another word than "not opened".
    let said = hangs.run(&["sale", "open", "mugs", "--timeout", "1", "--json"]);
    assert_eq!((said.code, &said.error()["kind"]), (6, &json!("outcome_unknown")), "{said:?}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn something_that_is_no_gateway_is_called_so() {
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
    let said = operator.run(&["sale", "list"]);
    assert_eq!(said.code, 6);
    assert!(said.err.contains("not understood") && said.err.contains("--admin-url"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_doubles_no_credit() {
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
    let said = crediting.join().expect("it ends").ok();
    assert_eq!(said.json()["balance"], 50_000);
    let key = said.json()["key"].as_str().expect("a key").to_owned();
    assert!(said.err.contains(&key), "whoever is interrupted has it: {}", said.err);

    let again =
        |amount| operator.run(&["wallet", "credit", &customer, amount, "KRW", "--key", &key, "--json"]);
    assert_eq!(again("50000").ok().json()["balance"], 50_000);
    let other = again("60000");
    assert_eq!((other.code, &other.error()["problem"]["code"]), (1, &json!("idempotency_key_reused")));
    assert_eq!(balance().await, Some(50_000));
}
