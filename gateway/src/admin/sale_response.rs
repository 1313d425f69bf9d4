//! A sale as its operator sees it: as it was defined, and what has become of it.

use contract::ids::{Epoch, SaleId};
use contract::money::Currency;
use contract::sale::{DiscountPolicy, Item, SaleState};
use contract::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A sale as its operator sees it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AdminSale")]
pub(crate) struct SaleBody {
    pub(super) sale_id: SaleId,
    /// Of the log, for as long as the sale exists.
    partition: i32,
    /// For people.
    title: String,
    pub(super) state: SaleState,
    /// Grows with each change.
    pub(super) version: u64,
    /// Grows with each rebuild of the sale's state in Redis; 0: never opened.
    pub(super) epoch: Epoch,
    /// Whether the sale's stock can be sold from right now.
    pub(super) ready: bool,
    /// Whether the gateway that answers acts by all this already.
    #[serde(skip_deserializing)]
    pub(super) in_force: bool,
    /// The epoch that settlement goes by; behind `epoch` only while a rebuild is under way.
    settled_epoch: Epoch,
    /// Whether a rebuild is due that has not begun.
    rebuild_requested: bool,
    /// The rebuild that is due or under way; `null`: none.
    rebuild: Option<Rebuild>,
    /// Of every amount in the sale.
    currency: Currency,
    /// No order before; `null`: open from the start.
    opens_at: Option<Timestamp>,
    /// No order from then on; `null`: until an operator closes it.
    closes_at: Option<Timestamp>,
    /// Live orders a customer may have at once; `null`: any number.
    max_orders_per_customer: Option<u32>,
    /// How long units are held for an unpaid order, in seconds.
    hold_seconds: u32,
    /// In the minor unit; charged below `free_delivery_from`.
    delivery_fee: u64,
    /// The amount from which delivery is free, in the minor unit; `null`: the fee is always charged.
    free_delivery_from: Option<u64>,
    discount_policies: Vec<DiscountPolicy>,
    /// With changes that take effect when the rebuild that they need is done.
    items: Vec<Item>,
}

/// A rebuild of a sale's state in Redis, from Postgres and the log. The first opening is one, too.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Rebuild {
    /// The one that it begins.
    epoch: Epoch,
    /// Where it is: `waiting`, then `begin`, `announce`, `leases`, `drain`, `barrier`, `settle`, `items`, `unlink`,
    /// `snapshot`, `scripts`, `seal`, `open`.
    step: String,
    /// Since when it is due.
    since: Timestamp,
    /// Why: `first_opening`, `operator`, `items`, `dead_letter`, `drift`, `unfinished`, or the proof by which the
    /// state counts as lost.
    reason: String,
    /// Orders that have been written into Redis so far, once it is at that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    orders_written: Option<u64>,
}

/// All sales, drafts too, by name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminSales")]
pub(crate) struct SalesBody {
    pub(super) sales: Vec<SaleBody>,
}
