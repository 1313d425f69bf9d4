//! What customers do with an order once it is theirs: pay, cancel, send back, look where it stands. A command
//! that got no definite answer is sent again: it does no more the second time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use contract::ids::OrderId;
use contract::lifecycle::OrderStatus;
use contract::order::PaymentRequest;
use contract::problem::Code;
use serde::Deserialize;

use crate::answer::Answer;
use crate::request;
use crate::shop::Shop;

/// Examples kept of answers that were not as documented.
const EXAMPLES_MAX: usize = 10;

/// An order and whose it is.
#[derive(Debug, Clone)]
pub struct Owned {
    /// Of which sale.
    pub sale: std::sync::Arc<str>,
    /// Whose.
    pub customer: String,
    /// Its id.
    pub order: OrderId,
    /// What it costs.
    pub total: u64,
    /// The gateway that is asked first.
    pub gateway: usize,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `POST …/payment`.
    Pay(PaymentRequest),
    /// `DELETE …`.
    Cancel,
    /// `POST …/refund`.
    Refund,
}

impl Command {
    /// As the report calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pay(_) => "payment",
            Self::Cancel => "cancellation",
            Self::Refund => "refund",
        }
    }

    fn bytes(&self, host: &str, of: &Owned) -> Vec<u8> {
        let order = (&*of.sale, of.customer.as_str(), of.order);
        match self {
            Self::Pay(payment) => {
                let body = serde_json::to_string(payment).unwrap_or_default(); // strings always serialize
                request::about_order(host, "POST", order, "/payment", &body)
            }
            Self::Cancel => request::about_order(host, "DELETE", order, "", ""),
            Self::Refund => request::about_order(host, "POST", order, "/refund", ""),
        }
    }
}

/// What a customer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reply {
    /// The log has the command.
    Recorded,
    /// The order has come too far: it expired, or was shipped, meanwhile.
    TooLate,
    /// No definite answer, however often it was sent.
    Unanswered,
    /// Not what the interface promises.
    Unexpected,
}

impl Reply {
    /// In the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::TooLate => "came too late",
            Self::Unanswered => "without an outcome",
            Self::Unexpected => "not as documented",
        }
    }

    fn of(answer: &Answer) -> Self {
        match (answer.status, answer.code.as_deref()) {
            (202, None) => Self::Recorded,
            (409, Some(code)) if code == Code::IllegalMove.as_str() => Self::TooLate,
            _ if answer.wants_retry() => Self::Unanswered,
            _ => Self::Unexpected,
        }
    }
}

/// What was counted.
#[derive(Debug, Default)]
pub struct Replies {
    /// By command.
    pub counts: BTreeMap<(&'static str, Reply), u64>,
    /// The first that were not as documented.
    pub examples: Vec<String>,
}

impl Replies {
    /// So many of all commands.
    pub fn of(&self, reply: Reply) -> u64 {
        self.counts.iter().filter(|((_, found), _)| *found == reply).map(|(_, count)| count).sum()
    }

    /// These too.
    pub fn merge(&mut self, other: Self) {
        for (what, count) in other.counts {
            *self.counts.entry(what).or_default() += count;
        }
        let room = EXAMPLES_MAX - self.examples.len();
        self.examples.extend(other.examples.into_iter().take(room));
    }

    fn add(&mut self, command: &Command, reply: Reply, answer: &Answer) {
        *self.counts.entry((command.name(), reply)).or_default() += 1;
        if reply == Reply::Unexpected && self.examples.len() < EXAMPLES_MAX {
            let code = answer.code.as_deref().unwrap_or_default();
            self.examples.push(format!("{}: {} {code}", command.name(), answer.status));
        }
    }
}

/// A customer who has an order.
#[derive(Debug)]
pub struct FollowUp<'a> {
    shop: &'a Shop,
    replies: Replies,
}

#[derive(Deserialize)]
struct Standing {
    status: OrderStatus,
}

impl<'a> FollowUp<'a> {
    /// Through the gateways of this shop.
    pub fn new(shop: &'a Shop) -> Self {
        Self { shop, replies: Replies::default() }
    }

    /// What the customer was told.
    pub fn finish(self) -> Replies {
        self.replies
    }

