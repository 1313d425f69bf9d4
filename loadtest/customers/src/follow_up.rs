//! What customers do after an order was accepted: pay, cancel, request a refund, poll the status. A command
//! without a definite response is sent again: commands are idempotent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::ids::OrderId;
use contract::lifecycle::OrderStatus;
use contract::order::PaymentRequest;
use contract::problem::Code;
use contract::wire;
use serde::Deserialize;

use crate::customer_client::CustomerClient;
use crate::request;
use crate::response::Response;

/// The number of examples kept of responses that were not as documented.
const EXAMPLES_MAX: usize = 10;

/// An accepted order and its customer.
#[derive(Debug, Clone)]
pub struct CustomerOrder {
    /// The sale's id.
    pub sale: Arc<str>,
    /// The customer's id.
    pub customer: String,
    /// The order's id.
    pub order: OrderId,
    /// The total of the order.
    pub total: u64,
    /// The number of the gateway that is called first.
    pub gateway: usize,
}

/// A command about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Pays the order (`POST …/payment`).
    Pay(PaymentRequest),
    /// Cancels the order (`DELETE …`).
    Cancel,
    /// Requests a refund (`POST …/refund`).
    Refund,
}

impl Command {
    /// Returns the name for reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pay(_) => "payment",
            Self::Cancel => "cancellation",
            Self::Refund => "refund",
        }
    }

    fn render(&self, host: &str, target: &CustomerOrder) -> Vec<u8> {
        let order = (&*target.sale, target.customer.as_str(), target.order);
        match self {
            Self::Pay(payment) => {
                let body = wire::encode_text(payment);
                request::for_order(host, "POST", order, "/payment", &body)
            }
            Self::Cancel => request::for_order(host, "DELETE", order, "", ""),
            Self::Refund => request::for_order(host, "POST", order, "/refund", ""),
        }
    }
}

/// The result of a command, as the customer sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandResult {
    /// The command is in the log.
    Recorded,
    /// The order's status does not allow the command any more: it has expired or was shipped.
    TooLate,
    /// There was no definite response after all retries.
    Unresolved,
    /// The response is not one that the interface promises.
    Unexpected,
}

impl CommandResult {
    /// Returns the description for reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::TooLate => "too late",
            Self::Unresolved => "without an outcome",
            Self::Unexpected => "not as documented",
        }
    }

    fn from_response(response: &Response) -> Self {
        match (response.status, response.code.as_deref()) {
            (202, None) => Self::Recorded,
            (409, Some(code)) if code == Code::IllegalMove.as_str() => Self::TooLate,
            _ if response.should_retry() => Self::Unresolved,
            _ => Self::Unexpected,
        }
    }
}

/// The counts of commands.
#[derive(Debug, Default)]
pub struct CommandStats {
    /// The number of commands by name and result.
    pub counts: BTreeMap<(&'static str, CommandResult), u64>,
    /// The first responses that were not as documented.
    pub examples: Vec<String>,
}

impl CommandStats {
    /// Returns the number of commands with a result.
    pub fn count(&self, result: CommandResult) -> u64 {
        self.counts.iter().filter(|((_, found), _)| *found == result).map(|(_, count)| count).sum()
    }

    /// Adds the counts of other commands.
    pub fn merge(&mut self, other: Self) {
        for (key, count) in other.counts {
            *self.counts.entry(key).or_default() += count;
        }
        let remaining = EXAMPLES_MAX - self.examples.len();
        self.examples.extend(other.examples.into_iter().take(remaining));
    }

    fn add(&mut self, command: &Command, result: CommandResult, response: &Response) {
        *self.counts.entry((command.name(), result)).or_default() += 1;
        if result == CommandResult::Unexpected && self.examples.len() < EXAMPLES_MAX {
            let code = response.code.as_deref().unwrap_or_default();
            self.examples.push(format!("{}: {} {code}", command.name(), response.status));
        }
    }
}

/// A customer who sends commands about an accepted order.
#[derive(Debug)]
pub struct FollowUp<'a> {
    client: &'a CustomerClient,
    stats: CommandStats,
}

#[derive(Deserialize)]
struct StatusBody {
    status: OrderStatus,
}

impl<'a> FollowUp<'a> {
    /// Creates a customer who uses the client's gateways.
    pub fn new(client: &'a CustomerClient) -> Self {
        Self { client, stats: CommandStats::default() }
    }

    /// Returns the counts of the commands.
    pub fn into_stats(self) -> CommandStats {
        self.stats
    }

