//! `POST /v1/payments/callback`: the payment provider tells what became of a payment. Its word is believed by
//! its signature, and becomes a record in the log like anybody's command; settlement judges it there. So it
//! may come twice, late, or after another that said something else.

use contract::ids::{OrderId, SaleId};
use contract::payment::PaymentStatus;
use contract::problem::Code;
use contract::record::{Action, PaymentOutcome, PaymentResult};
use contract::webhook::{self, PaymentCallback, Secret};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use process::walltime;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::command;
use crate::http::json::json;
use crate::http::problem::Problem;
use crate::http::request_body;
use crate::http::response::Response;
use crate::read::{ANSWER_MAX, sale};
use crate::state::Gateway;

/// A reason is kept with the payment and shown to its customer. In bytes.
const REASON_BYTES_MAX: usize = 200;
const PAYMENT: &str = include_str!("../queries/card_payment.sql");

/// What the provider has told, once the log has it: the same for a repeat.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecordedCallback")]
pub(crate) struct Recorded {
    payment_id: Uuid,
    order_id: OrderId,
    sale_id: SaleId,
    result: PaymentOutcome,
}

/// Takes a callback. Without a secret there is nothing here.
pub async fn take(gateway: &Gateway, head: &Parts, body: Incoming) -> Result<Response, Problem> {
    let secret = gateway.webhook_secret.as_ref().ok_or(Code::NotFound)?;
    let body = request_body::body(&head.headers, body, request_body::BODY_BYTES_MAX).await?;
    verify(secret, &head.headers, &body)?;
    let told: PaymentCallback = request_body::json(&body)?;
    if told.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(Problem::because(Code::MalformedRequest, "The reason is too long."));
    }
    let view = sale::find(gateway, told.sale_id.as_str())?;
    let asked = tokio::time::timeout(ANSWER_MAX, payment(gateway, &told)).await;
    let status = asked.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into()))?.ok_or(Code::NotFound)?;
    let PaymentCallback { payment_id, order_id, sale_id, result, amount, currency, reason } = told;
    if !is_known(status, result) {
        let payment = PaymentResult { payment_id, result, amount, currency, reason };
        command::append(gateway, &view, order_id, None, Action::PaymentResult(payment)).await?;
    }
    Ok(json(StatusCode::OK, &Recorded { payment_id, order_id, sale_id, result }))
}

fn verify(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let refused = |why: webhook::VerifyError| Problem::because(Code::InvalidSignature, why.to_string());
    let once = |name: &'static str| {
        let mut values = headers.get_all(name).iter();
        match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
            (Some(text), None) => Ok(text),
            _ => Err(refused(webhook::VerifyError::Header(name))),
        }
    };
    let signed = webhook::SignatureHeaders {
        id: once(webhook::ID)?,
        timestamp: once(webhook::TIMESTAMP)?,
        signature: once(webhook::SIGNATURE)?,
    };
    secret.verify(signed, body, walltime::now()).map_err(refused)
}

/// Where this very payment stands; `None`: there is none.
async fn payment(gateway: &Gateway, told: &PaymentCallback) -> Result<Option<PaymentStatus>, Problem> {
    let client = gateway.reads.get().await?;
    let select = client.prepare_cached(PAYMENT).await?;
    let row =
        client.query_opt(&select, &[&told.payment_id, &told.order_id.0, &told.sale_id.as_str()]).await?;
    Ok(row.and_then(|row| PaymentStatus::parse(row.get(0))))
}

/// Whether the log has this word already, and settlement has gone by it.
fn is_known(status: PaymentStatus, told: PaymentOutcome) -> bool {
    match status {
        PaymentStatus::Requested => false,
        PaymentStatus::Failed => told == PaymentOutcome::Failed,
        PaymentStatus::Captured | PaymentStatus::RefundRequested | PaymentStatus::Refunded => {
            told == PaymentOutcome::Succeeded
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_nothing_new_stays_out_of_the_log() {
        for status in PaymentStatus::ALL {
            let failed = is_known(status, PaymentOutcome::Failed);
            let succeeded = is_known(status, PaymentOutcome::Succeeded);
            assert_eq!(failed, status == PaymentStatus::Failed);
            assert_eq!(succeeded, !matches!(status, PaymentStatus::Failed | PaymentStatus::Requested));
        }
    }
}
