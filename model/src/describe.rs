//! Counterexamples in words.

use crate::{Action, World};

impl World {
    /// A line for each step.
    pub(crate) fn describe(&self, actions: &[Action]) -> Vec<String> {
        actions.iter().map(|action| format!("{action:?}")).collect()
    }
}
