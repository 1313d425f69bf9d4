//! The sale's batcher: all waiting orders go into one script call; while it runs, the next batch gathers. One
//! call in flight per sale: larger batches are worth more than more calls.
//!
//! An order in the queue belongs to the batcher: a client that hangs up changes nothing.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use contract::ids::{SaleId, Sequence};
use contract::problem::Code;
use contract::publication::ScriptDigests;
use contract::record::{BATCH_ORDERS_MAX, OutboxId};
use contract::timestamp::Timestamp;
use invariants::{sequence, stock};
use lua::reply::Rejection;
use lua::reserve::{ReserveReply, Terms, Verdict, reserve};
use lua::{Redis, RedisError, outbox};
use process::invariant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::order::acknowledged_outbox::Acknowledged;
use crate::order::batch::{accepted_record, in_time, of_epoch, of_terms, refuse, take_batch};
use crate::order::hand_off::{HandOff, HandedOff};
use crate::order::job::{Job, Outcome};
use crate::order::outage::{Outage, until_redis_replies};
use crate::order::sale_queue::SaleQueue;
use crate::sales::lease::{Lease, Leases};
use crate::sales::sale_view::SaleView;

process::metrics! {
    static SECONDS: Histogram = "gateway_reserve_seconds", "Duration of a call of the script `reserve`, in seconds.";
    static BATCH_SIZE: Histogram = "gateway_reserve_batch_size", "Orders per call of the script `reserve`.";
}

/// Batches of a sale whose hand-off is in flight. While both permits are taken, orders gather for a fuller next
/// batch: Redis and Kafka cost per batch more than per order. Two, so that one batch is decided while the other
/// is being written.
const HAND_OFFS_MAX: usize = 2;
/// How long orders wait for a permit before the log counts as unresponsive and they are refused.
const PERMIT_WAIT_MAX: Duration = Duration::from_secs(1);
/// Acknowledged entries that one call deletes.
const DELETES_MAX: usize = 512;
/// The pause without a call after which acknowledged entries are deleted by a call of their own.
const IDLE_FLUSH: Duration = Duration::from_millis(5);
/// The pause after a flush that failed.
const FLUSH_PAUSE: Duration = Duration::from_millis(200);
/// How long shutdown waits for hand-offs in flight.
const DRAIN_MAX: Duration = Duration::from_secs(6);
/// How long a repeat waits for the hand-off of the order that it repeats.
const REPEAT_WAIT_MAX: Duration = Duration::from_secs(1);
/// The pause before a repeat is queued again.
const REPEAT_PAUSE: Duration = Duration::from_millis(20);

/// One sale's batcher.
pub struct Batcher {
    /// The sale that this batcher sells.
    pub sale: SaleId,
    /// The sale's queue, to which repeats return.
    pub queue: Arc<SaleQueue>,
    /// The current epochs.
    pub leases: Arc<Leases>,
    /// Holds the stock.
    pub redis: Redis,
    /// Produces accepted orders to the log.
    pub hand_off: Arc<HandOff>,
    tasks: TaskTracker,
    hand_offs: Arc<Semaphore>,
    acknowledged: Arc<Acknowledged>,
}

impl Batcher {
    /// Returns the batcher of a sale.
    pub fn new(
        sale: SaleId,
        queue: Arc<SaleQueue>,
        leases: Arc<Leases>,
        redis: Redis,
        hand_off: Arc<HandOff>,
    ) -> Self {
        Self {
            sale,
            queue,
            leases,
            redis,
            hand_off,
            tasks: TaskTracker::new(),
            hand_offs: Arc::new(Semaphore::new(HAND_OFFS_MAX)),
            acknowledged: Arc::default(),
        }
    }

