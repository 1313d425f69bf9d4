//! A sale's place in this gateway: the queue of its batcher, and what was last seen of its stock.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use contract::ids::SaleId;
use metrics::{Gauge, gauge};
use tokio::sync::mpsc;

use crate::refuse::Watch;
use crate::reserve::Job;

/// One sale's queue and watch.
pub struct Desk {
    /// To the sale's batcher. Bounded: what does not fit is refused at once.
    pub queue: mpsc::Sender<Job>,
    /// The last look at its stock.
    pub watch: Watch,
    depth: Gauge,
}

impl Desk {
    /// With the batcher's end of the queue.
    pub fn new(sale: &SaleId, queue_orders_max: usize) -> (Self, mpsc::Receiver<Job>) {
        let (queue, jobs) = mpsc::channel(queue_orders_max);
        let depth = gauge!("gateway_queue_depth", "sale" => sale.to_string());
        (Self { queue, watch: Watch::default(), depth }, jobs)
    }

    /// Tells the metrics how many orders wait.
    pub fn note_depth(&self) {
        self.depth.set((self.queue.max_capacity() - self.queue.capacity()) as f64);
    }
}

/// The desks of all sales that were ever published.
#[derive(Default)]
pub struct Desks {
    by_sale: RwLock<HashMap<SaleId, Arc<Desk>>>,
}

impl Desks {
    /// A sale's desk.
    pub fn get(&self, sale: &SaleId) -> Option<Arc<Desk>> {
        self.by_sale.read().unwrap_or_else(PoisonError::into_inner).get(sale).cloned()
    }
    /// Sets one up.
    pub fn put(&self, sale: SaleId, desk: Arc<Desk>) {
        self.by_sale.write().unwrap_or_else(PoisonError::into_inner).insert(sale, desk);
    }
}