    /// Sends a command until there is a definite response, each time to the next gateway.
    pub async fn send(&mut self, target: &CustomerOrder, command: Command) -> CommandResult {
        let policy = self.client.retry_policy();
        let mut response = Response::missing();
        for attempt in 0..policy.attempts_max as usize {
            let pool = self.client.gateway(target.gateway + attempt);
            let bytes = command.render(pool.host(), target);
            response = match tokio::time::timeout(policy.response_limit, pool.call(&bytes)).await {
                Ok(Ok(response)) => Response::from_http(&response),
                Ok(Err(_)) | Err(_) => Response::missing(),
            };
            if !response.should_retry() {
                break;
            }
            tokio::time::sleep(policy.pause_after(&response)).await;
        }
        let result = CommandResult::from_response(&response);
        self.stats.add(&command, result, &response);
        result
    }

    /// Polls the order until it has a wanted or a final status, or until `limit` has passed. Returns the last
    /// status received.
    pub async fn wait_for_status(
        &self,
        target: &CustomerOrder,
        wanted: impl Fn(OrderStatus) -> bool,
        every: Duration,
        limit: Duration,
    ) -> Option<OrderStatus> {
        let begun = Instant::now();
        let mut last = None;
        loop {
            last = self.fetch_status(target).await.or(last);
            if last.is_some_and(|status| wanted(status) || status.is_final()) || begun.elapsed() >= limit {
                return last;
            }
            tokio::time::sleep(every).await;
        }
    }

    async fn fetch_status(&self, target: &CustomerOrder) -> Option<OrderStatus> {
        let pool = self.client.gateway(target.gateway);
        let order = (&*target.sale, target.customer.as_str(), target.order);
        let bytes = request::for_order(pool.host(), "GET", order, "/status", "");
        let limit = self.client.retry_policy().response_limit;
        let response = tokio::time::timeout(limit, pool.call(&bytes)).await.ok()?.ok()?;
        if response.head.status != 200 {
            return None;
        }
        serde_json::from_slice::<StatusBody>(&response.body).ok().map(|body| body.status)
    }
}

/// Returns whether an order has left the warehouse, so that it can be refunded but not cancelled.
pub fn is_shipped(status: OrderStatus) -> bool {
    matches!(status, OrderStatus::Shipped | OrderStatus::InTransit | OrderStatus::Delivered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        Response::parse(status, false, Some(1), body.as_bytes())
    }

    #[test]
    fn a_command_is_recorded_too_late_unresolved_or_unexpected() {
        let result = |response: &Response| CommandResult::from_response(response);
        let recorded = r#"{"order_id":"01890a5d-ac96-774b-bcce-b302099a8057","command":"pay"}"#;
        assert_eq!(result(&response(202, recorded)), CommandResult::Recorded);
        assert_eq!(result(&response(409, r#"{"code":"illegal_move"}"#)), CommandResult::TooLate);
        assert_eq!(result(&response(503, r#"{"code":"log_unavailable"}"#)), CommandResult::Unresolved);
        assert_eq!(result(&Response::missing()), CommandResult::Unresolved);
        for (status, body) in [(404, r#"{"code":"not_found"}"#), (202, "{}"), (500, ""), (409, "{}")] {
            assert_eq!(result(&response(status, body)), CommandResult::Unexpected, "{status} {body}");
        }
    }

    #[test]
    fn commands_are_counted_by_name_and_unexpected_responses_are_kept() {
        let mut stats = CommandStats::default();
        stats.add(&Command::Cancel, CommandResult::Recorded, &response(202, "{}"));
        stats.add(&Command::Refund, CommandResult::Recorded, &response(202, "{}"));
        stats.add(&Command::Refund, CommandResult::Unexpected, &response(404, r#"{"code":"not_found"}"#));
        assert_eq!((stats.count(CommandResult::Recorded), stats.count(CommandResult::TooLate)), (2, 0));
        assert_eq!(stats.counts[&("refund", CommandResult::Unexpected)], 1);
        assert_eq!(stats.examples, ["refund: 404 not_found"]);
        let mut both = CommandStats::default();
        both.add(&Command::Cancel, CommandResult::Recorded, &response(202, "{}"));
        both.merge(stats);
        assert_eq!((both.count(CommandResult::Recorded), both.count(CommandResult::Unexpected)), (3, 1));
        assert_eq!((both.counts[&("cancellation", CommandResult::Recorded)], both.examples.len()), (2, 1));
    }
}
