//! How fast goods go on by themselves. What happens to them is decided with all else in [`crate::decide::effects`];
//! when it is due, a tick says so.

use clap::Args;
use contract::lifecycle::OrderStatus;
use contract::order::Fulfilment;
use contract::timestamp::Timestamp;

/// The courier of every delivery until there is more than one.
pub const COURIER: &str = "flashsale-express";

/// Delays of deliveries.
#[derive(Debug, Clone, Copy, Default, Args)]
#[command(next_help_heading = "Delivery")]
pub struct DeliverySchedule {
    /// Whether goods go on by themselves; otherwise an operator moves them.
    #[arg(long = "delivery-automatic", env = "DELIVERY_AUTOMATIC", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub automatic: bool,
    /// From payment to the courier, in seconds.
    #[arg(long = "delivery-ship-after", env = "DELIVERY_SHIP_AFTER_SECONDS", default_value_t = 1800, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    pub ship_after: u32,
    /// From the courier to the carrier's first scan, in seconds.
    #[arg(long = "delivery-scan-after", env = "DELIVERY_SCAN_AFTER_SECONDS", default_value_t = 600, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    pub scan_after: u32,
    /// From the courier to the customer, in seconds.
    #[arg(long = "delivery-deliver-after", env = "DELIVERY_DELIVER_AFTER_SECONDS", default_value_t = 7200, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    pub deliver_after: u32,
    /// From the warehouse to the customer (fulfilment `store`), in seconds.
    #[arg(long = "delivery-hand-over-after", env = "DELIVERY_HAND_OVER_AFTER_SECONDS", default_value_t = 604_800, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(0..=31_536_000))]
    pub hand_over_after: u32,
}

impl DeliverySchedule {
    /// When goods that have come to a state go on by themselves. `since`: when they came there; for goods on
    /// their way, when the courier got them.
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

    /// When goods that are paid for now will be with the customer.
    pub fn arrival(&self, fulfilment: Fulfilment, paid: Timestamp) -> Timestamp {
        let after = match fulfilment {
            Fulfilment::Ship => u64::from(self.ship_after) + u64::from(self.deliver_after),
            Fulfilment::Store => self.hand_over_after.into(),
        };
        paid.plus_seconds(after)
    }
}
