//! The lease model with a clock: an order that was answered 202 precedes the barrier, and each rule of the lease
//! is necessary.

use model::clock::{LeaseModel, Rules};
use stateright::{Checker, HasDiscoveries, Model};

const PROMISE: &str = "an order that was answered 202 precedes the barrier";

#[test]
fn an_order_that_was_answered_202_precedes_the_barrier() {
    let checker = LeaseModel { rules: Rules::ALL }.checker().spawn_bfs().join();
    println!("the lease: {} states", checker.unique_state_count());
    checker.assert_properties();
    assert!(checker.is_done());
}

#[test]
fn each_rule_of_the_lease_is_necessary() {
    for (rule, rules) in Rules::each_removed() {
        let any_failure = HasDiscoveries::AnyFailures;
        let checker = LeaseModel { rules }.checker().finish_when(any_failure).spawn_bfs().join();
        let path = checker.discovery(PROMISE).unwrap_or_else(|| panic!("the promise holds without {rule}"));
        println!("without {rule}: {:?}", path.into_actions());
    }
}
