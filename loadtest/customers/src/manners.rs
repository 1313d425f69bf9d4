//! How each kind of customer acts, and what they must be told.

use std::sync::Arc;
use std::time::Instant;

use contract::problem::Code;

use crate::crowd::{Customer, Malformation, Manner, another};
use crate::journal::Class;
use crate::shop::{Request, Shop, Told};

/// A request to repeat once the burst is over, and what it was told.
#[derive(Debug)]
pub struct ToRepeat {
    request: Request,
    gateway: usize,
    first: Told,
}

/// Acts for one customer. Returns what is to be sent again after the burst.
pub async fn act(shop: Arc<Shop>, sale: Arc<str>, customer: Customer, intended: Instant) -> Option<ToRepeat> {
    let request = Request::order(&sale, &customer.name, &customer.key, customer.order.clone());
    let gateway = customer.gateway;
    match customer.manner {
        Manner::Plain => {
            shop.ask(&request, gateway, intended).await;
        }
        Manner::Doubled => doubled(&shop, &request, gateway, intended).await,
        Manner::Repeated => {
            let first = shop.ask(&request, gateway, intended).await;
            return Some(ToRepeat { request, gateway, first });
        }
        Manner::OtherBody => other_body(&shop, &request, gateway, intended).await,
        Manner::SecondOrder => second_order(&shop, &request, gateway, intended).await,
        Manner::HungUp => {
            shop.hang_up(&request.because(Class::HungUp), gateway).await;
            shop.ask(&request, gateway + 1, intended).await;
        }
        Manner::Gone => shop.hang_up(&request.because(Class::HungUp), gateway).await,
        Manner::Malformed(fault) => malformed(&shop, request, fault, gateway, intended).await,
    }
    None
}

async fn doubled(shop: &Shop, request: &Request, gateway: usize, intended: Instant) {
    let twice = request.because(Class::Doubled);
    let (one, two) =
        tokio::join!(shop.ask(&twice, gateway, intended), shop.ask(&twice, gateway + 1, intended));
    if one.answer.is_accepted() && two.answer.is_accepted() && one.body != two.body {
        shop.tally().unexpected(format!("{}: two equal requests, two different 202s", request.customer));
    }
}

async fn other_body(shop: &Shop, request: &Request, gateway: usize, intended: Instant) {
    let first = shop.ask(request, gateway, intended).await;
    let order = request.order.as_ref().map(another);
    let other = Request {
        body: serde_json::to_string(&order).unwrap_or_default(),
        order,
        ..request.because(Class::OtherBody)
    };
    let told = shop.ask(&other, gateway + 1, Instant::now()).await;
    if first.answer.is_accepted() {
        expect(shop, &other, &told, Code::IdempotencyKeyReused);
    }
}

async fn second_order(shop: &Shop, request: &Request, gateway: usize, intended: Instant) {
    let first = shop.ask(request, gateway, intended).await;
    let second = Request { key: Some(format!("{}-second", request.customer)), ..request.clone() };
    let told = shop.ask(&second, gateway + 1, Instant::now()).await;
    if first.answer.is_accepted() {
        expect(shop, &second, &told, Code::DuplicateOrder);
        if told.answer.order_id != first.answer.order_id {
            shop.tally().unexpected(format!("{}: duplicate_order names another order", request.customer));
        }
    }
}

async fn malformed(shop: &Shop, request: Request, fault: Malformation, gateway: usize, intended: Instant) {
    let sku = request.order.as_ref().and_then(|order| order.items.first()).map(|line| line.sku.clone());
    let body = fault.body(&sku.unwrap_or_default());
    let request = Request {
        order: serde_json::from_str(&body).ok(),
        body,
        key: request.key.filter(|_| fault != Malformation::NoKey),
        class: Class::Malformed,
        content_type: if fault == Malformation::WrongMediaType { "text/plain" } else { "application/json" },
        signed_in: fault != Malformation::NotSignedIn,
        ..request
    };
    let told = shop.ask(&request, gateway, intended).await;
    expect(shop, &request, &told, fault.code());
}

/// After the burst: whoever had a 202 gets the same bytes again, sold out or not.
pub async fn repeat(shop: Arc<Shop>, to_repeat: ToRepeat, intended: Instant) {
    let ToRepeat { request, gateway, first } = to_repeat;
    let told = shop.ask(&request.because(Class::Repeated), gateway + 1, intended).await;
    if !first.answer.is_accepted() {
        return;
    }
    if told.body != first.body {
        shop.tally().unexpected(format!("{}: the repeated request got another body", request.customer));
    }
    if !told.answer.replayed {
        shop.tally().unexpected(format!("{}: no Idempotency-Replayed on a repeat", request.customer));
    }
}

fn expect(shop: &Shop, request: &Request, told: &Told, code: Code) {
    let found = told.answer.code.as_deref();
    if found != Some(code.as_str()) || told.answer.status != code.status() {
        shop.tally().unexpected(format!(
            "{}: {} {found:?} instead of {} {}",
            request.customer,
            told.answer.status,
            code.status(),
            code.as_str()
        ));
    }
}
