"""One screen: is it selling, is anything lost, are we behind."""

from parts import SALE, bars, board, quantiles, series, stat, timeline

SELLING = {"0": {"text": "not selling", "color": "red"}, "1": {"text": "selling", "color": "green"}}

BOARD = board(
    "flash-sale",
    "One screen: is it selling, is anything lost, are we behind.",
    [SALE],
    {
        "Is it selling?": [
            stat("Selling", {"{{sale}}": 'sale:selling:bool{sale=~"$sale"}'}, "none",
                 """Open by its operator's word, and its stock is in Redis; its window is not looked at. Red while you mean
                 it to sell: POST …/open, or see runbook SaleNotReady.""",
                 "red 1:green", w=4, mappings=SELLING, to="flash-sale-stock", text="value_and_name"),
            stat("Accepted", 'sum(outcome:place_order:rate10s{outcome="accepted"}) or vector(0)', "ops",
                 """Orders answered with 202 a second: in the log, acknowledged by every in-sync replica. Replays are not
                 counted. 0 with units left and customers at the door: look at Gateway, orders by outcome.""",
                 "blue", w=4, to="flash-sale-gateway"),
            stat("Left to sell", 'sum(sale:stock_units:sum{state="available",sale=~"$sale"}) / sum(sale:stock_units:sum{state="total",sale=~"$sale"})',
                 "percentunit", """Units that nobody holds or has bought, of all that are counted. Red: sold out, but held units
                 may come back until they are paid.""", "red 0.0001:yellow 0.1:green", w=4, to="flash-sale-stock"),
            stat("Accepted, p99", 'quantile:gateway_accepted_seconds:rate1m or vector(0)', "s",
                 """From an order's arrival to its 202, over the last minute. Objective: 99.9% within 500 ms, which is what a
                 customer notices. Yellow from 100 ms: look at Gateway, reserve and hand-off.""",
                 "green 0.1:yellow 0.5:red", w=4, to="flash-sale-gateway"),
            stat("Not answered", 'max(objective:errors:ratio_rate1m{objective="answered"}) or vector(0)', "percentunit",
                 """Share of customers' requests answered 503 or 500 in the last minute. Objective: less than 0.1%. Red at a
                 burn rate of 14.4: runbook ErrorBudgetBurning.""", "green 0.001:yellow 0.0144:red", w=4, to="flash-sale-gateway"),
            stat("Error budget left", {"{{objective}}": "objective:budget_left:ratio"}, "percentunit",
                 """Of what may fail in seven days, what is left, for each objective. Below 0 the objective is missed: ship
                 nothing risky until it recovers.""", "red 0.0001:yellow 0.25:green", w=4, text="value_and_name"),
        ],
        "Is anything lost?": [
            stat("Oversold units", 'sum(max by (sale, sku) (oversold_units)) or vector(0)', "short",
                 """Units held or sold beyond a total, over all sales. Postgres refuses them; anything but 0 is a fault: pause
                 the sale, runbook UnitsOversold.""", "green 1:red", w=4, to="flash-sale-stock"),
            stat("Drift", 'sum(abs(max by (sale, sku) (stock_drift_units))) or vector(0)', "short",
                 """Units that Redis has more or less than Postgres says, as proven with what is in flight taken out. A rebuild
                 repairs it after 10 s. Red for longer: runbook StockDrift.""", "green 1:red", w=4, to="flash-sale-stock"),
            stat("Guard trips", 'sum(settlement_guard_trips_total)', "short",
                 """Acknowledged orders that Postgres had to refuse, since the settlers started. Anything but 0 is a promise
                 that was not kept: runbook GuardTripped.""", "green 1:red", w=4, to="flash-sale-settlement"),
            stat("Dead letters", 'sum(dead_letters_undecided)', "short",
                 """Records of the log that could not be applied and wait for a decision. Their units are held back until you
                 replay or discard them: runbook DeadLetters.""", "green 1:red", w=4, to="flash-sale-settlement"),
            stat("Given up downstream", 'sum(consumer_dead_letters_total) or vector(0)', "short",
                 """Events that payments, notification or analytics gave up after three tries, since they started. Runbook
                 ConsumerDeadLetters.""", "green 1:yellow", w=4, to="flash-sale-payments"),
            stat("Alerts firing", 'count(ALERTS{alertstate="firing"}) or vector(0)', "short",
                 """Rules of grafana/rules that fire now. /alerts of Prometheus lists them; each names its runbook.""",
                 "green 1:red", w=4, to="flash-sale-dependencies"),
        ],
        "Are we behind?": [
            stat("Settlement lag", 'max(settlement_lag_seconds)', "s",
                 """Age of the oldest record of the log that is not in Postgres. Nothing is lost by it; customers wait for
                 what follows. Red from 5 s: runbook SettlementLagging.""", "green 1:yellow 5:red", w=4, to="flash-sale-settlement"),
            stat("Settled, p99", 'histogram_quantile(0.99, sum by (le) (rate(settlement_order_seconds_bucket[1m])))', "s",
                 """From an order's acceptance to its row in Postgres, over the last minute. Objective: 99.9% within 5 s.""",
                 "green 1:yellow 5:red", w=4, to="flash-sale-settlement"),
            stat("Outbox", 'max(max by (sale) (outbox_entries))', "short",
                 """Batches that Redis holds until the log has acknowledged them. 0 at rest; a gateway takes no more orders while 256 of its own are in flight. High
                 and standing: runbooks OutboxOld and OutboxFull.""", "green 128:yellow 200:red", w=4, to="flash-sale-settlement"),
            stat("Groups behind", 'max(sum by (group) (max by (group, topic, partition) (consumer_lag_records)))', "short",
                 """Events that the slowest of payments, notification and analytics has still before it. Grows in a burst and
                 goes back to 0. Standing: runbook ConsumerLagging.""", "green 1000:yellow 100000:red", w=4, to="flash-sale-payments"),
            stat("Lease left, least", 'min(gateway_lease_seconds_left)', "s",
                 """The least time for which any gateway may still answer, of 3 s. At 0 it answers 503 log_unavailable.
                 Yellow below 2 s: Kafka is slow. Runbook LeaseLost.""", "red 1:yellow 2:green", w=4, to="flash-sale-gateway"),
            stat("Missing dependencies", 'count(dependency_up == 0) or vector(0)', "short",
                 """Dependencies that some process finds missing now. /health/ready of that process tells why. Runbook
                 DependencyDown.""", "green 1:red", w=4, to="flash-sale-dependencies"),
        ],
        "The sale": [
            series("Orders by outcome", {"{{outcome}}": "outcome:place_order:rate10s"}, "ops",
                   """Answers to orders a second, by what became of them: accepted, replayed, or the problem's code. sold_out
                   and duplicate_order are good answers; 503 codes are not.""", stack=True, to="flash-sale-gateway"),
            bars("Units left", {"{{sale}} {{sku}}": 'max by (sale, sku) (stock_units{state="available",sale=~"$sale"})'}, "short",
                 """Per SKU, as Postgres has it: what nobody holds or has bought. It follows Redis by the settlement lag.""",
                 "red 1:yellow 10:green", to="flash-sale-stock"),
            timeline("State", {"{{sale}} {{state}}": 'max by (sale, state) (sale_state{sale=~"$sale"}) == 1'},
                     """The operator's word over time: draft, open, paused or closed. Changes are also marked in every graph.""",
                     "blue", w=8, to="flash-sale-stock"),
        ],
    },
)