    /// Sends a command until there is a definite answer, each time to the next gateway.
    pub async fn tell(&mut self, of: &Owned, command: Command) -> Reply {
        let patience = self.shop.patience();
        let mut answer = Answer::none();
        for attempt in 0..patience.attempts_max as usize {
            let pool = self.shop.gateway(of.gateway + attempt);
            let bytes = command.bytes(pool.host(), of);
            answer = match tokio::time::timeout(patience.answer_limit, pool.call(&bytes)).await {
                Ok(Ok(answered)) => Answer::read(&answered),
                Ok(Err(_)) | Err(_) => Answer::none(),
            };
            if !answer.wants_retry() {
                break;
            }
            let told = answer.retry_after_seconds;
            tokio::time::sleep(told.map_or(patience.pause, |s| Duration::from_secs(s.into()))).await;
        }
        let reply = Reply::of(&answer);
        self.replies.add(&command, reply, &answer);
        reply
    }

    /// Looks at the order, every so often, until it stands as wanted or cannot any more; at most for `limit`.
    /// Returns where it was seen last.
    pub async fn until(
        &self,
        of: &Owned,
        wanted: impl Fn(OrderStatus) -> bool,
        every: Duration,
        limit: Duration,
    ) -> Option<OrderStatus> {
        let begun = Instant::now();
        let mut seen = None;
        loop {
            seen = self.look(of).await.or(seen);
            if seen.is_some_and(|status| wanted(status) || status.is_final()) || begun.elapsed() >= limit {
                return seen;
            }
            tokio::time::sleep(every).await;
        }
    }

    async fn look(&self, of: &Owned) -> Option<OrderStatus> {
        let pool = self.shop.gateway(of.gateway);
        let order = (&*of.sale, of.customer.as_str(), of.order);
        let bytes = request::about_order(pool.host(), "GET", order, "/status", "");
        let answered = tokio::time::timeout(self.shop.patience().answer_limit, pool.call(&bytes)).await;
        let answered = answered.ok()?.ok().filter(|answered| answered.head.status == 200)?;
        serde_json::from_slice::<Standing>(&answered.body).ok().map(|standing| standing.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer::parse(status, false, Some(1), body.as_bytes())
    }

    #[test]
    fn an_answer_to_a_command_is_recorded_too_late_or_none() {
        let recorded = r#"{"order_id":"01890a5d-ac96-774b-bcce-b302099a8057","command":"pay"}"#;
        assert_eq!(Reply::of(&answer(202, recorded)), Reply::Recorded);
        assert_eq!(Reply::of(&answer(409, r#"{"code":"illegal_move"}"#)), Reply::TooLate);
        assert_eq!(Reply::of(&answer(503, r#"{"code":"log_unavailable"}"#)), Reply::Unanswered);
        assert_eq!(Reply::of(&Answer::none()), Reply::Unanswered);
        for (status, body) in [(404, r#"{"code":"not_found"}"#), (202, "{}"), (500, ""), (409, "{}")] {
            assert_eq!(Reply::of(&answer(status, body)), Reply::Unexpected, "{status} {body}");
        }
    }

    #[test]
    fn replies_are_counted_by_command_and_surprises_are_kept() {
        let mut replies = Replies::default();
        replies.add(&Command::Cancel, Reply::Recorded, &answer(202, "{}"));
        replies.add(&Command::Refund, Reply::Recorded, &answer(202, "{}"));
        replies.add(&Command::Refund, Reply::Unexpected, &answer(404, r#"{"code":"not_found"}"#));
        assert_eq!((replies.of(Reply::Recorded), replies.of(Reply::TooLate)), (2, 0));
        assert_eq!(replies.counts[&("refund", Reply::Unexpected)], 1);
        assert_eq!(replies.examples, ["refund: 404 not_found"]);
        let mut both = Replies::default();
        both.add(&Command::Cancel, Reply::Recorded, &answer(202, "{}"));
        both.merge(replies);
        assert_eq!((both.of(Reply::Recorded), both.of(Reply::Unexpected)), (3, 1));
        assert_eq!((both.counts[&("cancellation", Reply::Recorded)], both.examples.len()), (2, 1));
    }
}
