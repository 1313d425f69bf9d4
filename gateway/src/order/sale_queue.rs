//! A sale's place in this gateway: the queue of its batcher, and what was last seen of its stock.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use contract::ids::SaleId;
use metrics::{Gauge, gauge};
use tokio::sync::mpsc;

use crate::order::reserve::Job;
use crate::order::stock_cache::StockCache;

/// One sale's queue and watch.
pub struct SaleQueue {
    /// To the sale's batcher. Bounded: what does not fit is refused at once.
    pub queue: mpsc::Sender<Job>,
    /// The last look at its stock.
    pub watch: StockCache,
    depth: Gauge,
}

impl SaleQueue {
    /// With the batcher's end of the queue.
    pub fn new(sale: &SaleId, queue_orders_max: usize) -> (Self, mpsc::Receiver<Job>) {
        let (queue, jobs) = mpsc::channel(queue_orders_max);
        let depth = gauge!("gateway_queue_depth", "sale" => sale.to_string());
        (Self { queue, watch: StockCache::default(), depth }, jobs)
    }

    /// Tells the metrics how many orders wait.
    pub fn note_depth(&self) {
        self.depth.set((self.queue.max_capacity() - self.queue.capacity()) as f64);
    }
}

/// The sale_queues of all sales that were ever published.
#[derive(Default)]
pub struct SaleQueues {
    by_sale: RwLock<HashMap<SaleId, Arc<SaleQueue>>>,
}

impl SaleQueues {
    /// A sale's sale_queue.
    pub fn get(&self, sale: &SaleId) -> Option<Arc<SaleQueue>> {
        self.by_sale.read().unwrap_or_else(PoisonError::into_inner).get(sale).cloned()
    }
    /// Sets one up.
    pub fn put(&self, sale: SaleId, sale_queue: Arc<SaleQueue>) {
        self.by_sale.write().unwrap_or_else(PoisonError::into_inner).insert(sale, sale_queue);
    }
}
