//! The lease with a clock: whoever is told 202 lies before the barrier, and each rule of the lease is needed.

use model::clock::{Clocks, Rules};
use stateright::{Checker, HasDiscoveries, Model};

const PROMISE: &str = "an order that was told 202 lies before the barrier";

#[test]
fn an_order_that_was_told_202_lies_before_the_barrier() {
    let checker = Clocks { rules: Rules::ALL }.checker().spawn_bfs().join();
    println!("the lease: {} states", checker.unique_state_count());
    checker.assert_properties();
    assert!(checker.is_done());
}

#[test]
fn each_rule_of_the_lease_is_needed() {
    for (rule, rules) in Rules::each_removed() {
        let broken = HasDiscoveries::AnyFailures;
        let checker = Clocks { rules }.checker().finish_when(broken).spawn_bfs().join();
        let path = checker.discovery(PROMISE).unwrap_or_else(|| panic!("nothing breaks without {rule}"));
        println!("without {rule}: {:?}", path.into_actions());
    }
}
