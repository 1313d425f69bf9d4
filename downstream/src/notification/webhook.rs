//! The channel to another system: a signed webhook as specified by Standard Webhooks.

use std::time::Duration;

use contract::event::order_event_type;
use contract::lifecycle::Language;
use contract::webhook::{self, Secret};
use process::walltime;
use reqwest::{StatusCode, header};
use serde_json::json;

use super::channel::Channel;
use super::message::Notification;
use crate::group::Failure;
use crate::tls::{TlsError, TrustStore, cause_chain};

/// The time limit of a request. A receiver should do longer work after its response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Sends signed webhooks to one receiver.
pub struct WebhookChannel {
    http: reqwest::Client,
    url: String,
    secret: Secret,
}

impl WebhookChannel {
    /// Creates a channel that sends to this URL and signs with this secret.
    pub fn new(url: String, secret: Secret, trust: &TrustStore) -> Result<Self, TlsError> {
        Ok(Self { http: trust.http_client(TIMEOUT)?.build()?, url, secret })
    }
}

impl Channel for WebhookChannel {
    const NAME: &'static str = "webhook";

    fn has_recipient(&self, _: Notification<'_>) -> bool {
        true
    }

    fn message_id(&self, event_id: &str) -> String {
        format!("order_{event_id}")
    }

    async fn send(&self, message_id: &str, notification: Notification<'_>) -> Result<(), Failure> {
        let Notification { kind, event, details } = notification;
        let text = |language| {
            let text = notification.render(language);
            json!({ "subject": text.subject, "text": text.body })
        };
        let body = json!({
            "type": order_event_type(event.status),
            "timestamp": event.time,
            "data": {
                "kind": kind.as_str(),
                "order": event,
                "sale_title": details.sale,
                "tracking_number": details.tracking,
                "courier": details.courier,
                "en": text(Language::English),
                "ko": text(Language::Korean),
            },
        })
        .to_string();
        let at_seconds = walltime::now().0 / 1000;
        let request = self
            .http
            .post(&self.url)
            .header(header::CONTENT_TYPE, "application/json")
            .header(webhook::ID, message_id)
            .header(webhook::TIMESTAMP, at_seconds)
            .header(webhook::SIGNATURE, self.secret.sign(message_id, at_seconds, body.as_bytes()))
            .body(body);
        let failed = |error| Failure::Retriable(format!("webhook: {}", cause_chain(error)));
        let response = request.send().await.map_err(failed)?;
        match response.status() {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(Failure::Poison("webhook: the receiver is gone (410)".into())),
            status => Err(Failure::Retriable(format!("webhook: the receiver answered {status}"))),
        }
    }
}
