//! What each persona does, and which responses it must receive.

use std::sync::Arc;
use std::time::Instant;

use contract::problem::Code;
use contract::wire;

use crate::customer_client::{CustomerClient, Outcome, Request};
use crate::journal::Class;
use crate::population::{Customer, Malformation, Persona, with_one_more_unit};

/// A request to repeat after the burst, and the outcome of the first one.
#[derive(Debug)]
pub struct PendingRepeat {
    request: Request,
    gateway: usize,
    first: Outcome,
}

/// Acts for one customer. Returns the request that is to be repeated after the burst, if any.
pub async fn act(
    client: Arc<CustomerClient>,
    sale: Arc<str>,
    customer: Customer,
    intended: Instant,
) -> Option<PendingRepeat> {
    let request = Request::order(&sale, &customer.name, &customer.key, customer.order.clone());
    let gateway = customer.gateway;
    match customer.persona {
        Persona::Plain => {
            client.send_with_retries(&request, gateway, intended).await;
        }
        Persona::Doubled => doubled(&client, &request, gateway, intended).await,
        Persona::Repeated => {
            let first = client.send_with_retries(&request, gateway, intended).await;
            return Some(PendingRepeat { request, gateway, first });
        }
        Persona::OtherBody => other_body(&client, &request, gateway, intended).await,
        Persona::SecondOrder => second_order(&client, &request, gateway, intended).await,
        Persona::HungUp => {
            client.send_and_hang_up(&request.with_class(Class::HungUp), gateway).await;
            client.send_with_retries(&request, gateway + 1, intended).await;
        }
        Persona::Gone => client.send_and_hang_up(&request.with_class(Class::HungUp), gateway).await,
        Persona::Malformed(fault) => malformed(&client, request, fault, gateway, intended).await,
    }
    None
}

async fn doubled(client: &CustomerClient, request: &Request, gateway: usize, intended: Instant) {
    let request = request.with_class(Class::Doubled);
    let (one, two) = tokio::join!(
        client.send_with_retries(&request, gateway, intended),
        client.send_with_retries(&request, gateway + 1, intended)
    );
    if one.response.is_accepted() && two.response.is_accepted() && one.body != two.body {
        let customer = &request.customer;
        client.stats().record_unexpected(format!("{customer}: two equal requests got two different 202s"));
    }
}

async fn other_body(client: &CustomerClient, request: &Request, gateway: usize, intended: Instant) {
    let first = client.send_with_retries(request, gateway, intended).await;
    let order = request.order.as_ref().map(with_one_more_unit);
    let other = Request { body: wire::encode_text(&order), order, ..request.with_class(Class::OtherBody) };
    let second = client.send_with_retries(&other, gateway + 1, Instant::now()).await;
    if first.response.is_accepted() {
        expect(client, &other, &second, Code::IdempotencyKeyReused);
    }
}

async fn second_order(client: &CustomerClient, request: &Request, gateway: usize, intended: Instant) {
    let first = client.send_with_retries(request, gateway, intended).await;
    let second = Request { key: Some(format!("{}-second", request.customer)), ..request.clone() };
    let outcome = client.send_with_retries(&second, gateway + 1, Instant::now()).await;
    if first.response.is_accepted() {
        expect(client, &second, &outcome, Code::DuplicateOrder);
        if outcome.response.order_id != first.response.order_id {
            let customer = &request.customer;
            client.stats().record_unexpected(format!("{customer}: duplicate_order names another order"));
        }
    }
}

async fn malformed(
    client: &CustomerClient,
    request: Request,
    fault: Malformation,
    gateway: usize,
    intended: Instant,
) {
    let sku = request.order.as_ref().and_then(|order| order.items.first()).map(|line| line.sku.clone());
    let body = fault.body(&sku.unwrap_or_default());
    let request = Request {
        order: serde_json::from_str(&body).ok(),
        body,
        key: request.key.filter(|_| fault != Malformation::NoKey),
        class: Class::Malformed,
        content_type: if fault == Malformation::WrongMediaType { "text/plain" } else { "application/json" },
        authenticated: fault != Malformation::NotSignedIn,
        ..request
    };
    let outcome = client.send_with_retries(&request, gateway, intended).await;
    expect(client, &request, &outcome, fault.code());
}

/// Sends a request again after the burst: a customer who received a 202 must receive the same bytes, whether
/// the sale is sold out or not.
pub async fn repeat(client: Arc<CustomerClient>, pending: PendingRepeat, intended: Instant) {
    let PendingRepeat { request, gateway, first } = pending;
    let outcome = client.send_with_retries(&request.with_class(Class::Repeated), gateway + 1, intended).await;
    if !first.response.is_accepted() {
        return;
    }
    let customer = &request.customer;
    if outcome.body != first.body {
        client.stats().record_unexpected(format!("{customer}: the repeated request got another body"));
    }
    if !outcome.response.replayed {
        client.stats().record_unexpected(format!("{customer}: a repeat has no Idempotency-Replayed"));
    }
}

fn expect(client: &CustomerClient, request: &Request, outcome: &Outcome, code: Code) {
    let found = outcome.response.code.as_deref();
    if found != Some(code.as_str()) || outcome.response.status != code.status() {
        client.stats().record_unexpected(format!(
            "{}: {} {found:?} instead of {} {}",
            request.customer,
            outcome.response.status,
            code.status(),
            code.as_str()
        ));
    }
}
