//! The Kafka topics, which settlement creates with explicit partitions and settings.

/// The required definition of a topic. Replication and `min.insync.replicas` depend on the number of brokers.
#[derive(Debug, Clone, Copy)]
pub struct Topic {
    /// The topic's name, without the configured prefix.
    pub name: &'static str,
    /// The number of partitions; `None` if it is configured (`ORDERS_PARTITIONS`).
    pub partitions: Option<i32>,
    /// The topic's settings other than replication.
    pub settings: &'static [(&'static str, &'static str)],
}

/// The log: accepted batches, changes of totals, barriers, commands, ticks. It is kept indefinitely unless an
/// operator changes that, because sales are rebuilt from it.
pub const ORDERS: Topic = Topic {
    name: "orders",
    partitions: None,
    settings: &[
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("unclean.leader.election.enable", "false"),
    ],
};
/// The definitions, states and epochs of sales for the gateways, the gateways' heartbeats, and settled positions.
pub const SALES: Topic = Topic {
    name: "sales",
    partitions: Some(1),
    settings: &[
        ("cleanup.policy", "compact"),
        ("min.compaction.lag.ms", "600000"),
        // Only closed segments are compacted. A gateway reads the whole topic when it starts: heartbeats of minutes, not days.
        ("segment.ms", "600000"),
        ("max.compaction.lag.ms", "1800000"),
        ("unclean.leader.election.enable", "false"),
    ],
};
/// Every status change of every order.
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
/// All topics.
pub const ALL: [Topic; 4] = [ORDERS, SALES, ORDER_EVENTS, INVENTORY_EVENTS];

/// The default number of partitions of `orders`.
pub const ORDERS_PARTITIONS_DEFAULT: i32 = 4;
