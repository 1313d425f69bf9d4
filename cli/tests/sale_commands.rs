//! A sale's life from the command line: defined in a file, opened, sold, closed.

mod support;

use serde_json::json;
use support::{Folder, Operator};
use testkit::client::{order_body, terms};
use testkit::{fresh, shared};

/// Returns a definition with one item.
fn definition(sale: &str, total: u64) -> String {
    format!(
        "sale_id = \"{sale}\"\ntitle = \"Mugs\"\ncurrency = \"KRW\"\n\n\
         [[items]]\nsku = \"MUG\"\nname = \"머그\"\nprice = 10000\ntotal = {total}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_defined_changed_opened_and_closed_from_the_command_line() {
    let (operator, folder, sale) = (Operator::for_system(shared()), Folder::new(), fresh("mugs"));
    let file = folder.file("mugs.toml", &definition(&sale, 5));

    let would = operator.run(&["sale", "apply", &file, "--dry-run", "--json"]).ok().json();
    assert_eq!((&would["result"], &would["dry_run"]), (&json!("created"), &json!(true)));
    assert_eq!(operator.run(&["sale", "show", &sale]).code, 4, "a dry run creates nothing");

    let created = operator.run(&["sale", "apply", &file]).ok();
    assert!(created.out.starts_with(&format!("{sale}: created\n")), "{}", created.out);
    assert!(created.out.contains("  + items.MUG.total: 5\n"), "{}", created.out);
    assert_eq!(operator.run(&["sale", "apply", &file, "--json"]).ok().json()["result"], "unchanged");

    folder.file("mugs.toml", &definition(&sale, 2));
    let changed = operator.run(&["sale", "apply", &file, "--json"]).ok().json();
    assert_eq!(changed["changes"], json!([{ "field": "items.MUG.total", "before": 5, "after": 2 }]));

    let opened = operator.run(&["sale", "open", &sale, "--wait", "--json"]).ok().json();
    assert_eq!((&opened["state"], &opened["ready"]), (&json!("open"), &json!(true)));
    let listed = operator.run(&["sale", "list"]).ok().out;
    assert!(listed.lines().any(|line| line.contains(&sale) && line.contains("open")), "{listed}");

    let client = shared().client();
    let accepted = client.order_until_answered(&sale, "alice", "k", &order_body(&[("MUG", 2)])).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    client.until_settled(&sale, "alice", &accepted.order_id()).await;
    // The total cannot be lowered below the held units.
    folder.file("mugs.toml", &definition(&sale, 1));
    let refused = operator.run(&["sale", "apply", &file, "--json"]);
    assert_eq!((refused.code, &refused.error()["problem"]["code"]), (1, &json!("stock_in_use")));

    assert_eq!(
        operator.run(&["sale", "pause", &sale, "--wait"]).ok().out,
        format!("{sale}: paused, in force\n")
    );
    let refused = client.order(&sale, "bob", "k", &order_body(&[("MUG", 1)])).await;
    assert_eq!(refused.code(), "sale_paused");
    operator.run(&["sale", "resume", &sale, "--wait"]).ok();
    let epoch = |shown: serde_json::Value| shown["epoch"].as_u64().expect("an epoch");
    let before = epoch(operator.run(&["sale", "show", &sale, "--json"]).ok().json());
    assert_eq!(operator.run(&["sale", "rebuild", &sale]).code, 2, "confirmation is required");
    let rebuilt = operator.run(&["sale", "rebuild", &sale, "--yes", "--wait", "--json"]).ok().json();
    assert!(epoch(rebuilt) > before);
    assert_eq!(operator.run(&["sale", "close", &sale]).code, 2, "confirmation is required");
    operator.run(&["sale", "close", &sale, "--yes", "--wait"]).ok();
    let again = operator.run(&["sale", "open", &sale]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(
        again.err.contains("This is not possible in the current state. The sale is closed"),
        "{}",
        again.err
    );
    assert!(again.err.contains("try: `flashsale sale show SALE`"), "{}", again.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printed_definition_can_be_applied_again() {
    let (operator, sale) = (Operator::for_system(shared()), fresh("again"));
    let mut body = terms(&[("A", 1000, Some(3)), ("B", 5, None)]);
    body["opens_at"] = json!("2027-01-31T11:00:00.000Z");
    body["discount_policies"] = json!([{ "id": "TEN", "kind": "percent", "value": 10, "max_discount": 5 }]);
    operator.run_with_input(&["sale", "apply", "-", "--sale", &sale], &body.to_string()).ok();
    for format in [&[][..], &["--json"]] {
        let shown = operator.run(&[&["sale", "show", &sale, "--definition"], format].concat()).ok().out;
        let again = operator.run_with_input(&["sale", "apply", "-", "--json"], &shown).ok().json();
        assert_eq!((&again["sale_id"], &again["result"]), (&json!(sale), &json!("unchanged")), "{shown}");
    }
    let template = operator.run(&["sale", "template"]).ok().out;
    let name = fresh("template");
    operator.run_with_input(&["sale", "apply", "-", "--sale", &name], &template).ok();
    let json = operator.run(&["sale", "template", "--json"]).ok().out;
    let again =
        operator.run_with_input(&["sale", "apply", "-", "--sale", &name, "--json"], &json).ok().json();
    assert_eq!(again["result"], "unchanged");
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_dependencies_and_sales() {
    let (operator, sale) = (Operator::for_system(shared()), fresh("status"));
    shared().client().open_sale(&sale, terms(&[("A", 1000, Some(3))])).await;
    let status = operator.run(&["status", "--json"]).ok().json();
    assert_eq!(status["ready"], true);
    for dependency in ["kafka", "postgres", "redis"] {
        assert_eq!(status["dependencies"][dependency]["up"], true, "{status}");
    }
    let sales = status["overview"]["sales"].as_array().expect("sales");
    assert!(sales.iter().any(|shown| shown["sale_id"] == sale.as_str()), "{status}");
    let text = operator.run(&["status"]).ok().out;
    assert!(text.contains("ready") && text.contains(&sale) && text.contains("lag "), "{text}");
}
