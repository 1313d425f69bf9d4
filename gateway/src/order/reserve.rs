//! The sale's batcher: whoever waits goes into one script call; while it runs, the next batch gathers
//! by itself. One call in flight a sale: bigger batches beat more calls.
//!
//! An order that is in the queue belongs to the batcher: a client that hangs up changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::ids::{OrderId, SaleId, Sequence, Sku};
use contract::order::Order;
use contract::order_receipt::OrderReceipt;
use contract::problem::Code;
use contract::record::BATCH_ORDERS_MAX;
use contract::timestamp::Timestamp;
use lua::reply::Rejection;
use lua::reserve::{Candidate, ReserveReply, Terms, Verdict, reserve};
use lua::{Redis, RedisError, outbox};
use metrics::{Histogram, histogram};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::order::batch::{record_of, refuse, refused, take_batch};
use crate::order::hand_off::{Acknowledged, HandOff, HandedOff};
use crate::order::outage::{Outage, until_redis_answers};
use crate::order::sale_queue::SaleQueue;
use crate::sales::lease::Leases;
use crate::sales::sale_view::SaleView;

/// Batches of a sale on their way into the log. While they are, orders gather for a fuller next batch:
/// Redis and Kafka cost per batch more than per order. Two, so that one is decided while the other is
/// being written.
const HAND_OFFS_MAX: usize = 2;
/// How long orders gather for a place before the log counts as silent, and they are refused.
const PLACE_WAIT_MAX: Duration = Duration::from_secs(1);
/// Acknowledged entries that ride along in one call.
const DELETES_MAX: usize = 512;
/// Without a call for this long, acknowledged entries are deleted by a call of their own.
const IDLE_FLUSH: Duration = Duration::from_millis(5);
/// After a flush that failed, a pause.
const FLUSH_PAUSE: Duration = Duration::from_millis(200);
/// At shutdown, hand-offs may take so long to be answered.
const DRAIN: Duration = Duration::from_secs(6);
/// An order that waited longer for the script is refused: by then its customer has given up.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a repeat waits for the hand-off of the order that it repeats.
const REPEAT_WAIT_MAX: Duration = Duration::from_secs(1);
/// Between two looks at such an order.
const REPEAT_EVERY: Duration = Duration::from_millis(20);

/// An order on its way to the script.
pub struct Job {
    /// Prepared for the script, under `view`.
    pub candidate: Candidate,
    /// For the record's headers.
    pub order: Arc<Order>,
    /// The sale as the order was priced and prepared by.
    pub view: Arc<SaleView>,
    /// When the request came.
    pub since: Instant,
    /// The first time it was found to repeat an order without hand-off.
    pub repeating_since: Option<Instant>,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Outcome>,
}

/// What may be told to the customer. Each is given under a lease that was valid after the script
/// replied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// In the log.
    Accepted {
        /// Its place.
        sequence: Sequence,
        /// Redis TIME.
        at: Timestamp,
    },
    /// In the log since an earlier request.
    Replayed(OrderReceipt),
    /// The customer's limit is reached.
    Duplicate(OrderId),
    /// Too few units.
    SoldOut {
        /// The first SKU that is short.
        sku: Sku,
        /// What is left.
        remaining: u64,
    },
    /// Any other refusal.
    Refused(Code),
}

/// One sale's batcher.
pub struct Batcher {
    /// The sale.
    pub sale: SaleId,
    /// Its queue's other end.
    pub sale_queue: Arc<SaleQueue>,
    /// The current epochs.
    pub leases: Arc<Leases>,
    /// Where the stock is.
    pub redis: Redis,
    /// Where accepted orders go.
    pub hand_off: Arc<HandOff>,
    tasks: TaskTracker,
    hand_offs: Arc<Semaphore>,
    acknowledged: Arc<Acknowledged>,
    seconds: Histogram,
    batch_size: Histogram,
}

impl Batcher {
    /// For a sale.
    pub fn new(
        sale: SaleId,
        sale_queue: Arc<SaleQueue>,
        leases: Arc<Leases>,
        redis: Redis,
        hand_off: Arc<HandOff>,
    ) -> Self {
        Self {
            sale,
            sale_queue,
            leases,
            redis,
            hand_off,
            tasks: TaskTracker::new(),
            hand_offs: Arc::new(Semaphore::new(HAND_OFFS_MAX)),
            acknowledged: Arc::default(),
            seconds: histogram!("gateway_reserve_seconds"),
            batch_size: histogram!("gateway_reserve_batch_size"),
        }
    }

