//! Dead letters: records that settlement could not apply. Operators list them and decide about them. A decision is a
//! record in the dead letter's own partition of the log, so that it is ordered among all other records; settlement
//! applies it.

use std::time::{Duration, Instant};

use contract::problem::Code;
use contract::record::{Decision, Headers, RecordType, Resolution};
use contract::timestamp::Timestamp;
use contract::wire;
use deadpool_postgres::Pool;
use hyper::StatusCode;
use hyper::http::request::Parts;
use lua::outbox::LogRecord;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::json::json;
use crate::http::pagination::Page;
use crate::http::problem::Problem;
use crate::http::query_string::parameter;
use crate::http::response::Response;
use crate::order::hand_off::HandOff;
use crate::queries::{SelectDeadLetters, SelectDeadLettersRow};
use crate::read::stored_json::decode;

/// The default number of dead letters on a page.
pub(crate) const PAGE_DEFAULT: i64 = 50;
pub(crate) const PAGE_MAX: i64 = 500;
/// The time to wait for settlement before the response is 202 instead of 200.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(30);

/// The state of a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LetterState {
    /// The units of the record are reserved until an operator decides.
    Undecided,
    /// No decision is needed: the orders of the record are stored already.
    Duplicate,
    /// The record was applied after a replay.
    Replayed,
    /// The record was discarded.
    Discarded,
}

impl LetterState {
    pub(crate) const ALL: [Self; 4] = [Self::Undecided, Self::Duplicate, Self::Replayed, Self::Discarded];

    /// Returns the name on the wire and in Postgres.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Duplicate => "duplicate",
            Self::Replayed => "replayed",
            Self::Discarded => "discarded",
        }
    }
}

/// A record of the log that settlement could not apply.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "DeadLetter")]
pub(crate) struct LetterBody {
    id: i64,
    state: LetterState,
    /// The reason as a code, such as `malformed`.
    reason: String,
    /// The reason as a sentence.
    detail: String,
    /// The result of the latest decision; `null` if there was none.
    resolution: Option<String>,
    /// The topic of the record.
    topic: String,
    partition: i32,
    offset: i64,
    /// The sale, if it could be decoded.
    sale_id: Option<String>,
    /// The epoch, if it could be decoded.
    epoch: Option<i64>,
    /// The units per SKU that are reserved for the record.
    units: BTreeMap<String, i64>,
    /// The headers of the record; binary values are `null`.
    headers: BTreeMap<String, Option<String>>,
    /// The key of the record; binary bytes are escaped.
    key: Option<String>,
    /// The value of the record; binary bytes are escaped.
    value: Option<String>,
    /// The original value of the record in base64.
    value_base64: Option<String>,
    /// When the record became a dead letter.
    at: Timestamp,
    /// When the decision was made; `null` while undecided.
    decided_at: Option<Timestamp>,
}

/// A page of dead letters, newest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeadLetters")]
pub(crate) struct LettersBody {
    dead_letters: Vec<LetterBody>,
    /// The `cursor` parameter of the next page; `null` on the last page.
    next_cursor: Option<String>,
}

/// `GET /admin/v1/dead-letters?state=&sale=&cursor=&limit=`: newest first.
pub(crate) async fn list(pool: &Pool, head: &Parts) -> Result<Response, Problem> {
    let state = parameter(head, "state")?;
    let states = LetterState::ALL.map(LetterState::as_str);
    if state.as_deref().is_some_and(|state| !states.contains(&state)) {
        let because = format!("The query parameter state must be one of {}.", states.join(", "));
        return Err(Problem::because(Code::MalformedRequest, because));
    }
    let sale = parameter(head, "sale")?;
    let Page { limit, before } = Page::parse(head, PAGE_DEFAULT, PAGE_MAX)?;
    let client = pool.get().await?;
    let query = SelectDeadLetters {
        id: None,
        state: state.as_deref(),
        in_sale: sale.as_deref(),
        before_id: before.unwrap_or(i64::MAX),
        limit: limit + 1,
    };
    let rows = query.fetch(&client).await?;
    let mut letters = rows.iter().map(letter).collect::<Result<Vec<_>, _>>()?;
    let more = letters.len() as i64 > limit;
    letters.truncate(limit as usize);
    let next = letters.last().filter(|_| more).map(|letter| letter.id.to_string());
    Ok(json(StatusCode::OK, &LettersBody { dead_letters: letters, next_cursor: next }))
}

/// `POST /admin/v1/dead-letters/{id}/{replay|discard}`: responds with 200 and the dead letter after settlement has
/// applied the decision, or with 202 before.
pub(crate) async fn decide(
    pool: &Pool,
    hand_off: &HandOff,
    id: &str,
    verdict: Resolution,
) -> Result<Response, Problem> {
    let id: i64 = id.parse().map_err(|_| Problem::from(Code::NotFound))?;
    let letter = find(pool, id).await?.ok_or(Code::NotFound)?;
    if letter.state != LetterState::Undecided {
        let because = format!("The dead letter is {}.", letter.state.as_str());
        return Err(Problem::because(Code::IllegalMove, because));
    }
    let key = letter.sale_id.as_deref().unwrap_or_default();
    let record = LogRecord {
        headers: Headers::without_epoch(RecordType::Decision),
        value: wire::encode(&Decision { dead_letter_id: id, verdict }),
    };
    hand_off.append(key, letter.partition, &record).await?;
    let started = Instant::now();
    loop {
        let now = find(pool, id).await?.ok_or(Code::NotFound)?;
        if (&now.resolution, now.state) != (&letter.resolution, letter.state) {
            return Ok(json(StatusCode::OK, &now));
        }
        if started.elapsed() >= SETTLED_WITHIN {
            return Ok(json(StatusCode::ACCEPTED, &now));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn find(pool: &Pool, id: i64) -> Result<Option<LetterBody>, Problem> {
    let client = pool.get().await?;
    let query = SelectDeadLetters { id: Some(id), state: None, in_sale: None, before_id: i64::MAX, limit: 1 };
    query.fetch(&client).await?.first().map(letter).transpose()
}

fn letter(row: &SelectDeadLettersRow) -> Result<LetterBody, Problem> {
    decode(&row.letter, "letter")
}
