//! The topic `sales`: how Postgres' word reaches the gateways, how they show that they heard it, and how far
//! each partition of the log is settled.
//!
//! A sale's message stands under the key `sale/epoch`, so that a publisher that has fallen asleep and
//! writes an old epoch again cannot compact the newest one away. A gateway's heartbeat stands under
//! `gateway:name`, a partition's position under `partition:number`; names of sales contain neither `/` nor `:`.

use serde::{Deserialize, Serialize};

use crate::ids::{Epoch, SaleId};
use crate::sale::{SaleState, SaleTerms};
use crate::timestamp::Timestamp;

/// A sale, as gateways sell it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SalePublication {
    /// Which sale.
    pub sale_id: SaleId,
    /// The partition of `orders` that all its records go to: given once, never a hash.
    pub partition: i32,
    /// What the operator wants.
    pub state: SaleState,
    /// Grows with each change; gateways never go back in (epoch, version).
    pub version: u64,
    /// The rebuild this state of Redis comes from.
    pub epoch: Epoch,
    /// Whether that rebuild is complete.
    pub ready: bool,
    /// What is sold, and for how much.
    pub terms: SaleTerms,
    /// The scripts of the epoch; present when ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<ScriptDigests>,
}

impl SalePublication {
    /// The message's key.
    pub fn key(&self) -> String {
        format!("{}/{}", self.sale_id, self.epoch)
    }
    /// What gateways order publications by.
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

/// A gateway's sign of life. What the log holds before it, the gateway has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Its name, unique among running gateways.
    pub gateway: String,
    /// Sales whose Redis state it found lost, with the epoch it looked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<(SaleId, Epoch)>,
}

impl Heartbeat {
    /// The message's key.
    pub fn key(&self) -> String {
        format!("{HEARTBEAT_PREFIX}{}", self.gateway)
    }
}

const HEARTBEAT_PREFIX: &str = "gateway:";

/// How far a partition of the log is settled, by the word of its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Which partition of `orders`.
    pub partition: i32,
    /// The next offset to settle.
    pub next_offset: i64,
    /// Everything that was appended before is settled. An owner that stands still lets it stand still.
    pub settled_until: Timestamp,
}

impl Position {
    /// The message's key.
    pub fn key(&self) -> String {
        format!("{POSITION_PREFIX}{}", self.partition)
    }
}

const POSITION_PREFIX: &str = "partition:";

/// A message of the topic.
#[derive(Debug, Clone, PartialEq)]
pub enum SalesMessage {
    /// A sale.
    Sale(Box<SalePublication>),
    /// A gateway lives.
    Heartbeat(Heartbeat),
    /// A partition is settled so far.
    Position(Position),
    /// A deleted key, or a kind that a later version writes: to be passed over.
    Other,
}

/// A message that claims to be of a known kind and is not.
#[derive(Debug, thiserror::Error)]
#[error("undecodable message under the key {key:?}: {source}")]
pub struct UndecodableMessage {
    key: String,
    source: serde_json::Error,
}

/// Reads one message by its key.
pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<SalesMessage, UndecodableMessage> {
    let key = String::from_utf8_lossy(key);
    let Some(value) = value else { return Ok(SalesMessage::Other) };
    let undecodable = |source| UndecodableMessage { key: key.to_string(), source };
    if key.starts_with(HEARTBEAT_PREFIX) {
        serde_json::from_slice(value).map(SalesMessage::Heartbeat).map_err(undecodable)
    } else if key.starts_with(POSITION_PREFIX) {
        serde_json::from_slice(value).map(SalesMessage::Position).map_err(undecodable)
    } else if key.contains('/') {
        serde_json::from_slice(value).map(|sale| SalesMessage::Sale(Box::new(sale))).map_err(undecodable)
    } else {
        Ok(SalesMessage::Other)
    }
}