    /// Serves the queue until `stop`, then what is still in it, then deletes what the log has.
    pub async fn run(self, mut queue: mpsc::Receiver<Job>, stop: CancellationToken) {
        let mut waiting: VecDeque<Job> = VecDeque::with_capacity(BATCH_ORDERS_MAX);
        let mut arrived = Vec::with_capacity(BATCH_ORDERS_MAX);
        let mut stopping = false;
        // The semaphore is never closed. A place is held from before the script to the acknowledgement.
        loop {
            let place = match tokio::time::timeout(PLACE_WAIT_MAX, self.place()).await {
                Ok(place) => place,
                Err(_) => Outage::Log.refuse_until(&mut waiting, &mut queue, self.place()).await,
            };
            let Some(place) = place else { break };
            if waiting.is_empty() {
                tokio::select! {
                    biased;
                    _ = queue.recv_many(&mut arrived, BATCH_ORDERS_MAX) => {}
                    () = self.flush_when_idle() => continue,
                    () = stop.cancelled(), if !stopping => {
                        stopping = true;
                        queue.close();
                        continue;
                    }
                }
                if arrived.is_empty() {
                    break; // closed and empty
                }
            } else if waiting.len() < BATCH_ORDERS_MAX {
                while arrived.len() + waiting.len() < BATCH_ORDERS_MAX
                    && let Ok(job) = queue.try_recv()
                {
                    arrived.push(job);
                }
            }
            waiting.extend(arrived.drain(..));
            let batch = take_batch(&mut waiting);
            if self.decide(batch, place).await == Err(Outage::Redis) {
                let answers = until_redis_answers(&self.redis);
                Outage::Redis.refuse_until(&mut waiting, &mut queue, answers).await;
            }
        }
        self.tasks.close();
        process::shutdown::finish("hand-offs", DRAIN, self.tasks.wait()).await;
        self.flush().await;
    }

