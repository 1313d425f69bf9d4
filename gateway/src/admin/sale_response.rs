//! The response body of a sale in the admin API: its definition and its current state.

use contract::ids::{Epoch, SaleId};
use contract::money::Currency;
use contract::sale::{DiscountPolicy, Item, SaleState};
use contract::timestamp::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A sale with its definition and its current state, for operators.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "AdminSale")]
pub(crate) struct SaleBody {
    pub(super) sale_id: SaleId,
    /// The sale's partition of the log, which never changes.
    partition: i32,
    /// The title for people.
    title: String,
    pub(super) state: SaleState,
    /// The version, which increases with each change.
    pub(super) version: u64,
    /// The epoch, which increases with each rebuild of the sale's state in Redis; 0 means that the sale was never opened.
    pub(super) epoch: Epoch,
    /// Whether the sale's state in Redis is ready for orders.
    pub(super) ready: bool,
    /// Whether the responding gateway already applies this definition and state.
    #[serde(skip_deserializing)]
    pub(super) in_force: bool,
    /// The epoch that settlement has reached; lower than `epoch` only during a rebuild.
    settled_epoch: Epoch,
    /// Whether a rebuild is requested that has not started.
    rebuild_requested: bool,
    /// The rebuild that is requested or in progress; `null` if there is none.
    rebuild: Option<Rebuild>,
    /// The currency of every amount in the sale.
    currency: Currency,
    /// The start of the window; `null` means no lower bound.
    opens_at: Option<Timestamp>,
    /// The end of the window; `null` means until an operator closes the sale.
    closes_at: Option<Timestamp>,
    /// The maximum number of live orders per customer; `null` means unlimited.
    max_orders_per_customer: Option<u32>,
    /// The time for which units are held for an unpaid order, in seconds.
    hold_seconds: u32,
    /// The delivery fee in the minor unit, charged below `free_delivery_from`.
    delivery_fee: u64,
    /// The amount from which delivery is free, in the minor unit; `null` means that the fee is always charged.
    free_delivery_from: Option<u64>,
    discount_policies: Vec<DiscountPolicy>,
    /// The items, including changes that take effect when the required rebuild is complete.
    items: Vec<Item>,
}

/// A rebuild of a sale's state in Redis, from Postgres and the log. The first opening is a rebuild, too.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Rebuild {
    /// The epoch that the rebuild starts.
    epoch: Epoch,
    /// The current step: `waiting`, then `begin`, `announce`, `leases`, `drain`, `barrier`, `settle`, `items`, `unlink`,
    /// `snapshot`, `scripts`, `seal`, `open`.
    step: String,
    /// When the rebuild was requested.
    since: Timestamp,
    /// The reason: `first_opening`, `operator`, `items`, `dead_letter`, `drift`, `unfinished`, or the proof that the
    /// state is lost.
    reason: String,
    /// The number of orders written to Redis so far; absent before that step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u64")]
    orders_written: Option<u64>,
}

/// All sales including drafts, by name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminSales")]
pub(crate) struct SalesBody {
    pub(super) sales: Vec<SaleBody>,
}
