//! Webhook signatures: Standard Webhooks 1.0 (<https://www.standardwebhooks.com>) with symmetric secrets. A valid
//! signature proves that the sender has the secret and sent the message recently.
//!
//! The signature covers the id, the time and the body as they are on the wire, so nothing is parsed before the
//! signature has been verified.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use crate::ids::{OrderId, SaleId};
use crate::money::Currency;
use crate::record::PaymentOutcome;
use crate::timestamp::Timestamp;

/// The header with the message's id, which is the same for every delivery of a message.
pub const ID: &str = "webhook-id";
/// The header with the time of this delivery, in seconds since 1970.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with one or more signatures, separated by spaces: one for each secret that is valid now.
pub const SIGNATURE: &str = "webhook-signature";
/// How much a message's time may differ from the receiver's, in either direction, in seconds.
pub const TOLERANCE_SECONDS: u64 = 300;

/// The prefix of a secret's text, before the base64.
const PREFIX: &str = "whsec_";
/// The valid lengths of a secret in bytes, as the standard recommends.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// The version of symmetric signatures.
const VERSION: &str = "v1";

/// A shared secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// The error for a text that is not a valid secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a webhook secret is `whsec_` and the base64 of 24 to 64 bytes")]
pub struct InvalidSecret;

/// The reason why a message cannot be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header is missing or malformed.
    #[error("the header {0} is missing or malformed")]
    Header(&'static str),
    /// The message's time is too far in the past or future; it may be a replay.
    #[error("the message's time is more than {TOLERANCE_SECONDS} s from now")]
    Time,
    /// No signature matches the secret and the message.
    #[error("no signature matches")]
    Signature,
}

/// The signature headers of one message.
#[derive(Debug, Clone, Copy)]
pub struct SignatureHeaders<'a> {
    /// The value of [`ID`].
    pub id: &'a str,
    /// The value of [`TIMESTAMP`].
    pub timestamp: &'a str,
    /// The value of [`SIGNATURE`].
    pub signature: &'a str,
}

impl Secret {
    /// Parses a secret of the form `whsec_…`.
    pub fn parse(text: &str) -> Result<Self, InvalidSecret> {
        let bytes = text.strip_prefix(PREFIX).and_then(|base64| STANDARD.decode(base64).ok());
        bytes.filter(|bytes| SECRET_BYTES.contains(&bytes.len())).map(Self).ok_or(InvalidSecret)
    }

    /// Returns the value of [`SIGNATURE`] for a message that is sent at `at_seconds`, in seconds since 1970.
    pub fn sign(&self, id: &str, at_seconds: u64, body: &[u8]) -> String {
        let code = self.code(id, &at_seconds.to_string(), body).finalize();
        format!("{VERSION},{}", STANDARD.encode(code.into_bytes()))
    }

    /// Verifies that the sender of a message has this secret and sent the message recently.
    pub fn verify(
        &self,
        headers: SignatureHeaders<'_>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), VerifyError> {
        if headers.id.is_empty() {
            return Err(VerifyError::Header(ID));
        }
        let at: u64 = headers.timestamp.parse().map_err(|_| VerifyError::Header(TIMESTAMP))?;
        if at.abs_diff(now.0 / 1000) > TOLERANCE_SECONDS {
            return Err(VerifyError::Time);
        }
        let code = self.code(headers.id, headers.timestamp, body);
        let matches = headers.signature.split(' ').any(|signature| {
            let Some((VERSION, base64)) = signature.split_once(',') else { return false };
            // Compares in constant time, so that the duration does not reveal how much of a guess was right.
            STANDARD.decode(base64).is_ok_and(|tag| code.clone().verify_slice(&tag).is_ok())
        });
        if matches { Ok(()) } else { Err(VerifyError::Signature) }
    }

    fn code(&self, id: &str, timestamp: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut code = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes a key of any length");
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            code.update(part);
        }
        code
    }
}

impl std::str::FromStr for Secret {
    type Err = InvalidSecret;
    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        Self::parse(text)
    }
}

