"""What customers get, how quickly, and what holds it up."""

from parts import GATEWAY, SALE, board, quantiles, series, stat

HERE = 'instance=~"$instance"'
ORDERS = f'route="place_order",{HERE}'

BOARD = board(
    "flash-sale-gateway",
    "What customers get, how quickly, and what holds it up.",
    [GATEWAY, SALE],
    {
        "Objectives": [
            stat("Answered", '1 - (objective:errors:ratio_rate30m{objective="answered"})', "percentunit",
                 """Share of customers' requests that got an answer other than 503 and 500, over 30 minutes and all gateways.
                 Objective: 99.9%.""", "red 0.994:yellow 0.999:green", w=4),
            stat("Accepted within 500 ms", '1 - (objective:errors:ratio_rate30m{objective="accepted_fast"})', "percentunit",
                 """Share of the 202s that took at most half a second, over 30 minutes and all gateways. Objective: 99.9%.""",
                 "red 0.994:yellow 0.999:green", w=4),
            series("Burn rate", {"{{objective}}": "objective:errors:ratio_rate5m / on (objective) (1 - objective:target:ratio)"}, "none",
                   """How many times faster than allowed each objective's budget is used, over 5 minutes. 1 uses up exactly
                   what may fail; from 14.4 you are paged: runbook ErrorBudgetBurning.""", "green 1:yellow 14.4:red", w=16),
        ],
        "Customers": [
            series("Orders by outcome", {"{{outcome}}": f"sum by (outcome) (rate(gateway_requests_total{{{ORDERS}}}[$__rate_interval]))"},
                   "ops", """Answers to POST …/orders a second, by what became of them: accepted, replayed, or the problem's code.
                   Many overloaded: runbook OrdersShed.""", stack=True),
            series("Time to answer an order", quantiles("gateway_request_seconds", f"{{{ORDERS}}}"), "s",
                   """From the request's arrival to its answer, all outcomes. The line at 500 ms is what a customer notices.
                   Above it, see which of the next row's steps takes the time.""", "green 0.5:red"),
            series("Time to accept an order", quantiles("gateway_accepted_seconds", f"{{{HERE}}}"), "s",
                   """From the request's arrival to its 202: refusals, which are quick, are left out. Objective: 99.9% within
                   500 ms.""", "green 0.5:red"),
            series("Other requests", {"{{route}}": f'sum by (route) (rate(gateway_requests_total{{route!="place_order",{HERE}}}[$__rate_interval]))'},
                   "ops", """Answers a second on all other routes of both listeners. Storefronts poll: many sale and availability
                   requests are normal in a burst.""", stack=True),
            series("Time to answer other requests", {"{{route}}": f'histogram_quantile(0.99, sum by (le, route) (rate(gateway_request_seconds_bucket{{route!="place_order",{HERE}}}[$__rate_interval])))'},
                   "s", """p99 by route. Those that read Postgres wait for it and are limited in time: slow here, fast for
                   orders means that the database is busy.""", "green 0.5:red"),
            series("Problems", {"{{route}} {{outcome}}": f'sum by (route, outcome) (rate(gateway_requests_total{{outcome=~"internal_error|overloaded|outcome_unknown|stock_unavailable|log_unavailable|sale_rebuilding|database_unavailable",{HERE}}}[$__rate_interval])) or sum by (instance) (0 * rate(gateway_faults_total{{{HERE}}}[$__rate_interval]))'},
                   "ops", """Requests that got no answer, by code and route, a second: what the objective counts as failed. 0 for
                   each gateway while there are none. internal_error is a fault of ours: runbook FaultsAnswered.""", "green 1:red"),
        ],
        "An order's way": [
            series("Reserve", quantiles("gateway_reserve_seconds", f"{{{HERE}}}"), "s",
                   """One call of reserve.lua for a batch, from sending to its reply. The line at 1 s is the default
                   GATEWAY_RESERVE_TIMEOUT_MS: from there the outcome is unknown. Slow: is Redis' one core full?""", "green 1:red"),
            series("Hand-off", quantiles("gateway_handoff_seconds", f"{{{HERE}}}"), "s",
                   """One record, from producing it to the log's acknowledgement. The line at 5 s is the default
                   GATEWAY_HANDOFF_TIMEOUT_MS. Slow: Kafka's disk, or a replica that lags.""", "green 5:red"),
            series("Orders in a script call", {
                "mean": f"sum(rate(gateway_reserve_batch_size_sum{{{HERE}}}[$__rate_interval])) / sum(rate(gateway_reserve_batch_size_count{{{HERE}}}[$__rate_interval]))",
                "p99": f"histogram_quantile(0.99, sum by (le) (rate(gateway_reserve_batch_size_bucket{{{HERE}}}[$__rate_interval])))"},
                   "short", """Natural batching: whoever waits goes into the next call. 128 is the most; a mean near it says that
                   Redis is the limit.""", "green 128:yellow"),
            series("Waiting for the script", {"{{instance}} {{sale}}": f'sum by (instance, sale) (gateway_queue_depth{{sale=~"$sale",{HERE}}})'},
                   "short", """Orders in the queue of a sale's batcher. The red line is the default GATEWAY_QUEUE_ORDERS_MAX; beyond
                   it orders are refused as overloaded.""", "green 8192:yellow 32768:red"),
            series("Shed", {"{{reason}}": f"sum by (reason) (rate(gateway_shed_total{{{HERE}}}[$__rate_interval])) or vector(0)"}, "ops",
                   """Orders refused before anything was tried, a second: overloaded (the queue is full), log_silent or
                   redis_silent (no answer comes), log_unavailable (no lease), settlement_behind. Runbook OrdersShed.""", "green 1:red"),
            series("Hand-offs without a known outcome", {"{{kind}}": f"sum by (kind) (rate(gateway_handoff_failures_total{{{HERE}}}[$__rate_interval]))"},
                   "ops", """Batches whose record was not acknowledged under a valid lease, a second. Their customers were told
                   outcome_unknown; the relay brings the orders into the log. Runbook OutcomesUnknown.""", "green 1:red"),
        ],
        "Lease and live updates": [
            series("Lease left", {"{{instance}}": f"gateway_lease_seconds_left{{{HERE}}}"}, "s",
                   """How long each gateway may still answer, of 3 s. A renewal is due every 0.5 s; below the line it has missed
                   some. At 0: runbook LeaseLost.""", "red 1:green"),
            series("Open live updates", {"{{instance}}": f"sum by (instance) (live_update_streams{{{HERE}}})"}, "short",
                   """Streams (Server-Sent Events and WebSockets) that follow an order. The line at 20,000 is the default
                   GATEWAY_LIVE_STREAMS_MAX. Runbook LiveUpdatesFull.""", "green 20000:red"),
            series("Ends of live updates", {
                "ended: {{reason}}": f"sum by (reason) (rate(live_update_streams_ended_total{{{HERE}}}[$__rate_interval]))",
                "events read": f"sum(rate(live_update_events_total{{{HERE}}}[$__rate_interval]))"}, "ops",
                   """Streams that a gateway ended, a second: final (the order is over), behind (the reader was too slow and
                   resumes), stopping. And the events that gateways read for them. Many behind: slow networks, or too few gateways."""),
        ],
    },
)
