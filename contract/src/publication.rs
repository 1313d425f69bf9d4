//! The topic `sales`: settlement publishes the sales in Postgres to the gateways and how far each partition of the
//! log is settled; the gateways publish heartbeats, which prove that they have read the topic.
//!
//! A sale's message has the key `sale/epoch`, so that a publisher that was suspended and publishes an old epoch
//! again cannot cause compaction to remove the newest one. A gateway's heartbeat has the key `gateway:name`, a
//! partition's position `partition:number`; names of sales contain neither `/` nor `:`.

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, SaleId};
use crate::sale::{SaleState, SaleTerms};
use crate::timestamp::Timestamp;
use crate::wire;

/// The published definition and state of a sale, by which the gateways sell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SalePublication {
    /// The sale.
    pub sale_id: SaleId,
    /// The partition of `orders` for all records of the sale. It is assigned once and does not depend on a hash.
    pub partition: i32,
    /// The state that the operator has set.
    pub state: SaleState,
    /// The version, which increases with each change. Gateways never apply a lower (epoch, version).
    pub version: u64,
    /// The epoch: the rebuild that wrote the current Redis state.
    pub epoch: Epoch,
    /// Whether the rebuild of the epoch is complete.
    pub ready: bool,
    /// The items, prices and limits of the sale.
    pub terms: SaleTerms,
    /// The scripts of the epoch; present if `ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<ScriptDigests>,
    /// The version of this format that a reader must know, so that it does not misread the sale. Members that may be
    /// ignored do not raise it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub requires: u32,
}

/// The newest version of [`SalePublication`] that this program can read.
pub const FORMAT_VERSION: u32 = 0;

#[allow(clippy::trivially_copy_pass_by_ref)] // serde passes a reference
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl SalePublication {
    /// Returns the message's key.
    pub fn key(&self) -> String {
        format!("{}/{}", self.sale_id, self.epoch)
    }
    /// Returns the rank by which gateways order the publications of a sale.
    pub fn rank(&self) -> (Epoch, u64) {
        (self.epoch, self.version)
    }
}

/// SHA-1 digests of an epoch's scripts, as EVALSHA takes them. The fields are named after the files in
/// `lua/scripts`; some have an older name on the wire and in Postgres.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)] // named after the files
pub struct ScriptDigests {
    pub reserve: String,
    #[serde(rename = "look")]
    pub read_stock: String,
    #[serde(rename = "find")]
    pub find_orders: String,
    #[serde(rename = "change")]
    pub change_totals: String,
    #[serde(rename = "forget")]
    pub ack_outbox: String,
    pub release: String,
}

/// The heartbeat of a gateway. A gateway that reads its own heartbeat has read everything before it in the topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// The gateway's name, unique among running gateways.
    pub gateway: String,
    /// Sales whose Redis state the gateway found lost, with the expected epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<(SaleId, Epoch)>,
}

impl Heartbeat {
    /// Returns the message's key.
    pub fn key(&self) -> String {
        format!("{HEARTBEAT_PREFIX}{}", self.gateway)
    }
}

const HEARTBEAT_PREFIX: &str = "gateway:";

/// How far a partition of the log is settled, as published by the partition's owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The partition of `orders`.
    pub partition: i32,
    /// The next offset to settle.
    pub next_offset: i64,
    /// All records that were appended before this time are settled. It does not advance while the owner is stalled.
    pub settled_until: Timestamp,
}

impl Position {
    /// Returns the message's key.
    pub fn key(&self) -> String {
        format!("{POSITION_PREFIX}{}", self.partition)
    }
}

const POSITION_PREFIX: &str = "partition:";

/// A message of the topic `sales`.
#[derive(Debug, Clone, PartialEq)]
pub enum SalesMessage {
    /// A sale.
    Sale(Box<SalePublication>),
    /// A sale that this version cannot read. It must not be sold by an earlier publication.
    Unreadable(UnreadablePublication),
    /// A heartbeat of a gateway.
    Heartbeat(Heartbeat),
    /// The settled position of a partition.
    Position(Position),
    /// A deleted key, or a kind of message that a later version writes; to be skipped.
    Other,
}

/// What is known about a publication whose value cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadablePublication {
    /// The sale, from the key.
    pub sale_id: SaleId,
    /// The epoch, from the key.
    pub epoch: Epoch,
    /// The version, if the value contains one.
    pub version: Option<u64>,
    /// Why the value cannot be read.
    pub why: String,
}

/// Where a sale's version is, whatever else its publication contains.
#[derive(Deserialize)]
struct Version {
    version: u64,
}

/// The error for a message under a key that cannot be decoded, or for a heartbeat or position that does not match.
#[derive(Debug, thiserror::Error)]
pub enum UndecodableMessage {
    /// The value does not match the kind of message that the key announces.
    #[error("undecodable message under the key {key:?}: {source}")]
    Value {
        /// The message's key.
        key: String,
        /// Why it does not match.
        source: serde_json::Error,
    },
    /// The key is that of a sale, but does not contain the sale and the epoch.
    #[error("undecodable key of a sale: {key:?}")]
    Key {
        /// The message's key.
        key: String,
    },
}

/// Decodes one message by its key.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<SalesMessage, UndecodableMessage> {
    let key = String::from_utf8_lossy(key);
    let Some(value) = value else { return Ok(SalesMessage::Other) };
    let undecodable = |source| UndecodableMessage::Value { key: key.to_string(), source };
    if key.starts_with(HEARTBEAT_PREFIX) {
        wire::decode(value).map(SalesMessage::Heartbeat).map_err(undecodable)
    } else if key.starts_with(POSITION_PREFIX) {
        wire::decode(value).map(SalesMessage::Position).map_err(undecodable)
    } else if let Some((sale, epoch)) = key.split_once('/') {
        let (Ok(sale), Ok(epoch)) = (SaleId::parse(sale), epoch.parse()) else {
            return Err(UndecodableMessage::Key { key: key.to_string() });
        };
        Ok(decode_sale(sale, Epoch(epoch), value))
    } else {
        Ok(SalesMessage::Other)
    }
}

/// Decodes a publication. If the value cannot be read, the key identifies the sale that must not be sold.
fn decode_sale(sale_id: SaleId, epoch: Epoch, value: &[u8]) -> SalesMessage {
    let why = match wire::decode::<SalePublication>(value) {
        Ok(sale) if sale.requires > FORMAT_VERSION => {
            format!("it requires format version {}, this program reads {FORMAT_VERSION}", sale.requires)
        }
        Ok(sale) if (&sale.sale_id, sale.epoch) != (&sale_id, epoch) => "it is under another key".to_owned(),
        Ok(sale) => return SalesMessage::Sale(Box::new(sale)),
        Err(error) => error.to_string(),
    };
    let version = wire::decode::<Version>(value).ok().map(|value| value.version);
    SalesMessage::Unreadable(UnreadablePublication { sale_id, epoch, version, why })
}