// The secret must not appear in logs.
impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The body of the payment provider's callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PaymentCallback {
    /// The payment.
    pub payment_id: Uuid,
    /// The order.
    pub order_id: OrderId,
    /// The sale.
    pub sale_id: SaleId,
    /// Whether the money was captured.
    pub result: PaymentOutcome,
    /// The amount, in the minor unit.
    #[serde(deserialize_with = "crate::number::whole")]
    pub amount: u64,
    /// The currency of the amount.
    pub currency: Currency,
    /// The payment provider's reason for a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    // The test vector of the standard's own libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: u64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn verify(headers: SignatureHeaders<'_>, body: &[u8], now_seconds: u64) -> Result<(), VerifyError> {
        Secret::parse(SECRET).unwrap().verify(headers, body, Timestamp(now_seconds * 1000))
    }

    fn headers(signature: &str) -> SignatureHeaders<'_> {
        SignatureHeaders { id: ID, timestamp: "1614265330", signature }
    }

    #[test]
    fn signatures_match_the_test_vector_of_the_standard() {
        assert_eq!(Secret::parse(SECRET).unwrap().sign(ID, AT, BODY), SIGNATURE);
        assert_eq!(verify(headers(SIGNATURE), BODY, AT), Ok(()));
    }

    #[test]
    fn one_of_several_signatures_is_enough_and_none_is_not() {
        let other = Secret::parse("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").unwrap().sign(ID, AT, BODY);
        assert_eq!(verify(headers(&format!("{other} v1a,AAAA {SIGNATURE}")), BODY, AT), Ok(()));
        let unversioned = SIGNATURE.strip_prefix("v1,").unwrap();
        for wrong in [other.as_str(), "", "v1,", "v1", unversioned, &SIGNATURE.replace("v1", "v2")] {
            assert_eq!(verify(headers(wrong), BODY, AT), Err(VerifyError::Signature), "{wrong:?}");
        }
        let cut = &SIGNATURE[..SIGNATURE.len() - 5];
        assert_eq!(verify(headers(&format!("{cut}=")), BODY, AT), Err(VerifyError::Signature));
    }

    #[test]
    fn a_change_of_anything_that_is_signed_is_detected() {
        assert_eq!(verify(headers(SIGNATURE), br#"{"test": 2432232315}"#, AT), Err(VerifyError::Signature));
        let other_id = SignatureHeaders { id: "msg_other", ..headers(SIGNATURE) };
        assert_eq!(verify(other_id, BODY, AT), Err(VerifyError::Signature));
        let other_time = SignatureHeaders { timestamp: "1614265331", ..headers(SIGNATURE) };
        assert_eq!(verify(other_time, BODY, AT), Err(VerifyError::Signature));
    }

    #[test]
    fn messages_older_or_newer_than_five_minutes_are_refused() {
        for now in [AT - TOLERANCE_SECONDS, AT + TOLERANCE_SECONDS] {
            assert_eq!(verify(headers(SIGNATURE), BODY, now), Ok(()));
        }
        for now in [AT - TOLERANCE_SECONDS - 1, AT + TOLERANCE_SECONDS + 1, 0] {
            assert_eq!(verify(headers(SIGNATURE), BODY, now), Err(VerifyError::Time));
        }
        for timestamp in ["", "yesterday", "-1", "1614265330.5"] {
            let refused = verify(SignatureHeaders { timestamp, ..headers(SIGNATURE) }, BODY, AT);
            assert_eq!(refused, Err(VerifyError::Header(super::TIMESTAMP)), "{timestamp:?}");
        }
    }

    #[test]
    fn secrets_have_one_format_and_are_not_printed() {
        assert_eq!(format!("{:?}", Secret::parse(SECRET).unwrap()), "Secret(…)");
        for wrong in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_!"] {
            assert_eq!(Secret::parse(wrong), Err(InvalidSecret), "{wrong:?}");
        }
    }
}
