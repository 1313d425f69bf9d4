//! The delays after which deliveries advance automatically. [`crate::decide::effects`] decides what happens to a
//! delivery; a tick in the log triggers it when it is due.

use clap::Args;
use contract::lifecycle::OrderStatus;
use contract::order::Fulfilment;
use contract::timestamp::Timestamp;

/// The courier of every delivery, as long as there is only one.
pub const COURIER: &str = "flashsale-express";

/// The delays of deliveries.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Delivery")]
pub struct DeliverySchedule {
    /// Whether deliveries advance automatically; otherwise an operator advances them.
    #[arg(long = "delivery-automatic", env = "DELIVERY_AUTOMATIC", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub automatic: bool,
    /// The time from payment to the handover to the courier, in seconds.
    #[arg(long = "delivery-ship-after", env = "DELIVERY_SHIP_AFTER_SECONDS", default_value_t = 1800, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    pub ship_after: u32,
    /// The time from the handover to the courier to the carrier's first scan, in seconds.
    #[arg(long = "delivery-scan-after", env = "DELIVERY_SCAN_AFTER_SECONDS", default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    pub scan_after: u32,
    /// The time from the handover to the courier to the delivery, in seconds.
    #[arg(long = "delivery-deliver-after", env = "DELIVERY_DELIVER_AFTER_SECONDS", default_value_t = 7200, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    pub deliver_after: u32,
    /// The time from storage in the warehouse to the pickup by the customer (fulfilment `store`), in seconds.
    #[arg(long = "delivery-hand-over-after", env = "DELIVERY_HAND_OVER_AFTER_SECONDS", default_value_t = 604_800, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    pub hand_over_after: u32,
}

impl DeliverySchedule {
    /// Returns when a delivery in this status advances automatically; `None` if it does not. `since` is when it
    /// reached the status, and for goods in transit, when the courier received them.
    pub fn next_move_at(&self, status: OrderStatus, since: Timestamp) -> Option<Timestamp> {
        let after = match status {
            OrderStatus::Preparing => self.ship_after,
            OrderStatus::Shipped => self.scan_after,
            OrderStatus::InTransit => self.deliver_after,
            OrderStatus::InWarehouse => self.hand_over_after,
            _ => return None,
        };
        Some(since.plus_seconds(after.into()))
    }

    /// Returns the estimated arrival of goods that are paid at this time.
    pub fn estimated_arrival(&self, fulfilment: Fulfilment, paid_at: Timestamp) -> Timestamp {
        let after = match fulfilment {
            Fulfilment::Ship => u64::from(self.ship_after) + u64::from(self.deliver_after),
            Fulfilment::Store => self.hand_over_after.into(),
        };
        paid_at.plus_seconds(after)
    }
}
