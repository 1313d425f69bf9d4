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
    /// A heartbeat of a gateway.
    Heartbeat(Heartbeat),
    /// The settled position of a partition.
    Position(Position),
    /// A deleted key, or a kind of message that a later version writes; to be skipped.
    Other,
}

/// The error for a message with the key of a known kind whose value does not match.
#[derive(Debug, thiserror::Error)]
#[error("undecodable message under the key {key:?}: {source}")]
pub struct UndecodableMessage {
    key: String,
    source: serde_json::Error,
}

/// Decodes one message by its key.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<SalesMessage, UndecodableMessage> {
    let key = String::from_utf8_lossy(key);
    let Some(value) = value else { return Ok(SalesMessage::Other) };
    let undecodable = |source| UndecodableMessage { key: key.to_string(), source };
    if key.starts_with(HEARTBEAT_PREFIX) {
        wire::decode(value).map(SalesMessage::Heartbeat).map_err(undecodable)
    } else if key.starts_with(POSITION_PREFIX) {
        wire::decode(value).map(SalesMessage::Position).map_err(undecodable)
    } else if key.contains('/') {
        wire::decode(value).map(|sale| SalesMessage::Sale(Box::new(sale))).map_err(undecodable)
    } else {
        Ok(SalesMessage::Other)
    }
}
