//! Backpressure from settlement: orders are accepted only as fast as they are settled. The owners of the log's
//! partitions publish until when theirs is settled; a sale whose partition is too far behind accepts no new
//! orders until it has caught up. A settlement that is down needs no detection: its position stops advancing.

use std::time::Duration;

use process::boottime::Boottime;

use crate::sales::lease::Lease;

process::metrics! {
    pub static SHED: Counter["reason"] = "gateway_shed_total", "Orders refused by load shedding, before any attempt to reserve.";
}

/// The lag from which readiness reports settlement as behind, long before orders are refused for it.
const REPORTED_LAG: Duration = Duration::from_secs(10);

/// Returns how far a partition is behind: as far as its owner was when it published its position, and as long as that is
/// ago. `None` if no owner ever published one.
pub fn lag(lease: &Lease, partition: i32, now: Boottime) -> Option<Duration> {
    let settled = lease.settled.get(&partition)?;
    Some(settled.lag + Duration::from_millis(now.since_ms(settled.read_at)))
}

/// Returns whether new orders of a sale in this partition must wait for settlement.
pub fn is_too_far_behind(lease: &Lease, partition: i32, lag_max: Duration) -> bool {
    lag(lease, partition, Boottime::now()).is_some_and(|lag| lag > lag_max)
}

/// Checks for readiness that settlement keeps up in all partitions that carry sales.
pub fn check_settlement(lease: &Lease, lag_max: Duration) -> Result<(), String> {
    let now = Boottime::now();
    let partitions = lease.sales.values().map(|view| view.publication.partition);
    let worst = partitions.filter_map(|partition| Some((lag(lease, partition, now)?, partition))).max();
    match worst {
        Some((lag, partition)) if lag > lag_max => Err(format!(
            "partition {partition} is {} s behind: its sales accept no new orders beyond {} s",
            lag.as_secs(),
            lag_max.as_secs()
        )),
        Some((lag, partition)) if lag > REPORTED_LAG => {
            Err(format!("partition {partition} is {} s behind", lag.as_secs()))
        }
        None if !lease.sales.is_empty() => Err("no owner of a partition has published its position".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sales::sale_catalog::SettledPosition;
    use contract::publication::Position;
    use contract::timestamp::Timestamp;
    use std::sync::Arc;

    #[test]
    fn only_a_partition_whose_published_position_is_old_holds_orders_up() {
        let position = |partition| Position { partition, next_offset: 1, settled_until: Timestamp(1) };
        let published = |partition, lag_ms, ms_ago| {
            let read_at = Boottime(Boottime::now().0.saturating_sub(ms_ago));
            (
                partition,
                SettledPosition {
                    position: position(partition),
                    lag: Duration::from_millis(lag_ms),
                    read_at,
                },
            )
        };
        let settled = Arc::new([published(0, 0, 0), published(1, 0, 20_000), published(3, 20_000, 0)].into());
        let lease = Lease { settled, ..Lease::default() };
        let lag_max = Duration::from_secs(10);
        assert!(!is_too_far_behind(&lease, 0, lag_max));
        assert!(is_too_far_behind(&lease, 1, lag_max));
        assert!(!is_too_far_behind(&lease, 1, 3 * lag_max));
        assert!(is_too_far_behind(&lease, 3, lag_max), "its owner was behind when it published");
        assert!(!is_too_far_behind(&lease, 2, lag_max), "no owner has published its position");
    }
}
