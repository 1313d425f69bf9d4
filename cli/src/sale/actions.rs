//! Actions on a sale (open, pause, resume, close, rebuild), and waiting until they are in force.

use std::time::{Duration, Instant};

use contract::ids::SaleId;
use contract::sale::SaleState;
use reqwest::Method;
use serde_json::{Map, Value};

use crate::api::{Api, Call, Idempotency};
use crate::arguments::{ActionOptions, ConfirmedActionOptions};
use crate::confirm;
use crate::failure::Failure;
use crate::output::OutputFormat;

/// The interval at which a sale is polled until an action is in force.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// An action that changes a sale's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Open,
    Pause,
    Resume,
    Close,
    Rebuild,
}

impl Action {
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
            Self::Close => format!("Close {sale} permanently? It cannot be opened again."),
            _ => format!(
                "Rebuild {sale}? It accepts no orders until the rebuild is done, which takes a second or two."
            ),
        }
    }

    /// Changes of state are idempotent; a second rebuild would interrupt selling again.
    fn idempotency(self) -> Idempotency {
        if self == Self::Rebuild { Idempotency::NotIdempotent } else { Idempotency::Idempotent }
    }

    /// Returns whether the action is in force. `response` is the response to the request, `now` is the sale as it is.
    fn is_in_force(self, response: &Map<String, Value>, now: &Map<String, Value>) -> bool {
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
                    let epoch = |value: &Value| value.as_u64().unwrap_or_default();
                    let wanted = response.get("rebuild").map_or(0, |rebuild| epoch(&rebuild["epoch"]));
                    is_ready && now.get("epoch").is_some_and(|now| epoch(now) >= wanted)
                }
            }
    }
}

/// Requires confirmation of an action.
pub(super) fn confirm(action: Action, options: &ConfirmedActionOptions) -> Result<(), Failure> {
    confirm::require(options.yes, &action.question(&options.action.sale))
}

/// Runs an action after confirmation.
pub(super) async fn run_confirmed(
    api: &Api,
    output: OutputFormat,
    action: Action,
    options: &ConfirmedActionOptions,
) -> Result<(), Failure> {
    confirm(action, options)?;
    run(api, output, action, &options.action).await
}

/// Sends the request, and waits until the action is in force if `--wait` is set. Returns the sale as it is then.
pub(super) async fn perform(
    api: &Api,
    action: Action,
    options: &ActionOptions,
) -> Result<Map<String, Value>, Failure> {
    let path = ["admin", "v1", "sales", options.sale.as_str(), action.path()];
    let response: Map<String, Value> = api.call(Call::new(Method::POST, &path, action.idempotency())).await?;
    match options.wait {
        None => Ok(response),
        Some(seconds) => {
            until_in_force(api, &options.sale, action, &response, Duration::from_secs_f64(seconds)).await
        }
    }
}

/// Runs an action and prints the result.
pub(super) async fn run(
    api: &Api,
    output: OutputFormat,
    action: Action,
    options: &ActionOptions,
) -> Result<(), Failure> {
    let sale = &options.sale;
    let result = perform(api, action, options).await?;
    let has_waited = options.wait.is_some();
    output.print(&result, || {
        let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let next = match (action, has_waited) {
            (Action::Rebuild, false) => ", rebuild requested (--wait waits until it is done)",
            (Action::Rebuild, true) => ", rebuilt",
            (_, false) => " (stored; --wait waits until it is in force)",
            (_, true) => ", in force",
        };
        format!("{sale}: {}{next}\n", text("state"))
    })
}

async fn until_in_force(
    api: &Api,
    sale: &SaleId,
    action: Action,
    response: &Map<String, Value>,
    limit: Duration,
) -> Result<Map<String, Value>, Failure> {
    let begun = Instant::now();
    loop {
        let now = super::fetch(api, sale).await?;
        if action.is_in_force(response, &now) {
            return Ok(now);
        }
        if begun.elapsed() >= limit {
            let step = now.get("rebuild").and_then(|rebuild| rebuild["step"].as_str());
            let step = step.map_or_else(String::new, |step| format!("; its rebuild is at step {step}"));
            let seconds = limit.as_secs_f64();
            return Err(Failure::NotInForce(format!(
                "{sale}: the change is not in force after {seconds} seconds{step}"
            )));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
