//! Open, pause, resume, close, rebuild; and waiting until the gateway acts by it.

use std::time::{Duration, Instant};

use contract::ids::SaleId;
use contract::sale::SaleState;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::api::{Api, Call, Repeat};
use crate::arguments::{Act, Sure};
use crate::confirm;
use crate::failure::Failure;
use crate::output::Reader;

/// Between two looks at a sale that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A change of a sale's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    Open,
    Pause,
    Resume,
    Close,
    Rebuild,
}

impl Move {
    fn path(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Close => "close",
            Self::Rebuild => "rebuild",
        }
    }

    fn question(self, sale: &SaleId) -> String {
        match self {
            Self::Close => format!("Close {sale} for good? It cannot be opened again."),
            _ => format!("Rebuild {sale}? It takes no orders until that is done, a second or two."),
        }
    }

    /// A repetition finds the state as it should be; a second rebuild would stop selling once more.
    fn repeat(self) -> Repeat {
        if self == Self::Rebuild { Repeat::Counts } else { Repeat::Harmless }
    }

    /// Whether it has come about, by what the server tells of the sale. `told`: what it answered to the request.
    fn is_done(self, told: &Map<String, Value>, now: &Map<String, Value>) -> bool {
        let state = |wanted: SaleState| now.get("state").and_then(Value::as_str) == Some(wanted.as_str());
        let is_ready =
            now.get("ready") == Some(&Value::Bool(true)) && now.get("rebuild").is_none_or(Value::is_null);
        let in_force = now.get("in_force").is_none_or(|in_force| in_force == true);
        in_force
            && match self {
                Self::Open | Self::Resume => state(SaleState::Open) && is_ready,
                Self::Pause => state(SaleState::Paused),
                Self::Close => state(SaleState::Closed),
                Self::Rebuild => {
                    let epoch = |of: &Value| of.as_u64().unwrap_or_default();
                    let wanted = told.get("rebuild").map_or(0, |rebuild| epoch(&rebuild["epoch"]));
                    is_ready && now.get("epoch").is_some_and(|now| epoch(now) >= wanted)
                }
            }
    }
}

/// Asks about a move.
pub(super) fn confirm(to: Move, sure: &Sure) -> Result<(), Failure> {
    confirm::ask(sure.yes, &to.question(&sure.act.sale))
}

/// A move that is asked about first.
pub(super) async fn asked(api: &Api, reader: Reader, to: Move, sure: &Sure) -> Result<(), Failure> {
    confirm(to, sure)?;
    act(api, reader, to, &sure.act).await
}

/// Carries out a move, and waits for it if told to; returns the sale as it is then.
pub(super) async fn done(api: &Api, to: Move, act: &Act) -> Result<Map<String, Value>, Failure> {
    let path = ["admin", "v1", "sales", act.sale.as_str(), to.path()];
    let told: Map<String, Value> = api.call(Call::new(Method::POST, &path, to.repeat())).await?;
    match act.wait {
        None => Ok(told),
        Some(seconds) => until_done(api, &act.sale, to, &told, Duration::from_secs_f64(seconds)).await,
    }
}

/// Carries out a move and tells what became of it.
pub(super) async fn act(api: &Api, reader: Reader, to: Move, act: &Act) -> Result<(), Failure> {
    let sale = &act.sale;
    let shown = done(api, to, act).await?;
    let waited = act.wait.is_some();
    reader.told(&shown, || {
        let text = |name: &str| shown.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let next = match (to, waited) {
            (Move::Rebuild, false) => ", its rebuild is asked for (--wait waits for it)",
            (Move::Rebuild, true) => ", rebuilt",
            (_, false) => " (stored; --wait waits until the gateway acts by it)",
            (_, true) => ", in force",
        };
        format!("{sale}: {}{next}\n", text("state"))
    })
}

async fn until_done(
    api: &Api,
    sale: &SaleId,
    to: Move,
    told: &Map<String, Value>,
    limit: Duration,
) -> Result<Map<String, Value>, Failure> {
    let begun = Instant::now();
    loop {
        let now = super::existing(api, sale).await?;
        if to.is_done(told, &now) {
            return Ok(now);
        }
        if begun.elapsed() >= limit {
            let step = now.get("rebuild").and_then(|rebuild| rebuild["step"].as_str());
            let step = step.map_or_else(String::new, |step| format!("; its rebuild is at the step {step}"));
            let seconds = limit.as_secs_f64();
            return Err(Failure::Late(format!("{sale} is not in force within {seconds} seconds{step}")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
