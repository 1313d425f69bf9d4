//! `POST /v1/payments/callback`: the payment provider reports the result of a payment. The signature authenticates the
//! report, which becomes a record in the log like any command; settlement judges it there. So it may come twice, late,
//! or after a report with another result.

use contract::ids::{OrderId, SaleId};
use contract::payment::PaymentStatus;
use contract::problem::Code;
use contract::record::{Action, PaymentOutcome, PaymentResult};
use contract::webhook::{self, PaymentCallback, Secret};
use deadpool_postgres::Pool;
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
use crate::order::hand_off::HandOff;
use crate::queries::SelectCardPayment;
use crate::read::QUERY_MAX;
use crate::sales::lease::Leases;

/// Longest reason, in bytes: it is stored with the payment and shown to its customer.
const REASON_BYTES_MAX: usize = 200;

/// What the provider reported, once the log has it. A repeat gets the same response.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RecordedCallback")]
pub(crate) struct Recorded {
    payment_id: Uuid,
    order_id: OrderId,
    sale_id: SaleId,
    result: PaymentOutcome,
}

/// What a callback needs.
#[derive(Clone, Copy)]
pub struct PaymentCallbacks<'a> {
    /// The key of the provider's signatures. Without it there is no such endpoint.
    pub secret: Option<&'a Secret>,
    /// The sales, and until when they may be acted on.
    pub leases: &'a Leases,
    /// Finds the payment.
    pub pool: &'a Pool,
    /// Appends the result to the log.
    pub hand_off: &'a HandOff,
}

/// Records the result of a payment.
pub async fn record(
    callbacks: PaymentCallbacks<'_>,
    head: &Parts,
    body: Incoming,
) -> Result<Response, Problem> {
    let secret = callbacks.secret.ok_or(Code::NotFound)?;
    let body = request_body::read_json(&head.headers, body, request_body::BYTES_MAX).await?;
    verify(secret, &head.headers, &body)?;
    let callback: PaymentCallback = request_body::parse(&body)?;
    if callback.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(Problem::because(Code::MalformedRequest, "The reason is too long."));
    }
    let view = callbacks.leases.find(callback.sale_id.as_str())?;
    let query = tokio::time::timeout(QUERY_MAX, payment_status(callbacks.pool, &callback)).await;
    let status = query.unwrap_or_else(|_| Err(Code::DatabaseUnavailable.into()))?.ok_or(Code::NotFound)?;
    let PaymentCallback { payment_id, order_id, sale_id, result, amount, currency, reason } = callback;
    if !is_applied(status, result) {
        let action = Action::PaymentResult(PaymentResult { payment_id, result, amount, currency, reason });
        command::append(callbacks.leases, callbacks.hand_off, &view, order_id, None, action).await?;
    }
    Ok(json(StatusCode::OK, &Recorded { payment_id, order_id, sale_id, result }))
}

fn verify(secret: &Secret, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let invalid = |why: webhook::VerifyError| Problem::because(Code::InvalidSignature, why.to_string());
    let single = |name: &'static str| {
        let mut values = headers.get_all(name).iter();
        match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
            (Some(text), None) => Ok(text),
            _ => Err(invalid(webhook::VerifyError::Header(name))),
        }
    };
    let signed = webhook::SignatureHeaders {
        id: single(webhook::ID)?,
        timestamp: single(webhook::TIMESTAMP)?,
        signature: single(webhook::SIGNATURE)?,
    };
    secret.verify(signed, body, walltime::now()).map_err(invalid)
}

/// Returns the status of exactly this payment; `None` if it does not exist.
async fn payment_status(pool: &Pool, callback: &PaymentCallback) -> Result<Option<PaymentStatus>, Problem> {
    let client = pool.get().await?;
    let PaymentCallback { payment_id, order_id, ref sale_id, .. } = *callback;
    let row = SelectCardPayment { payment_id, order_id, sale_id }.fetch(&client).await?;
    Ok(row.map(|row| row.status))
}

/// Returns whether this result has already been recorded and applied.
fn is_applied(status: PaymentStatus, result: PaymentOutcome) -> bool {
    match status {
        PaymentStatus::Requested => false,
        PaymentStatus::Failed => result == PaymentOutcome::Failed,
        PaymentStatus::Captured | PaymentStatus::RefundRequested | PaymentStatus::Refunded => {
            result == PaymentOutcome::Succeeded
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_result_that_is_already_applied_stays_out_of_the_log() {
        for status in PaymentStatus::ALL {
            let failed = is_applied(status, PaymentOutcome::Failed);
            let succeeded = is_applied(status, PaymentOutcome::Succeeded);
            assert_eq!(failed, status == PaymentStatus::Failed);
            assert_eq!(succeeded, !matches!(status, PaymentStatus::Failed | PaymentStatus::Requested));
        }
    }
}
