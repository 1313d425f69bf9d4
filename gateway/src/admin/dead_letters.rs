//! Records that settlement could not apply: listed, and decided about. A decision is a record in the log of
//! the letter's own partition, so that it has its place among everything else; settlement carries it out.

use std::time::{Duration, Instant};

use contract::problem::Code;
use contract::record::{Decision, Headers, RecordType, Verdict};
use hyper::StatusCode;
use hyper::http::request::Parts;
use lua::outbox::LogRecord;
use serde_json::{Value, json};

use crate::read::{Page, page, parameter};
use crate::respond::{self, Answer, Problem};
use crate::run::Gateway;

const DEAD_LETTERS: &str = include_str!("../../queries/dead_letters.sql");
const STATES: [&str; 4] = ["undecided", "duplicate", "replayed", "discarded"];
/// Letters on a page.
const PAGE_DEFAULT: i64 = 50;
const PAGE_MAX: i64 = 500;
/// How long to wait for settlement before answering 202 instead of 200.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// `GET /admin/v1/dead-letters?state=&sale=&cursor=&limit=`: newest first.
pub(super) async fn list(gateway: &Gateway, head: &Parts) -> Result<Answer, Problem> {
    let state = parameter(head, "state")?;
    if state.as_deref().is_some_and(|state| !STATES.contains(&state)) {
        let because = format!("The parameter state is one of {}.", STATES.join(", "));
        return Err(Problem::because(Code::MalformedRequest, because));
    }
    let sale = parameter(head, "sale")?;
    let Page { limit, before } = page(head, PAGE_DEFAULT, PAGE_MAX)?;
    let before = before.unwrap_or(i64::MAX);
    let client = gateway.reads.get().await?;
    let statement = client.prepare_cached(DEAD_LETTERS).await?;
    let rows = client.query(&statement, &[&None::<i64>, &state, &sale, &before, &(limit + 1)]).await?;
    let mut letters: Vec<Value> = rows.iter().map(|row| row.get(0)).collect();
    let more = letters.len() as i64 > limit;
    letters.truncate(limit as usize);
    let next = letters.last().filter(|_| more).map(|letter| letter["id"].to_string());
    Ok(respond::json(StatusCode::OK, &json!({ "dead_letters": letters, "next_cursor": next })))
}

/// `POST /admin/v1/dead-letters/{id}/{replay|discard}`: 200 with the letter once settlement has carried it
/// out, 202 while it has not.
pub(super) async fn decide(gateway: &Gateway, id: &str, verdict: Verdict) -> Result<Answer, Problem> {
    let id: i64 = id.parse().map_err(|_| Problem::from(Code::NotFound))?;
    let letter = one(gateway, id).await?.ok_or(Code::NotFound)?;
    if letter["state"] != "undecided" {
        let because = format!("The dead letter is {}.", letter["state"].as_str().unwrap_or_default());
        return Err(Problem::because(Code::IllegalMove, because));
    }
    let partition = letter["partition"].as_i64().and_then(|p| i32::try_from(p).ok()).ok_or(Code::Internal)?;
    let key = letter["sale_id"].as_str().unwrap_or_default();
    let record = LogRecord {
        headers: Headers::without_epoch(RecordType::Decision),
        // A struct of numbers and a name always serializes.
        value: serde_json::to_vec(&Decision { dead_letter_id: id, verdict }).unwrap_or_default(),
    };
    gateway.hand_off.append(key, partition, &record).await?;
    let begun = Instant::now();
    loop {
        let now = one(gateway, id).await?.ok_or(Code::NotFound)?;
        if now["resolution"] != letter["resolution"] || now["state"] != letter["state"] {
            return Ok(respond::json(StatusCode::OK, &now));
        }
        if begun.elapsed() >= SETTLED_WITHIN {
            return Ok(respond::json(StatusCode::ACCEPTED, &now));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn one(gateway: &Gateway, id: i64) -> Result<Option<Value>, Problem> {
    let client = gateway.reads.get().await?;
    let statement = client.prepare_cached(DEAD_LETTERS).await?;
    let none = None::<String>;
    let row = client.query_opt(&statement, &[&Some(id), &none, &none, &i64::MAX, &1i64]).await?;
    Ok(row.map(|row| row.get(0)))
}