    /// Processes the queue until `stop`, then the orders that are still in it, then deletes acknowledged entries.
    pub async fn run(self, mut queue: mpsc::Receiver<Job>, stop: CancellationToken) {
        let mut waiting: VecDeque<Job> = VecDeque::with_capacity(BATCH_ORDERS_MAX);
        let mut arrived = Vec::with_capacity(BATCH_ORDERS_MAX);
        let mut stopping = false;
        // A permit is held from before the script call to the acknowledgement. The semaphore is never closed.
        loop {
            let permit = match tokio::time::timeout(PERMIT_WAIT_MAX, self.permit()).await {
                Ok(permit) => permit,
                Err(_) => Outage::Log.refuse_until(&mut waiting, &mut queue, self.permit()).await,
            };
            let Some(permit) = permit else { break };
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
            if self.decide(batch, permit).await == Err(Outage::Redis) {
                let recovered = until_redis_replies(&self.redis);
                Outage::Redis.refuse_until(&mut waiting, &mut queue, recovered).await;
            }
        }
        self.tasks.close();
        process::shutdown::finish("hand-offs", DRAIN_MAX, self.tasks.wait()).await;
        self.flush().await;
    }

    /// Returns a permit for one batch in flight. It is `None` only if the semaphore were closed.
    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        self.hand_offs.clone().acquire_owned().await.ok()
    }

    /// Deletes acknowledged entries once the sale has been idle for a while.
    async fn flush_when_idle(&self) {
        self.acknowledged.wait_for_entry().await;
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
        match outbox::acknowledge(&self.redis, &scripts.ack_outbox, &view.keys, &ids).await {
            Ok(Ok(())) => self.acknowledged.remove(view.epoch(), &ids),
            failed => {
                tracing::debug!(sale_id = %self.sale, ?failed, "acknowledged entries stay in the outbox for now");
                tokio::time::sleep(FLUSH_PAUSE).await;
            }
        }
    }

    /// Decides a batch by one script call and acts on the reply. Fails if Redis did not reply.
    async fn decide(&self, batch: Vec<Job>, permit: OwnedSemaphorePermit) -> Result<(), Outage> {
        let lease = self.leases.load_full();
        let (view, scripts) = match self.sellable(&lease) {
            Ok(sellable) => sellable,
            Err(code) => {
                refuse(batch, code);
                return Ok(());
            }
        };
        let batch = in_time(of_terms(of_epoch(batch, view.epoch()), view));
        if batch.is_empty() {
            return Ok(());
        }
        let deadline = match self.redis.deadline().await {
            Ok(deadline) => deadline,
            Err(error) => {
                refuse(batch, Code::StockUnavailable); // only the time was requested
                return if error.nothing_done() { Ok(()) } else { Err(Outage::Redis) };
            }
        };
        let sale_terms = &view.publication.terms;
        let terms = Terms {
            opens_at: sale_terms.opens_at,
            closes_at: sale_terms.closes_at,
            state: view.publication.state,
            limit: sale_terms.max_orders_per_customer,
        };
        let candidates: Vec<_> = batch.iter().map(|job| &job.candidate).collect();
        let deletes = self.acknowledged.first(view.epoch(), DELETES_MAX);
        BATCH_SIZE.record(batch.len() as f64);
        let begun = Instant::now();
        let decided =
            reserve(&self.redis, &scripts.reserve, &view.keys, &terms, deadline, &deletes, &candidates).await;
        SECONDS.record(begun.elapsed());
        match decided {
            Ok(Ok(decided)) => {
                self.acknowledged.remove(view.epoch(), &deletes);
                self.act_on(view, batch, decided, permit);
            }
            Ok(Err(Rejection::Lost)) | Err(RedisError::NoScript) => {
                self.leases.report_lost(&self.sale, view.epoch());
                refuse(batch, Code::SaleRebuilding);
            }
            Ok(Err(Rejection::Late)) => refuse(batch, Code::StockUnavailable),
            Err(error) => return self.refuse_failed(batch, &error, permit).await,
        }
        Ok(())
    }

    /// Returns the sale and its scripts if the sale may be sold from now, or why not.
    fn sellable<'a>(&self, lease: &'a Lease) -> Result<(&'a Arc<SaleView>, &'a ScriptDigests), Code> {
        if !lease.is_valid() {
            return Err(Code::LogUnavailable);
        }
        let view = lease.sale(self.sale.as_str()).filter(|view| view.publication.ready);
        let view = view.ok_or(Code::SaleRebuilding)?;
        let scripts = view.publication.scripts.as_ref().ok_or(Code::SaleRebuilding)?;
        if self.hand_off.is_congested() {
            return Err(Code::Overloaded);
        }
        Ok((view, scripts))
    }

    /// Refuses a batch whose script call failed.
    async fn refuse_failed(
        &self,
        batch: Vec<Job>,
        error: &RedisError,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), Outage> {
        tracing::warn!(sale_id = %self.sale, orders = batch.len(), %error, "reserve script call failed");
        if !error.nothing_done() {
            refuse(batch, Code::OutcomeUnknown);
            return Err(Outage::Redis);
        }
        refuse(batch, Code::StockUnavailable);
        // A full Redis refuses the call, and with it the deletions that would free memory.
        if self.redis.is_connected() {
            drop(permit);
            self.flush().await;
        }
        Ok(())
    }

    /// Hands accepted orders off to the log and sends all others their outcome.
    fn act_on(
        &self,
        view: &Arc<SaleView>,
        batch: Vec<Job>,
        decided: ReserveReply,
        permit: OwnedSemaphorePermit,
    ) {
        let covered = self.leases.load().covers(&self.sale, view.epoch()) || fault::removed!("lease_check");
        let id = decided.outbox_id();
        let (first, count) = (decided.first, decided.accepted);
        let mut accepted = Vec::with_capacity(count as usize);
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
                Verdict::SoldOut { sku, remaining } => {
                    let requested = job.order.lines.iter().find(|line| line.sku == sku);
                    let requested = requested.map_or(0, |line| line.quantity.into());
                    invariant::check(&self.sale, stock::refusal_is_true(requested, remaining));
                    Outcome::SoldOut { sku, remaining }
                }
            };
            job.finish(outcome);
        }
        let sequences = || accepted.iter().map(|(_, sequence)| sequence.0);
        invariant::check(&self.sale, sequence::all_numbered(count, accepted.len() as u64));
        invariant::check(&self.sale, sequence::complete(first.0, sequences()));
        if !accepted.is_empty() {
            fault::point!("gateway.after_reserve");
            self.hand_off_batch(view, accepted, id, decided.at, permit);
        }
    }

    fn hand_off_batch(
        &self,
        view: &Arc<SaleView>,
        accepted: Vec<(Job, Sequence)>,
        id: OutboxId,
        at: Timestamp,
        permit: OwnedSemaphorePermit,
    ) {
        let record = accepted_record(&self.sale, view, &accepted, id, at);
        let epoch = view.epoch();
        let handed_off = self.hand_off.start(&self.sale, epoch, view.publication.partition, &record);
        let acknowledged = self.acknowledged.clone();
        self.tasks.spawn(async move {
            let done = handed_off.await == HandedOff::Done;
            fault::point!("gateway.before_answer");
            drop(permit);
            if done {
                acknowledged.add(epoch, id);
            }
            for (job, sequence) in accepted {
                job.finish(if done {
                    Outcome::Accepted { sequence, at }
                } else {
                    Outcome::Refused(Code::OutcomeUnknown)
                });
            }
        });
    }

    /// Queues a repeat again after a pause, within a limit: the order that it repeats is not in the log yet.
    fn wait_for_hand_off(&self, mut job: Job) {
        let since = *job.repeating_since.get_or_insert_with(Instant::now);
        if since.elapsed() >= REPEAT_WAIT_MAX {
            job.finish(Outcome::Refused(Code::OutcomeUnknown));
            return;
        }
        let jobs = self.queue.jobs.clone();
        self.tasks.spawn(async move {
            tokio::time::sleep(REPEAT_PAUSE).await;
            if let Err(full) = jobs.try_send(job) {
                full.into_inner().finish(Outcome::Refused(Code::OutcomeUnknown));
            }
        });
    }
}
