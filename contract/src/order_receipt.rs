//! The receipt that Redis keeps of an accepted order. It suffices to repeat the 202 byte for byte, and to
//! distinguish a retry from a reused Idempotency-Key. `reserve.lua` packs its sixty bytes from two parts that the
//! gateway prepares and from values that only the script knows.
//!
//! ```text
//! 0        16       24       29          35            59     60
//! | id     | digest | seq    | accepted  | terms       | flag |
//! ```
//! All numbers are big endian. Flag: [`LIVE`] or [`CANCELLED`].

use crate::ids::{OrderId, RequestDigest, Sequence};
use crate::order::Amounts;
use crate::timestamp::Timestamp;
use uuid::Uuid;

/// The size of one receipt, in bytes.
pub const BYTES: usize = 60;
/// The size of [`terms`], in bytes.
pub const TERMS_BYTES: usize = 24;
/// The flag of an order that counts against the customer's limit.
pub const LIVE: u8 = b'L';
/// The flag of a cancelled order: its 202 is still replayed, but the order no longer counts.
pub const CANCELLED: u8 = b'C';

/// The receipt of an accepted order in Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the field names are self-explanatory
pub struct OrderReceipt {
    pub id: OrderId,
    pub digest: RequestDigest,
    pub sequence: Sequence,
    pub accepted_at: Timestamp,
    pub hold_seconds: u32,
    pub amounts: Amounts,
    pub live: bool,
}

/// Packs the id and the digest, which the gateway knows before the script decides.
pub fn identity(id: OrderId, digest: RequestDigest) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(id.0.as_bytes());
    bytes[16..].copy_from_slice(&digest.0);
    bytes
}

/// Packs the terms that a repeated 202 contains: hold (4 bytes), subtotal (7), discount (7), delivery fee (6).
pub fn terms(hold_seconds: u32, amounts: &Amounts) -> [u8; TERMS_BYTES] {
    let mut bytes = [0; TERMS_BYTES];
    bytes[..4].copy_from_slice(&hold_seconds.to_be_bytes());
    bytes[4..11].copy_from_slice(&amounts.subtotal.to_be_bytes()[1..]);
    bytes[11..18].copy_from_slice(&amounts.discount.to_be_bytes()[1..]);
    bytes[18..24].copy_from_slice(&amounts.delivery_fee.to_be_bytes()[2..]);
    bytes
}

fn be(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

impl OrderReceipt {
    /// Decodes a receipt. Returns `None` unless it has exactly [`BYTES`] bytes and a known flag.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
        Some(Self {
            id: OrderId(Uuid::from_slice(&bytes[..16]).ok()?),
            digest: RequestDigest(bytes[16..24].try_into().ok()?),
            sequence: Sequence(be(&bytes[24..29])),
            accepted_at: Timestamp(be(&bytes[29..35])),
            hold_seconds: be(&bytes[35..39]) as u32,
            amounts: Amounts {
                subtotal: be(&bytes[39..46]),
                discount: be(&bytes[46..53]),
                delivery_fee: be(&bytes[53..59]),
            },
            live: match bytes[59] {
                LIVE => true,
                CANCELLED => false,
                _ => return None,
            },
        })
    }

    /// Packs the receipt as `reserve.lua` does; used by rebuilds.
    pub fn encode(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..24].copy_from_slice(&identity(self.id, self.digest));
        bytes[24..29].copy_from_slice(&self.sequence.0.to_be_bytes()[3..]);
        bytes[29..35].copy_from_slice(&self.accepted_at.0.to_be_bytes()[2..]);
        bytes[35..59].copy_from_slice(&terms(self.hold_seconds, &self.amounts));
        bytes[59] = if self.live { LIVE } else { CANCELLED };
        bytes
    }

    /// Returns the time at which the hold on the units expires.
    pub fn hold_expires_at(&self) -> Timestamp {
        self.accepted_at.plus_seconds(u64::from(self.hold_seconds))
    }
}
