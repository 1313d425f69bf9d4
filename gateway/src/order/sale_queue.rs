//! The queue of a sale's batcher, beside the cache of the sale's stock.

use std::collections::HashMap;
use std::sync::Arc;

use contract::ids::SaleId;
use metrics::Gauge;
use parking_lot::RwLock;
use tokio::sync::mpsc;

use crate::order::job::Job;
use crate::order::stock_cache::StockCache;

process::metrics! {
    static DEPTH: Gauge["sale"] = "gateway_queue_depth", "Orders that wait for the script `reserve`.";
}

/// One sale's queue and stock cache.
pub struct SaleQueue {
    /// The sending end of the batcher's queue. It is bounded: an order that finds it full is refused at once.
    pub jobs: mpsc::Sender<Job>,
    /// The sale's stock as it was last read.
    pub stock: StockCache,
    depth: Gauge,
}

impl SaleQueue {
    /// Returns the queue and its receiving end, which is the batcher's.
    pub fn new(sale: &SaleId, queue_orders_max: usize) -> (Self, mpsc::Receiver<Job>) {
        let (jobs, receiver) = mpsc::channel(queue_orders_max);
        let depth = DEPTH.with([sale.to_string()]);
        (Self { jobs, stock: StockCache::default(), depth }, receiver)
    }

    /// Records the number of waiting orders in the metric.
    pub fn record_depth(&self) {
        self.depth.set((self.jobs.max_capacity() - self.jobs.capacity()) as f64);
    }
}

/// The queues of all sales that were ever published.
#[derive(Default)]
pub struct SaleQueues {
    by_sale: RwLock<HashMap<SaleId, Arc<SaleQueue>>>,
}

impl SaleQueues {
    /// Returns the queue of a sale.
    pub fn get(&self, sale: &SaleId) -> Option<Arc<SaleQueue>> {
        self.by_sale.read().get(sale).cloned()
    }

    /// Adds the queue of a sale.
    pub fn insert(&self, sale: SaleId, queue: Arc<SaleQueue>) {
        self.by_sale.write().insert(sale, queue);
    }
}
