//! The topics, created by settlement with explicit partitions and settings.

/// A topic as it must exist. Replication and `min.insync.replicas` follow the number of brokers.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    /// Its name.
    pub name: &'static str,
    /// Its partitions; `None`: as configured (`ORDERS_PARTITIONS`).
    pub partitions: Option<i32>,
    /// Settings beside replication.
    pub settings: &'static [(&'static str, &'static str)],
}

/// The log: accepted batches, changes of totals, barriers, commands, ticks. Kept until an operator decides otherwise:
/// a sale is rebuilt from it.
pub const ORDERS: Topic = Topic {
    name: "orders",
    partitions: None,
    settings: &[
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("unclean.leader.election.enable", "false"),
    ],
};
/// From Postgres to the gateways: definitions, states, epochs; and the gateways' heartbeats.
pub const SALES: Topic = Topic {
    name: "sales",
    partitions: Some(1),
    settings: &[
        ("cleanup.policy", "compact"),
        ("min.compaction.lag.ms", "600000"),
        ("unclean.leader.election.enable", "false"),
    ],
};
/// Every state change of every order.
pub const ORDER_EVENTS: Topic = Topic {
    name: "order-events",
    partitions: Some(4),
    settings: &[("cleanup.policy", "delete"), ("retention.ms", "604800000")],
};
/// Every stock movement.
pub const INVENTORY_EVENTS: Topic = Topic {
    name: "inventory-events",
    partitions: Some(4),
    settings: &[("cleanup.policy", "delete"), ("retention.ms", "604800000")],
};
/// All of them.
pub const ALL: [Topic; 4] = [ORDERS, SALES, ORDER_EVENTS, INVENTORY_EVENTS];

/// Partitions of `orders` unless configured.
pub const ORDERS_PARTITIONS_DEFAULT: i32 = 4;
