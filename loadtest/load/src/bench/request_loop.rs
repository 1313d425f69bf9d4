//! The closed loop of the benchmark: a number of connections, each with one request in flight. There is one
//! task per connection on one thread, and a request costs no more than a few digits, a write and a read.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::ids::OrderId;
use tokio::task::LocalSet;

use customers::http::{Authority, Connection};
use customers::latency::Latencies;
use customers::request::{OrderTemplate, pay_by_card};

/// The number of broken connections after which a client stops: then the server is no longer what is
/// measured.
const RECONNECTS_MAX: u32 = 5;

/// The requests of a run, their target and their duration.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The address of the server.
    pub target: Authority,
    /// The sale in the path.
    pub sale: String,
    /// The prefix of customers and keys, unique for each run.
    pub prefix: String,
    /// The number of connections.
    pub connections: usize,
    /// The time during which requests are sent.
    pub duration: Duration,
    /// The highest number of requests per second; `None`: as fast as responses arrive.
    pub rate: Option<u64>,
    /// The orders to pay, each once, instead of placing orders.
    pub payments: Option<Rc<[Payable]>>,
}

/// The id of an order that can be paid, and its customer.
pub type Payable = (OrderId, String);

/// The responses of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The number of responses within the duration, by status.
    pub responses: BTreeMap<u16, u64>,
    /// The number of all 202 responses, late ones included: these orders must be settled in the end.
    pub accepted_total: u64,
    /// The number of requests without a response.
    pub broken: u64,
    /// The latencies of responses within the duration.
    pub latencies: Latencies,
    /// The duration in seconds.
    pub seconds: f64,
}

impl Outcome {
    /// Returns the number of responses per second with a status.
    pub fn per_second(&self, status: u16) -> f64 {
        self.responses.get(&status).copied().unwrap_or(0) as f64 / self.seconds
    }
}

/// Runs the loop. `beside` runs on the same thread for the same time.
pub async fn run(plan: &Plan, beside: impl Future<Output = ()>) -> anyhow::Result<Outcome> {
    let body = r#"{"items":[{"sku":"A","quantity":1}]}"#;
    let template = OrderTemplate::new(&plan.target.host, &plan.sale, &plan.prefix, body);
    let mut connections = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        let opened = Connection::open(plan.target.address).await;
        connections.push(opened.with_context(|| format!("connecting to {}", plan.target.host))?);
    }
    let outcome =
        Rc::new(RefCell::new(Outcome { seconds: plan.duration.as_secs_f64(), ..Outcome::default() }));
    let next = Rc::new(Cell::new(0));
    let begun = Instant::now();
    let local = LocalSet::new();
    for connection in connections {
        let client = Client {
            plan: plan.clone(),
            template: template.clone(),
            next: Rc::clone(&next),
            outcome: Rc::clone(&outcome),
            begun,
        };
        local.spawn_local(client.run(connection));
    }
    if plan.payments.is_some() {
        local.await; // ends early when all orders are paid
    } else {
        tokio::join!(local, async {
            let _ = tokio::time::timeout(plan.duration, beside).await;
        });
    }
    let outcome = Rc::into_inner(outcome).map(RefCell::into_inner).context("a client is still running")?;
    Ok(Outcome { seconds: outcome.seconds.min(begun.elapsed().as_secs_f64()), ..outcome })
}

struct Client {
    plan: Plan,
    template: OrderTemplate,
    next: Rc<Cell<u64>>,
    outcome: Rc<RefCell<Outcome>>,
    begun: Instant,
}

impl Client {
    async fn run(mut self, mut connection: Connection) {
        let end = self.begun + self.plan.duration;
        let mut reconnects = 0;
        while Instant::now() < end {
            let customer = self.next.get();
            self.next.set(customer + 1);
            if let Some(rate) = self.plan.rate {
                let due = self.begun + Duration::from_secs_f64(customer as f64 / rate as f64);
                if due >= end {
                    return;
                }
                tokio::time::sleep_until(due.into()).await;
            }
            let payment = match &self.plan.payments {
                None => None,
                Some(orders) => {
                    let Some((order, customer)) = orders.get(customer as usize) else { return };
                    Some(pay_by_card(&self.plan.target.host, &self.plan.sale, customer, *order))
                }
            };
            let request = payment.as_deref().unwrap_or_else(|| self.template.for_customer(customer));
            let sent = Instant::now();
            match connection.call(request).await {
                Ok(head) => self.count(head.status, sent, end),
                Err(_) => {
                    self.outcome.borrow_mut().broken += 1;
                    reconnects += 1;
                    match Connection::open(self.plan.target.address).await {
                        Ok(opened) if reconnects <= RECONNECTS_MAX => connection = opened,
                        _ => return,
                    }
                }
            }
        }
    }

    fn count(&self, status: u16, sent: Instant, end: Instant) {
        let now = Instant::now();
        let mut outcome = self.outcome.borrow_mut();
        outcome.accepted_total += u64::from(status == 202);
        if now <= end {
            *outcome.responses.entry(status).or_default() += 1;
            outcome.latencies.record(now - sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline;

    async fn plan(rate: Option<u64>) -> Plan {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(baseline::serve(listener));
        Plan {
            target: Authority::resolve(&url).unwrap(),
            sale: "s".into(),
            prefix: "c-".into(),
            connections: 8,
            duration: Duration::from_millis(200),
            rate,
            payments: None,
        }
    }

    #[tokio::test]
    async fn every_response_within_the_duration_is_counted() {
        let beside = Cell::new(false);
        let plan = plan(None).await;
        let outcome = run(&plan, async { beside.set(true) }).await.unwrap();
        let responses = outcome.responses[&202];
        assert!(responses > 8 && outcome.broken == 0 && beside.get(), "{outcome:?}");
        assert_eq!(responses, outcome.latencies.count());
        assert!((responses..=responses + 8).contains(&outcome.accepted_total));
    }

    #[tokio::test]
    async fn a_steady_rate_is_not_exceeded() {
        let outcome = run(&plan(Some(500)).await, std::future::pending()).await.unwrap();
        assert!(outcome.accepted_total <= 100, "{outcome:?}");
    }
}
