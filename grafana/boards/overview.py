"""Overview on one screen: whether the sale is selling, whether anything is lost, and whether processing lags behind."""

from parts import SALE, bars, board, series, stat, timeline

SELLING = {"0": {"text": "not selling", "color": "red"}, "1": {"text": "selling", "color": "green"}}

BOARD = board(
    "flash-sale",
    "Overview on one screen: whether the sale is selling, whether anything is lost, and whether processing lags behind.",
    [SALE],
    {
        "Sales": [
            stat(
                "Selling",
                {"{{sale}}": 'sale:selling:bool{sale=~"$sale"}'},
                "none",
                """The sale is open and its stock is in Redis; its window is not considered. Red while it
                 should sell: POST …/open, or see runbook SaleNotReady.""",
                "red 1:green",
                w=4,
                mappings=SELLING,
                to="flash-sale-stock",
                text="value_and_name",
            ),
            stat(
                "Accepted",
                'sum(outcome:place_order:rate10s{outcome="accepted"}) or vector(0)',
                "ops",
                """Orders answered with 202 per second: they are in Kafka, acknowledged by every in-sync
                 replica. Replays are not counted. If it is 0 while units are available and customers order,
                 check orders by outcome on the board Gateway.""",
                "blue",
                w=4,
                to="flash-sale-gateway",
            ),
            stat(
                "Units available",
                'sum(sale:stock_units:sum{state="available",sale=~"$sale"}) / sum(sale:stock_units:sum{state="total",sale=~"$sale"})',
                "percentunit",
                """Available units (neither held nor sold) as a share of the total of all
                 limited items. Red: sold out, but held units can return until they are paid.""",
                "red 0.0001:yellow 0.1:green",
                w=4,
                to="flash-sale-stock",
            ),
            stat(
                "Accepted, p99",
                "quantile:gateway_accepted_seconds:rate1m or vector(0)",
                "s",
                """From the arrival of an order to its 202, over the last minute. Objective: 99.9% within 500
                 ms, which is what a customer notices. Yellow from 100 ms: check reserve and hand-off on the
                 board Gateway.""",
                "green 0.1:yellow 0.5:red",
                w=4,
                to="flash-sale-gateway",
            ),
            stat(
                "Failed requests",
                'max(objective:errors:ratio_rate1m{objective="answered"}) or vector(0)',
                "percentunit",
                """Share of customer requests answered 503 or 500 in the last minute. Objective: less than
                 0.1%. Red at a burn rate of 14.4: runbook ErrorBudgetBurning.""",
                "green 0.001:yellow 0.0144:red",
                w=4,
                to="flash-sale-gateway",
            ),
            stat(
                "Error budget remaining",
                {"{{objective}}": "objective:budget_left:ratio"},
                "percentunit",
                """The remaining error budget of seven days for each objective. Below 0 the objective is
                 missed: do not ship anything risky until it recovers.""",
                "red 0.0001:yellow 0.25:green",
                w=4,
                text="value_and_name",
            ),
        ],
        "Integrity": [
            stat(
                "Oversold units",
                "sum(max by (sale, sku) (oversold_units)) or vector(0)",
                "short",
                """Units held or sold beyond a total, over all sales. Postgres refuses them. Anything but 0
                 is a bug: pause the sale, runbook UnitsOversold.""",
                "green 1:red",
                w=4,
                to="flash-sale-stock",
            ),
            stat(
                "Drift",
                "sum(abs(max by (sale, sku) (stock_drift_units))) or vector(0)",
                "short",
                """The difference in units between Redis and Postgres, proven with everything in flight taken
                 into account. A rebuild repairs it after 10 s. Red for longer: runbook StockDrift.""",
                "green 1:red",
                w=4,
                to="flash-sale-stock",
            ),
            stat(
                "Guard trips",
                "sum(settlement_guard_trips_total)",
                "short",
                """Acknowledged orders that Postgres had to refuse, since settlement started. Anything but 0
                 is a broken promise: runbook GuardTripped.""",
                "green 1:red",
                w=4,
                to="flash-sale-settlement",
            ),
            stat(
                "Dead letters",
                "sum(dead_letters_undecided)",
                "short",
                """Records of the log that could not be applied and wait for a decision. Their units are held
                 back until an operator replays or discards them: runbook DeadLetters.""",
                "green 1:red",
                w=4,
                to="flash-sale-settlement",
            ),
            stat(
                "Consumer dead letters",
                "sum(consumer_dead_letters_total) or vector(0)",
                "short",
                """Events that payments, notification or analytics dead-lettered after three attempts, since
                 they started. Runbook ConsumerDeadLetters.""",
                "green 1:yellow",
                w=4,
                to="flash-sale-payments",
            ),
            stat(
                "Alerts firing",
                'count(ALERTS{alertstate="firing"}) or vector(0)',
                "short",
                """Alerts of grafana/rules that are firing. The page /alerts of Prometheus lists them; each
                 names its runbook.""",
                "green 1:red",
                w=4,
                to="flash-sale-dependencies",
            ),
        ],
        "Lag": [
            stat(
                "Settlement lag",
                "max(settlement_lag_seconds)",
                "s",
                """Age of the oldest record of the log that is not in Postgres. Nothing is lost, but
                 customers wait for the next steps. Red from 5 s: runbook SettlementLagging.""",
                "green 1:yellow 5:red",
                w=4,
                to="flash-sale-settlement",
            ),
            stat(
                "Settled, p99",
                "histogram_quantile(0.99, sum by (le) (rate(settlement_order_seconds_bucket[1m])))",
                "s",
                """From the acceptance of an order to its row in Postgres, over the last minute. Objective:
                 99.9% within 5 s.""",
                "green 1:yellow 5:red",
                w=4,
                to="flash-sale-settlement",
            ),
            stat(
                "Outbox",
                "max(max by (sale) (outbox_entries))",
                "short",
                """Batches that Redis holds until Kafka has acknowledged them. 0 at rest. A gateway stops
                 accepting orders while 256 of its own are in flight. High and not falling: runbooks OutboxOld
                 and OutboxFull.""",
                "green 128:yellow 200:red",
                w=4,
                to="flash-sale-settlement",
            ),
            stat(
                "Consumer lag",
                "max(sum by (group) (max by (group, topic, partition) (consumer_lag_records)))",
                "short",
                """Consumer lag of the slowest of payments, notification and analytics, in events. It grows
                 in a burst and returns to 0. Not falling: runbook ConsumerLagging.""",
                "green 1000:yellow 100000:red",
                w=4,
                to="flash-sale-payments",
            ),
            stat(
                "Shortest lease",
                "min(gateway_lease_seconds_left)",
                "s",
                """The shortest remaining lease of any gateway, of 3 s. At 0 that gateway answers 503
                 log_unavailable. Yellow below 2 s: Kafka is slow. Runbook LeaseLost.""",
                "red 1:yellow 2:green",
                w=4,
                to="flash-sale-gateway",
            ),
            stat(
                "Dependencies down",
                "count(dependency_up == 0) or vector(0)",
                "short",
                """Dependencies that some process cannot reach now. /health/ready of that process gives the
                 reason. Runbook DependencyDown.""",
                "green 1:red",
                w=4,
                to="flash-sale-dependencies",
            ),
        ],
        "Orders and stock": [
            series(
                "Orders by outcome",
                {"{{outcome}}": "outcome:place_order:rate10s"},
                "ops",
                """Responses to orders per second, by outcome: accepted, replayed, or the problem's code.
                   sold_out and duplicate_order are normal; 503 codes are not.""",
                stack=True,
                to="flash-sale-gateway",
            ),
            bars(
                "Units available by SKU",
                {"{{sale}} {{sku}}": 'max by (sale, sku) (stock_units{state="available",sale=~"$sale"})'},
                "short",
                """Available units by SKU, according to Postgres. The figure trails Redis by the settlement
                 lag.""",
                "red 1:yellow 10:green",
                to="flash-sale-stock",
            ),
            timeline(
                "State",
                {"{{sale}} {{state}}": 'max by (sale, state) (sale_state{sale=~"$sale"}) == 1'},
                """The state that the operator has set: draft, open, paused or closed. Changes are also
                     marked in every graph.""",
                "blue",
                w=8,
                to="flash-sale-stock",
            ),
        ],
    },
)
