//! The channel to another system: a signed webhook, as Standard Webhooks describe it.

use std::time::Duration;

use contract::event::{OrderEvent, order_event_type};
use contract::lifecycle::Language;
use contract::webhook::{self, Secret};
use process::walltime;
use reqwest::{StatusCode, header};
use serde_json::json;

use super::message::{MessageKind, OrderDetails, write};
use crate::group::Failure;
use crate::tls::{TlsError, TrustStore, why};

/// The receiver has so long; what takes longer it should do after its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where webhooks go.
pub struct WebhookChannel {
    http: reqwest::Client,
    url: String,
    secret: Secret,
}

impl WebhookChannel {
    /// To this address.
    pub fn new(url: String, secret: Secret, trust: &TrustStore) -> Result<Self, TlsError> {
        Ok(Self { http: trust.http(TIMEOUT)?.build()?, url, secret })
    }

    /// Tells; the id is the same at every try.
    pub async fn send(
        &self,
        id: &str,
        kind: MessageKind,
        event: &OrderEvent,
        about: &OrderDetails,
    ) -> Result<(), Failure> {
        let words = |language| {
            let words = write(kind, language, event, about);
            json!({ "subject": words.subject, "text": words.text })
        };
        let body = json!({
            "type": order_event_type(event.status),
            "timestamp": event.time,
            "data": {
                "kind": kind.as_str(),
                "order": event,
                "sale_title": about.sale,
                "tracking_number": about.tracking,
                "courier": about.courier,
                "en": words(Language::English),
                "ko": words(Language::Korean),
            },
        })
        .to_string();
        let at_seconds = walltime::now().0 / 1000;
        let request = self
            .http
            .post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(webhook::ID, id)
            .header(webhook::TIMESTAMP, at_seconds)
            .header(webhook::SIGNATURE, self.secret.sign(id, at_seconds, body.as_bytes()))
            .body(body);
        let failed = |error| Failure::Retriable(format!("webhook: {}", why(error)));
        let answer = request.send().await.map_err(failed)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(Failure::Poison("the webhook's receiver is gone (410)".into())),
            status => Err(Failure::Retriable(format!("the webhook's receiver answered {status}"))),
        }
    }
}
