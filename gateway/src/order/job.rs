//! An order on its way through the queue and the script, and its outcome.

use std::sync::Arc;
use std::time::Instant;

use contract::ids::{OrderId, Sequence, Sku};
use contract::order::Order;
use contract::order_receipt::OrderReceipt;
use contract::problem::Code;
use contract::timestamp::Timestamp;
use lua::reserve::Candidate;
use tokio::sync::oneshot;

use crate::sales::sale_view::SaleView;

/// An order that waits for the script.
pub struct Job {
    /// The order as the script takes it, prepared under `view`.
    pub candidate: Candidate,
    /// The order as the record's headers describe it.
    pub order: Arc<Order>,
    /// The sale under whose terms the order was priced and prepared.
    pub view: Arc<SaleView>,
    /// When the request was received.
    pub received: Instant,
    /// When it was first found to repeat an order that is not handed off yet.
    pub repeating_since: Option<Instant>,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<Outcome>,
}

impl Job {
    /// Sends the outcome. A client that has hung up needs none.
    pub fn finish(self, outcome: Outcome) {
        let _ = self.reply.send(outcome);
    }
}

/// The result of an order. An outcome that rests on Redis is returned under a lease that was valid after the
/// script replied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The log has the order.
    Accepted {
        /// The order's place among the sale's accepted orders.
        sequence: Sequence,
        /// When the script decided, by Redis TIME.
        at: Timestamp,
    },
    /// The log has the order since an earlier request.
    Replayed(OrderReceipt),
    /// The customer has reached the limit of orders; this is the newest live one.
    Duplicate(OrderId),
    /// Too few units are left.
    SoldOut {
        /// The first SKU that is short.
        sku: Sku,
        /// The units of it that are left.
        remaining: u64,
    },
    /// The sale's terms have changed since the order was priced. It has to be judged by the new ones.
    TermsChanged,
    /// Any other refusal.
    Refused(Code),
}
