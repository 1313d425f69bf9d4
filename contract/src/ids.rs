//! Identifiers. They are parsed once, where they enter the program; a value of these types is always valid.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The maximum length of the name of a sale, SKU, customer or policy, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// The maximum length of an Idempotency-Key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// The error for a name that is empty, too long, or has a character outside `[A-Za-z0-9._-]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 64 characters of A-Z a-z 0-9 . _ -")]
pub struct InvalidName;

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NAME_BYTES_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Parses a name. Fails if its length or alphabet is invalid.
            pub fn parse(text: &str) -> Result<Self, InvalidName> {
                if is_name(text) { Ok(Self(text.into())) } else { Err(InvalidName) }
            }
            /// Returns the name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::parse(text)
            }
        }
        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name!(
    /// The name of a sale.
    SaleId
);
name!(
    /// A stock keeping unit, for which stock is counted.
    Sku
);
name!(
    /// The name that the identity provider gives a customer (JWT `sub`).
    CustomerId
);
name!(
    /// The name of a discount policy of a sale.
    PolicyId
);

/// The value of the header Idempotency-Key: 1 to 128 visible ASCII characters, unique per sale and customer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Box<str>);

impl IdempotencyKey {
    /// Parses a key. Fails if its length or alphabet (RFC 5234 `VCHAR`) is invalid.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if visible && !text.is_empty() && text.len() <= IDEMPOTENCY_KEY_BYTES_MAX {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName)
        }
    }
    /// Returns the key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for IdempotencyKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
impl<'de> Deserialize<'de> for IdempotencyKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The fingerprint of (sale, customer, Idempotency-Key): 62 bits of their SHA-256, in the format of
/// the last eight bytes of an RFC 9562 UUID. It is part of the order id, so that an order is found in Redis
/// by its id alone, and a repeated key is recognized by the id of its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestFingerprint(pub [u8; 8]);

impl RequestFingerprint {
    /// Computes the fingerprint. The hash includes the lengths, so that different triples never concatenate to
    /// the same bytes.
    pub fn compute(sale: &SaleId, customer: &CustomerId, key: &IdempotencyKey) -> Self {
        let mut hash = Sha256::new();
        hash.update([sale.as_str().len() as u8, customer.as_str().len() as u8]);
        hash.update(sale.as_str());
        hash.update(customer.as_str());
        hash.update(key.as_str());
        let digest = hash.finalize();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        bytes[0] = (bytes[0] & 0x3f) | 0x80; // the UUID's variant bits
        Self(bytes)
    }
}

/// An order's id: a UUID version 7 whose last 62 bits are the [`RequestFingerprint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OrderId(pub Uuid);

impl OrderId {
    /// Creates an id from the time, twelve random bits and the request's fingerprint.
    pub fn new(unix_ms: u64, random: u16, request: RequestFingerprint) -> Self {
        let mut bytes = [0u8; 16];
        bytes[..6].copy_from_slice(&unix_ms.to_be_bytes()[2..]);
        bytes[6..8].copy_from_slice(&((random & 0x0fff) | 0x7000).to_be_bytes());
        bytes[8..].copy_from_slice(&request.0);
        Self(Uuid::from_bytes(bytes))
    }
    /// Returns the fingerprint of the request that created the order.
    pub fn request(&self) -> RequestFingerprint {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0.as_bytes()[8..]);
        RequestFingerprint(bytes)
    }
}

impl FromStr for OrderId {
    type Err = uuid::Error;
    /// Accepts only the hyphenated lower-case form, which `Display` writes: an id has one spelling.
    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        let id = Uuid::try_parse(text)?;
        if id.hyphenated().encode_lower(&mut [0; 36]) == text {
            Ok(Self(id))
        } else {
            Err(Uuid::try_parse("").expect_err("an empty string is not a UUID"))
        }
    }
}
impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The digest of a decoded request body: 64 bits of the SHA-256 of its canonical form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestDigest(pub [u8; 8]);

impl RequestDigest {
    /// Computes the digest of the canonical bytes.
    pub fn compute(canonical: &[u8]) -> Self {
        let digest = Sha256::digest(canonical);
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        Self(bytes)
    }
}
impl Serialize for RequestDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", u64::from_be_bytes(self.0)))
    }
}
impl<'de> Deserialize<'de> for RequestDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        if text.len() != 16 {
            return Err(serde::de::Error::custom("a request digest has 16 hexadecimal digits"));
        }
        u64::from_str_radix(&text, 16).map(|n| Self(n.to_be_bytes())).map_err(serde::de::Error::custom)
    }
}

/// A number per sale that increases with each rebuild of its Redis state; 0 before the first rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The sequence number of an accepted order in its sale: 1, 2, 3, … without gaps, across epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Sequence(pub u64);

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Hashes a customer into eight bytes (FNV-1a, 64 bits), for the set of customers who may hold an order.
/// A collision is harmless: it only sends a customer's request to the script, which decides exactly.
pub fn customer_hash(customer: &str) -> u64 {
    customer.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_outside_their_alphabet_or_length_are_rejected() {
        assert!(SaleId::parse("sale-2026.a_b").is_ok());
        for bad in ["", "a b", "a/b", "a{b}", "ü", &"x".repeat(65)] {
            assert_eq!(SaleId::parse(bad), Err(InvalidName), "{bad:?}");
        }
    }

    #[test]
    fn an_order_id_is_a_version_7_uuid_that_contains_its_request_fingerprint() {
        let (sale, customer) = (SaleId::parse("s").unwrap(), CustomerId::parse("c").unwrap());
        let request = RequestFingerprint::compute(&sale, &customer, &IdempotencyKey::parse("k").unwrap());
        let id = OrderId::new(1_790_000_000_000, 0xffff, request);
        assert_eq!(id.0.get_version_num(), 7);
        assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
        assert_eq!(id.request(), request);
        assert_eq!(id.to_string().parse::<OrderId>().unwrap(), id);
        assert!(id.to_string().to_uppercase().parse::<OrderId>().is_err());
    }

    #[test]
    fn a_fingerprint_depends_on_where_each_of_its_three_parts_ends() {
        let fingerprint = |sale, customer, key| {
            RequestFingerprint::compute(
                &SaleId::parse(sale).unwrap(),
                &CustomerId::parse(customer).unwrap(),
                &IdempotencyKey::parse(key).unwrap(),
            )
        };
        assert_ne!(fingerprint("a", "bc", "d"), fingerprint("ab", "c", "d"));
        assert_ne!(fingerprint("a", "b", "cd"), fingerprint("a", "bc", "d"));
        assert_eq!(fingerprint("a", "b", "c"), fingerprint("a", "b", "c"));
    }
}
