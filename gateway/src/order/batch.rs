//! The orders of one script call: how many go into it, those that are refused together, and the record of those
//! that were accepted.

use std::collections::VecDeque;

use contract::ids::{SaleId, Sequence};
use contract::problem::Code;
use contract::record::{BATCH_ORDERS_MAX, OutboxId};
use contract::timestamp::Timestamp;
use lua::outbox;

use crate::order::outage::Outage;
use crate::order::reserve::{Job, Outcome};
use crate::sales::sale_view::SaleView;

/// Bytes of orders in one call, so that a record stays far below the broker's limit (4 MiB).
const BATCH_BYTES_MAX: usize = 1 << 20;

/// At most 128 orders and a bound in bytes; the rest stays.
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

pub(crate) fn refuse(batch: Vec<Job>, code: Code) {
    for job in batch {
        let _ = job.answer.send(Outcome::Refused(code)); // a client that hung up needs no answer
    }
}

pub(crate) fn refused(batch: Vec<Job>, code: Code) -> Result<(), Outage> {
    refuse(batch, code);
    Ok(())
}

/// The record of the accepted orders, from the same JSON that the script put into the outbox.
pub(crate) fn record_of(
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
