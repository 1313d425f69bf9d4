//! Invariant 9: captured minus refunded is what is paid for.

use super::evidence::Evidence;
use super::finding::{Finding, Probe};

/// Invariant 9. There is nothing to compare until payments exist; once they do, silence would be a lie.
pub fn payments_balance(evidence: &Evidence) -> Finding {
    let mut probe = Probe::new(9, "captured - refunded = totals of paid orders; no wallet below 0");
    if !evidence.has_payments {
        return probe.not_applicable("not applicable yet: no payment and no wallet exists");
    }
    probe.unchecked("payments exist, and this checker does not know them".into());
    probe.finish()
}