    /// A place on the way into the log; `None` is never.
    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.hand_offs.clone().acquire_owned().await.ok()
    }

    /// Deletes acknowledged entries once nothing has happened for a while.
    async fn flush_when_idle(&self) {
        self.acknowledged.any().await;
        tokio::time::sleep(IDLE_FLUSH).await;
        self.flush().await;
    }

    async fn flush(&self) {
        let view = self.leases.load().sales.get(&self.sale).cloned();
        let Some(view) = view else { return };
        let Some(scripts) = &view.publication.scripts else { return };
        let ids = self.acknowledged.first(view.epoch(), DELETES_MAX);
        if ids.is_empty() {
            return;
        }
        let forgotten = outbox::acknowledge(&self.redis, &scripts.ack_outbox, &view.keys, &ids).await;
        match forgotten {
            Ok(Ok(())) => self.acknowledged.forgotten(view.epoch(), &ids),
            failed => {
                tracing::debug!(sale_id = %self.sale, ?failed, "acknowledged entries stay in the outbox for now");
                tokio::time::sleep(FLUSH_PAUSE).await;
            }
        }
    }

    /// One call, and what follows from it. The error: Redis did not answer.
    async fn decide(&self, batch: Vec<Job>, place: OwnedSemaphorePermit) -> Result<(), Outage> {
        let lease = self.leases.load_full();
        let view = match lease.sale(self.sale.as_str()) {
            _ if !lease.is_valid() => return refused(batch, Code::LogUnavailable),
            Some(view) if view.publication.ready => view.clone(),
            _ => return refused(batch, Code::SaleRebuilding),
        };
        let Some(scripts) = &view.publication.scripts else { return refused(batch, Code::SaleRebuilding) };
        if self.hand_off.is_congested() {
            return refused(batch, Code::Overloaded);
        }
        // An order that was prepared for another epoch may use other fields of its keys.
        let (batch, old): (Vec<_>, Vec<_>) =
            batch.into_iter().partition(|job| job.view.epoch() == view.epoch());
        refuse(old, Code::SaleRebuilding);
        let (batch, late): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .partition(|job| job.repeating_since.is_some() || job.since.elapsed() < QUEUE_WAIT_MAX);
        refuse(late, Code::Overloaded);
        if batch.is_empty() {
            return Ok(());
        }

        let deadline = match self.redis.deadline().await {
            Ok(deadline) => deadline,
            Err(error) => {
                refuse(batch, Code::StockUnavailable); // only the time was asked for
                return if error.nothing_done() { Ok(()) } else { Err(Outage::Redis) };
            }
        };
        let sold_by = &view.publication.terms;
        let terms = Terms {
            opens_at: sold_by.opens_at,
            closes_at: sold_by.closes_at,
            state: view.publication.state,
            limit: sold_by.max_orders_per_customer,
        };
        let candidates: Vec<_> = batch.iter().map(|job| &job.candidate).collect();
        let deletes = self.acknowledged.first(view.epoch(), DELETES_MAX);
        self.batch_size.record(batch.len() as f64);
        let begun = Instant::now();
        let decided =
            reserve(&self.redis, &scripts.reserve, &view.keys, &terms, deadline, &deletes, &candidates).await;
        self.seconds.record(begun.elapsed());

        if matches!(decided, Ok(Ok(_))) {
            self.acknowledged.forgotten(view.epoch(), &deletes);
        }
        match decided {
            Ok(Ok(decided)) => self.answer(&view, batch, decided, place),
            Ok(Err(Rejection::Lost)) | Err(RedisError::NoScript) => {
                self.leases.found_lost(&self.sale, view.epoch());
                refuse(batch, Code::SaleRebuilding);
            }
            Ok(Err(Rejection::Late)) => refuse(batch, Code::StockUnavailable),
            Err(error) => {
                tracing::warn!(sale_id = %self.sale, orders = batch.len(), %error, "no answer from the script");
                if !error.nothing_done() {
                    refuse(batch, Code::OutcomeUnknown);
                    return Err(Outage::Redis);
                }
                refuse(batch, Code::StockUnavailable);
                // A full Redis refuses the call, and with it the deletions that would make room.
                if self.redis.is_connected() {
                    drop(place);
                    self.flush().await;
                }
            }
        }
        Ok(())
    }

    /// Accepted orders go to the log, everyone else gets their answer.
    fn answer(
        &self,
        view: &Arc<SaleView>,
        batch: Vec<Job>,
        decided: ReserveReply,
        place: OwnedSemaphorePermit,
    ) {
        let covered = self.leases.load().covers(&self.sale, view.epoch()) || fault::removed!("lease_check");
        let id = decided.outbox_id();
        let mut accepted = Vec::with_capacity(decided.accepted as usize);
        for (job, verdict) in batch.into_iter().zip(decided.verdicts) {
            let outcome = match verdict {
                Verdict::Accepted(sequence) => {
                    accepted.push((job, sequence));
                    continue;
                }
                Verdict::Replayed { in_outbox: true, .. } | Verdict::Duplicate { in_outbox: true, .. } => {
                    self.wait_for_hand_off(job);
                    continue;
                }
                _ if !covered => Outcome::Refused(Code::LogUnavailable),
                Verdict::Replayed { order, .. } => Outcome::Replayed(order),
                Verdict::Duplicate { order, .. } => Outcome::Duplicate(order),
                Verdict::KeyReused => Outcome::Refused(Code::IdempotencyKeyReused),
                Verdict::NotOpen => Outcome::Refused(Code::SaleNotOpen),
                Verdict::Paused => Outcome::Refused(Code::SalePaused),
                Verdict::Closed => Outcome::Refused(Code::SaleClosed),
                Verdict::SoldOut { sku, remaining } => Outcome::SoldOut { sku, remaining },
            };
            let _ = job.answer.send(outcome); // a client that hung up needs no answer
        }
        if !accepted.is_empty() {
            fault::point!("gateway.after_reserve");
            self.hand_off_batch(view, accepted, id, decided.at, place);
        }
    }

    fn hand_off_batch(
        &self,
        view: &Arc<SaleView>,
        accepted: Vec<(Job, Sequence)>,
        id: contract::record::OutboxId,
        at: Timestamp,
        place: OwnedSemaphorePermit,
    ) {
        let record = record_of(&self.sale, view, &accepted, id, at);
        let epoch = view.epoch();
        let handed_off = self.hand_off.start(&self.sale, epoch, view.publication.partition, &record);
        let acknowledged = self.acknowledged.clone();
        self.tasks.spawn(async move {
            let done = handed_off.await == HandedOff::Done;
            fault::point!("gateway.before_answer");
            drop(place);
            if done {
                acknowledged.add(epoch, id);
            }
            for (job, sequence) in accepted {
                let outcome = if done {
                    Outcome::Accepted { sequence, at }
                } else {
                    Outcome::Refused(Code::OutcomeUnknown)
                };
                let _ = job.answer.send(outcome);
            }
        });
    }

    /// A repeat comes before the order it repeats is in the log: ask again soon, but not for ever.
    fn wait_for_hand_off(&self, mut job: Job) {
        let since = *job.repeating_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= REPEAT_WAIT_MAX {
            let _ = job.answer.send(Outcome::Refused(Code::OutcomeUnknown));
            return;
        }
        let queue = self.sale_queue.queue.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(REPEAT_EVERY).await;
            if let Err(full) = queue.try_send(job) {
                let _ = full.into_inner().answer.send(Outcome::Refused(Code::OutcomeUnknown));
            }
        });
    }
}
