"""How the records of the log become rows in Postgres, and what is left over."""

from parts import SALE, SETTLER, board, quantiles, series, stat

HERE = 'instance=~"$instance"'

BOARD = board(
    "flash-sale-settlement",
    "How the records of the log become rows in Postgres, and what is left over.",
    [SETTLER, SALE],
    {
        "Lag": [
            stat(
                "Settled within 5 s",
                '1 - (objective:errors:ratio_rate30m{objective="settled_fast"})',
                "percentunit",
                """Share of the orders whose row was in Postgres within 5 s of their acceptance, over 30
                 minutes. Objective: 99.9%.""",
                "red 0.994:yellow 0.999:green",
                w=4,
                h=8,
            ),
            series(
                "Lag in seconds",
                {"partition {{partition}}": "max by (partition) (settlement_lag_seconds)"},
                "s",
                """Age of the oldest record that is not in Postgres yet. Red from 5 s: runbook
                   SettlementLagging. Orders are refused only when it exceeds ADMISSION_LAG_MAX.""",
                "green 1:yellow 5:red",
                w=10,
            ),
            series(
                "Lag in records",
                {"partition {{partition}}": "max by (partition) (settlement_lag_records)"},
                "short",
                """Records of each partition of the log that are not in Postgres yet. One record holds up
                   to 128 orders. If only one partition lags, its settlement process hangs, or one sale causes
                   all the load.""",
                w=10,
            ),
        ],
        "Settling": [
            series(
                "Settled orders by status",
                {"{{status}}": f"sum by (status) (rate(settlement_orders_total{{{HERE}}}[$__rate_interval]))"},
                "ops",
                """Orders per second that reached a status. created means that their rows were written.
                   Compare created with Accepted on the overview.""",
                stack=True,
            ),
            series(
                "Settlement latency",
                quantiles("settlement_order_seconds", f"{{{HERE}}}"),
                "s",
                """The age of an order when its row was committed. The line at 5 s is the objective.""",
                "green 5:red",
            ),
            series(
                "Transaction latency",
                quantiles("settlement_commit_seconds", f"{{{HERE}}}"),
                "s",
                """From deciding a batch to its commit. Above the line the lag becomes visible: check the
                   disk of Postgres, locks and vacuum.""",
                "green 1:yellow",
            ),
            series(
                "Orders per transaction",
                {
                    "mean": f"sum(rate(settlement_batch_orders_sum{{{HERE}}}[$__rate_interval])) / sum(rate(settlement_batch_orders_count{{{HERE}}}[$__rate_interval]))",
                    "p99": f"histogram_quantile(0.99, sum by (le) (rate(settlement_batch_orders_bucket{{{HERE}}}[$__rate_interval])))",
                },
                "short",
                """Orders in one transaction. It grows with the load, which keeps the lag short.
                   The maximum is SETTLEMENT_BATCH_ORDERS_MAX.""",
            ),
            series(
                "Commands",
                {
                    "{{command}} {{result}}": f"sum by (command, result) (rate(settlement_commands_total{{{HERE}}}[$__rate_interval]))"
                },
                "ops",
                """Commands on settled orders per second, by result: applied, or illegal, unknown,
                   late, mismatch. The latter change nothing that they must not change and are noted in the
                   order's history.""",
                stack=True,
            ),
            series(
                "Expired orders and ticks",
                {
                    "expired": f"sum(rate(settlement_expired_total{{{HERE}}}[$__rate_interval]))",
                    "ticks": f"sum(rate(settlement_ticks_total{{{HERE}}}[$__rate_interval]))",
                },
                "ops",
                """Orders per second that were not paid in time, and the tick records that advance time in
                   the log. Without ticks nothing expires and nothing is shipped: check that settlement is
                   running.""",
            ),
        ],
        "Integrity": [
            stat(
                "Guard trips",
                f"sum(settlement_guard_trips_total{{{HERE}}})",
                "short",
                """Acknowledged orders that Postgres refused, since settlement started. Must stay 0: runbook
                 GuardTripped.""",
                "green 1:red",
                w=3,
                h=8,
            ),
            stat(
                "Violated invariants",
                "sum(invariant_violations_total) or vector(0)",
                "short",
                """Values that a program decided although an invariant forbids them, over all programs. Must stay 0:
                 runbook InvariantViolated.""",
                "green 1:red",
                w=4,
                h=8,
            ),
            stat(
                "Undecided dead letters",
                "sum(dead_letters_undecided)",
                "short",
                """Records that could not be applied and wait for a decision. Their units are held back:
                 runbook DeadLetters.""",
                "green 1:red",
                w=3,
                h=8,
            ),
            series(
                "Dead letters by reason",
                {"{{reason}}": f"sum by (reason) (settlement_dead_letters_total{{{HERE}}})"},
                "short",
                """Dead letters since settlement started, by reason. unsupported_version: a gateway is
                   newer than settlement; upgrade settlement and replay. Others: runbook DeadLetters.""",
                "green 1:red",
                w=7,
            ),
            series(
                "Void and duplicate orders",
                {
                    "void orders": f"sum(rate(settlement_void_orders_total{{{HERE}}}[$__rate_interval]))",
                    "duplicate orders": f"sum(rate(settlement_doubled_orders_total{{{HERE}}}[$__rate_interval]))",
                },
                "ops",
                """Void: orders of an ended epoch, which were never acknowledged to a client. Duplicate:
                   orders that Postgres already had (the relay and the producer both wrote them). The protocol
                   expects both, and both are rare.""",
                w=7,
            ),
        ],
        "Outbox and events": [
            series(
                "Outbox",
                {
                    "{{sale}}": 'max by (sale) (outbox_entries{sale=~"$sale"})',
                    "{{sale}} old": 'max by (sale) (outbox_old_entries{sale=~"$sale"})',
                },
                "short",
                """Batches that Redis holds until Kafka has acknowledged them. old: their gateway should
                   have handed them off by now. 0 at rest. A gateway stops accepting orders while 256 of its
                   own are in flight. Runbooks OutboxOld, OutboxFull.""",
                "green 256:red",
            ),
            series(
                "Relayed",
                {"entries": f"sum(rate(outbox_relayed_total{{{HERE}}}[$__rate_interval]))"},
                "ops",
                """Outbox entries per second that settlement produced because their gateway did not. If it
                   is not 0, a gateway died or Kafka was down.""",
            ),
            series(
                "Published events and releases",
                {
                    "events": f"sum(rate(events_published_total{{{HERE}}}[$__rate_interval]))",
                    "releases": f"sum(rate(settlement_releases_total{{{HERE}}}[$__rate_interval]))",
                },
                "ops",
                """Events per second published to order-events and inventory-events, and releases of units
                   to Redis. If events are published continuously while nothing is ordered, check for a loop
                   downstream.""",
            ),
            series(
                "Unpublished events",
                {"partition {{partition}}": f"sum by (partition) (events_unpublished{{{HERE}}})"},
                "short",
                """Events that are settled and not published yet. Normal: below some thousands in a burst, and 0
                   at rest. If one partition grows while the others do not, read the log of its owner.""",
            ),
        ],
    },
)
