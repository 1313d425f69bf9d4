//! The diagram of the lifecycle for the documentation, generated from the table of transitions so that both match.

use std::fmt::Write as _;

use super::{Language, OrderStatus, Trigger};

/// Returns the statuses and transitions as a Mermaid state diagram, followed by a table of their texts.
pub fn diagram() -> String {
    let mut text = String::from("```mermaid\nstateDiagram-v2\n    [*] --> processing\n");
    for from in OrderStatus::ALL {
        for to in OrderStatus::ALL {
            let verbs: Vec<_> = Trigger::ALL
                .into_iter()
                .filter(|trigger| from.next(*trigger) == Ok(to))
                .map(Trigger::as_str)
                .collect();
            if !verbs.is_empty() {
                let _ = writeln!(text, "    {} --> {}: {}", from.as_str(), to.as_str(), verbs.join(", "));
            }
        }
        if from.is_final() {
            let _ = writeln!(text, "    {} --> [*]", from.as_str());
        }
    }
    text.push_str("```\n\n| status | progress | customer can cancel | units | customer text |\n");
    text.push_str("|---|---|---|---|---|\n");
    for status in OrderStatus::ALL {
        let cancel = if status.can_cancel() { "yes" } else { "no" };
        let units = match status {
            _ if status.holds_units() || status == OrderStatus::Processing => "held",
            _ if status.sells_units() => "sold",
            _ => "free",
        };
        let _ = writeln!(
            text,
            "| `{}` | {} % | {cancel} | {units} | {} / {} |",
            status.as_str(),
            status.progress_percentage(),
            status.description(Language::English),
            status.description(Language::Korean),
        );
    }
    text
}
