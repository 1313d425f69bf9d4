//! The orders of one script call: how many it takes, those that are refused together, and the record of those
//! that were accepted.

use std::collections::VecDeque;
use std::time::Duration;

use contract::ids::{Epoch, SaleId, Sequence};
use contract::problem::Code;
use contract::record::{BATCH_ORDERS_MAX, OutboxId};
use contract::timestamp::Timestamp;
use lua::outbox;

use crate::order::job::{Job, Outcome};
use crate::sales::sale_view::SaleView;

/// Bytes of orders in one call, so that a record stays far below the broker's limit (4 MiB).
const BATCH_BYTES_MAX: usize = 1 << 20;
/// An order that waited longer for the script is refused: by then its customer has given up.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Removes the orders of the next call from the front: at most 128, within a bound in bytes.
pub(crate) fn take_batch(waiting: &mut VecDeque<Job>) -> Vec<Job> {
    let mut bytes = 0;
    let mut count = 0;
    for job in waiting.iter().take(BATCH_ORDERS_MAX) {
        bytes += job.candidate.bytes();
        if count > 0 && bytes > BATCH_BYTES_MAX {
            break;
        }
        count += 1;
    }
    waiting.drain(..count).collect()
}

/// Refuses all orders of a batch.
pub(crate) fn refuse(batch: Vec<Job>, code: Code) {
    for job in batch {
        job.finish(Outcome::Refused(code));
    }
}

/// Returns the orders that were prepared for this epoch and refuses the others: another epoch may use other
/// fields of its keys.
pub(crate) fn of_epoch(batch: Vec<Job>, epoch: Epoch) -> Vec<Job> {
    let (current, other) = batch.into_iter().partition(|job| job.view.epoch() == epoch);
    refuse(other, Code::SaleRebuilding);
    current
}

/// Returns the orders that were priced under the present terms, and returns the others to be judged again.
pub(crate) fn of_terms(batch: Vec<Job>, present: &SaleView) -> Vec<Job> {
    let present = &present.publication;
    let is_present = |job: &Job| {
        let priced_under = &job.view.publication;
        priced_under.version == present.version || priced_under.terms == present.terms
    };
    let (current, other): (Vec<_>, Vec<_>) = batch.into_iter().partition(is_present);
    for job in other {
        job.finish(Outcome::TermsChanged);
    }
    current
}

/// Returns the orders that have not waited too long and refuses the others.
pub(crate) fn in_time(batch: Vec<Job>) -> Vec<Job> {
    let (current, late) = batch
        .into_iter()
        .partition(|job| job.repeating_since.is_some() || job.received.elapsed() < QUEUE_WAIT_MAX);
    refuse(late, Code::Overloaded);
    current
}

/// Returns the record of the accepted orders, from the same JSON that the script put into the outbox.
pub(crate) fn accepted_record(
    sale: &SaleId,
    view: &SaleView,
    accepted: &[(Job, Sequence)],
    id: OutboxId,
    at: Timestamp,
) -> outbox::LogRecord {
    let bytes = accepted.iter().map(|(job, _)| job.candidate.payload.len() + 1).sum();
    let mut json = Vec::with_capacity(bytes);
    for (job, _) in accepted {
        if !json.is_empty() {
            json.push(b',');
        }
        json.extend_from_slice(&job.candidate.payload);
    }
    outbox::accepted_record(sale, view.epoch(), id, at, &json, accepted.iter().map(|(job, _)| &*job.order))
}
