//! Starts the queue, the batcher and the stock refresh of each published sale.

use std::sync::Arc;
use std::time::Duration;

use contract::ids::SaleId;
use lua::Redis;
use process::supervisor::Supervisor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::order::hand_off::HandOff;
use crate::order::reserve::Batcher;
use crate::order::sale_queue::{SaleQueue, SaleQueues};
use crate::order::stock_refresh::refresh_until_stopped;
use crate::sales::lease::Leases;

/// The pause between two checks for new sales: a sale can be bought from this long after its publication.
const INTERVAL: Duration = Duration::from_millis(50);

/// What the workers of a sale need.
pub struct SaleWorkers<'a> {
    /// The published sales.
    pub leases: &'a Arc<Leases>,
    /// Where the queues are added.
    pub queues: &'a SaleQueues,
    /// Holds the stock.
    pub redis: &'a Redis,
    /// Produces accepted orders to the log.
    pub hand_off: &'a Arc<HandOff>,
    /// Orders of one sale that may wait.
    pub queue_orders_max: usize,
    /// Watches the workers.
    pub supervisor: &'a Supervisor,
}

impl SaleWorkers<'_> {
    /// Starts the workers of each newly published sale until `drain`. Batchers end at `drain` once their queue is
    /// empty; the stock refresh ends at `stop`.
    pub async fn start_until_drained(
        self,
        batchers: TaskTracker,
        drain: CancellationToken,
        stop: CancellationToken,
    ) {
        let mut ticks = tokio::time::interval(INTERVAL);
        while drain.run_until_cancelled(ticks.tick()).await.is_some() {
            for sale in self.leases.load_full().sales.keys() {
                if self.queues.get(sale).is_none() {
                    self.start(sale, &batchers, &drain, &stop);
                }
            }
        }
    }

    fn start(
        &self,
        sale: &SaleId,
        batchers: &TaskTracker,
        drain: &CancellationToken,
        stop: &CancellationToken,
    ) {
        let (queue, jobs) = SaleQueue::new(sale, self.queue_orders_max);
        let queue = Arc::new(queue);
        let (leases, redis) = (self.leases.clone(), self.redis.clone());
        let batcher =
            Batcher::new(sale.clone(), queue.clone(), leases.clone(), redis.clone(), self.hand_off.clone());
        batchers.spawn(self.supervisor.watch("batcher", batcher.run(jobs, drain.clone())));
        let refresh = refresh_until_stopped(queue.clone(), sale.clone(), leases, redis, stop.clone());
        tokio::spawn(self.supervisor.watch("stock refresh", refresh));
        self.queues.insert(sale.clone(), queue);
    }
}
