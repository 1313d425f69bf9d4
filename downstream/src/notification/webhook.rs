//! The channel to another system: a signed webhook, as Standard Webhooks describe it.

use std::time::Duration;

use contract::event::{OrderEvent, order_event_type};
use contract::lifecycle::Language;
use contract::webhook::{self, Secret};
use process::walltime;
use reqwest::{StatusCode, header, redirect};
use serde_json::json;

use super::message::{About, Kind, write};
use crate::group::Failure;

/// The receiver has so long; what takes longer it should do after its answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where webhooks go.
pub struct Webhook {
    http: reqwest::Client,
    url: String,
    secret: Secret,
}

impl Webhook {
    /// To this address.
    pub fn new(url: String, secret: Secret) -> Result<Self, reqwest::Error> {
        // A redirect would send the message to whom nobody has configured.
        let http = reqwest::Client::builder().timeout(TIMEOUT).redirect(redirect::Policy::none());
        Ok(Self { http: http.build()?, url, secret })
    }

    /// Tells; the id is the same at every try.
    pub async fn send(&self, id: &str, kind: Kind, event: &OrderEvent, about: &About) -> Result<(), Failure> {
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
        // Not with its URL, which may carry a secret.
        let answer = request.send().await.map_err(|error| retriable(&error.without_url()))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(Failure::Poison("the webhook's receiver is gone (410)".into())),
            status => Err(Failure::Retriable(format!("the webhook's receiver answered {status}"))),
        }
    }
}

fn retriable(error: &dyn std::error::Error) -> Failure {
    let mut text = format!("webhook: {error}");
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    Failure::Retriable(text)
}
