//! Selling only as fast as is settled. Owners of the log's partitions tell until when theirs is settled; a
//! sale whose partition is too far behind takes no new orders until it has caught up. Nobody has to say that
//! settlement is dead: it simply tells nothing new.

use std::time::Duration;

use contract::timestamp::Timestamp;
use process::walltime;

use crate::sales::lease::Lease;

/// Readiness says that settlement is behind from here on, long before orders are refused for it.
const WORTH_SAYING: Duration = Duration::from_secs(10);

/// How far a partition is behind, by what its owner has told last; `None` where nobody has ever told.
pub fn behind(lease: &Lease, partition: i32, now: Timestamp) -> Option<Duration> {
    let settled = lease.settled.get(&partition)?;
    Some(Duration::from_millis(now.0.saturating_sub(settled.settled_until.0)))
}

/// Whether new orders of a sale in this partition must wait for settlement.
pub fn too_far_behind(lease: &Lease, partition: i32, max: Duration) -> bool {
    behind(lease, partition, walltime::now()).is_some_and(|behind| behind > max)
}

/// Whether settlement keeps up, in all partitions that carry sales, for readiness.
pub fn settlement(lease: &Lease, max: Duration) -> Result<(), String> {
    let worst = lease.sales.values().map(|view| view.publication.partition);
    let worst =
        worst.filter_map(|partition| Some((behind(lease, partition, walltime::now())?, partition))).max();
    match worst {
        Some((behind, partition)) if behind > max => Err(format!(
            "partition {partition} is {} s behind: its sales take no new orders beyond {} s",
            behind.as_secs(),
            max.as_secs()
        )),
        Some((behind, partition)) if behind > WORTH_SAYING => {
            Err(format!("partition {partition} is {} s behind", behind.as_secs()))
        }
        None if !lease.sales.is_empty() => Err("no owner of a partition has told how far it is".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::publication::Position;
    use process::boottime::Boottime;
    use std::sync::Arc;

    #[test]
    fn only_a_partition_that_is_told_to_be_behind_holds_orders_up() {
        let told = |partition, ms_ago| {
            let settled_until = Timestamp(walltime::now().0 - ms_ago);
            (partition, Position { partition, next_offset: 1, settled_until })
        };
        let settled = Arc::new([told(0, 0), told(1, 20_000)].into());
        let lease = Lease { until: Boottime(0), sales: Arc::default(), settled };
        let max = Duration::from_secs(10);
        assert!(!too_far_behind(&lease, 0, max));
        assert!(too_far_behind(&lease, 1, max));
        assert!(!too_far_behind(&lease, 1, 3 * max));
        assert!(!too_far_behind(&lease, 2, max), "nobody has told of it");
    }
}
