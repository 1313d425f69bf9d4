"""What customers are answered, how quickly, and where the time goes."""

from parts import GATEWAY, SALE, board, quantiles, series, stat

HERE = 'instance=~"$instance"'
ORDERS = f'route="place_order",{HERE}'

BOARD = board(
    "flash-sale-gateway",
    "What customers are answered, how quickly, and where the time goes.",
    [GATEWAY, SALE],
    {
        "Objectives": [
            stat(
                "Requests answered",
                '1 - (objective:errors:ratio_rate30m{objective="answered"})',
                "percentunit",
                """Share of customer requests answered with any status but 503 and 500, over 30 minutes and
                 all gateways. Objective: 99.9%.""",
                "red 0.994:yellow 0.999:green",
                w=4,
            ),
            stat(
                "Accepted within 500 ms",
                '1 - (objective:errors:ratio_rate30m{objective="accepted_fast"})',
                "percentunit",
                """Share of the 202 responses that took at most 500 ms, over 30 minutes and all gateways.
                 Objective: 99.9%.""",
                "red 0.994:yellow 0.999:green",
                w=4,
            ),
            series(
                "Burn rate",
                {"{{objective}}": "objective:errors:ratio_rate5m / on (objective) (1 - objective:target:ratio)"},
                "none",
                """How many times faster than allowed each objective's error budget is used, over 5
                   minutes. At 1 the budget is exactly used up; at 14.4 an alert pages: runbook
                   ErrorBudgetBurning.""",
                "green 1:yellow 14.4:red",
                w=16,
            ),
        ],
        "Customers": [
            series(
                "Orders by outcome",
                {"{{outcome}}": f"sum by (outcome) (rate(gateway_requests_total{{{ORDERS}}}[$__rate_interval]))"},
                "ops",
                """Responses to POST …/orders per second, by outcome: accepted, replayed, or the
                   problem's code. Many overloaded: runbook OrdersShed.""",
                stack=True,
            ),
            series(
                "Order latency",
                quantiles("gateway_request_seconds", f"{{{ORDERS}}}"),
                "s",
                """From the arrival of the request to its response, all outcomes. The line at 500 ms is
                   what a customer notices. Above it, see which step in the row below is slow.""",
                "green 0.5:red",
            ),
            series(
                "Acceptance latency",
                quantiles("gateway_accepted_seconds", f"{{{HERE}}}"),
                "s",
                """From the arrival of the request to its 202. Refusals, which are quick, are left out.
                   Objective: 99.9% within 500 ms.""",
                "green 0.5:red",
            ),
            series(
                "Other requests",
                {
                    "{{route}}": f'sum by (route) (rate(gateway_requests_total{{route!="place_order",{HERE}}}[$__rate_interval]))'
                },
                "ops",
                """Responses per second on all other routes of both listeners. Storefronts poll:
                   many sale and availability requests are normal in a burst.""",
                stack=True,
            ),
            series(
                "Latency of other requests",
                {
                    "{{route}}": f'histogram_quantile(0.99, sum by (le, route) (rate(gateway_request_seconds_bucket{{route!="place_order",{HERE}}}[$__rate_interval])))'
                },
                "s",
                """p99 by route. Routes that read Postgres wait for it, with a timeout. If they are
                   slow while orders are fast, the database is busy.""",
                "green 0.5:red",
            ),
            series(
                "Failed requests",
                {
                    "{{route}} {{outcome}}": f'sum by (route, outcome) (rate(gateway_requests_total{{outcome=~"internal_error|overloaded|outcome_unknown|stock_unavailable|log_unavailable|sale_rebuilding|starting|database_unavailable",{HERE}}}[$__rate_interval])) or sum by (instance) (0 * rate(gateway_faults_total{{{HERE}}}[$__rate_interval]))'
                },
                "ops",
                """Requests answered 503 or 500 per second, by code and route: what the objective
                   counts as failures. 0 for each gateway while there are none. internal_error is a bug:
                   runbook FaultsAnswered.""",
                "green 1:red",
            ),
        ],
        "Order latency by step": [
            series(
                "Reserve",
                quantiles("gateway_reserve_seconds", f"{{{HERE}}}"),
                "s",
                """One call of reserve.lua for a batch, from sending to its reply. The line at 1 s is the
                   default GATEWAY_RESERVE_TIMEOUT_MS: after that the outcome is unknown. If it is slow, check
                   whether the single core of Redis is saturated.""",
                "green 1:red",
            ),
            series(
                "Hand-off",
                quantiles("gateway_handoff_seconds", f"{{{HERE}}}"),
                "s",
                """One record, from producing it to Kafka's acknowledgement. The line at 5 s is the default
                   GATEWAY_HANDOFF_TIMEOUT_MS. If it is slow, check Kafka's disk and lagging replicas.""",
                "green 5:red",
            ),
            series(
                "Orders per script call",
                {
                    "mean": f"sum(rate(gateway_reserve_batch_size_sum{{{HERE}}}[$__rate_interval])) / sum(rate(gateway_reserve_batch_size_count{{{HERE}}}[$__rate_interval]))",
                    "p99": f"histogram_quantile(0.99, sum by (le) (rate(gateway_reserve_batch_size_bucket{{{HERE}}}[$__rate_interval])))",
                },
                "short",
                """Natural batching: all waiting orders go into the next call, at most 128. A mean
                   near 128 means that Redis is the bottleneck.""",
                "green 128:yellow",
            ),
            series(
                "Queue depth",
                {"{{instance}} {{sale}}": f'sum by (instance, sale) (gateway_queue_depth{{sale=~"$sale",{HERE}}})'},
                "short",
                """Orders in the queue of a sale's batcher. The red line is the default
                   GATEWAY_QUEUE_ORDERS_MAX; beyond it orders are refused as overloaded.""",
                "green 8192:yellow 32768:red",
            ),
            series(
                "Shed",
                {"{{reason}}": f"sum by (reason) (rate(gateway_shed_total{{{HERE}}}[$__rate_interval])) or vector(0)"},
                "ops",
                """Load shedding: orders per second refused before any work was done: overloaded (the queue
                   is full), log_silent or redis_silent (Kafka or Redis does not respond), log_unavailable (no
                   lease), settlement_behind. Runbook OrdersShed.""",
                "green 1:red",
            ),
            series(
                "Failed hand-offs",
                {"{{kind}}": f"sum by (kind) (rate(gateway_handoff_failures_total{{{HERE}}}[$__rate_interval]))"},
                "ops",
                """Batches per second whose record was not acknowledged under a valid lease. Their
                   customers received outcome_unknown; the relay hands the orders off to the log. Runbook
                   OutcomesUnknown.""",
                "green 1:red",
            ),
        ],
        "Lease and live updates": [
            series(
                "Lease remaining",
                {"{{instance}}": f"gateway_lease_seconds_left{{{HERE}}}"},
                "s",
                """How long each gateway's lease is still valid, of 3 s. It is renewed every 0.5 s; below
                   the line several renewals have failed. At 0: runbook LeaseLost.""",
                "red 1:green",
            ),
            series(
                "Unreadable publications",
                {"{{instance}}": f"gateway_unreadable_publications{{{HERE}}}"},
                "short",
                """Publications of sales that a gateway cannot read. It does not sell these sales: runbook
                   PublicationUnreadable.""",
                "green 1:red",
            ),
            series(
                "Open live-update streams",
                {"{{instance}}": f"sum by (instance) (live_update_streams{{{HERE}}})"},
                "short",
                """Streams (Server-Sent Events and WebSockets) that follow an order. The line at 20,000 is
                   the default GATEWAY_LIVE_STREAMS_MAX. Runbook LiveUpdatesFull.""",
                "green 20000:red",
            ),
            series(
                "Ended live-update streams",
                {
                    "ended: {{reason}}": f"sum by (reason) (rate(live_update_streams_ended_total{{{HERE}}}[$__rate_interval]))",
                    "events read": f"sum(rate(live_update_events_total{{{HERE}}}[$__rate_interval]))",
                },
                "ops",
                """Streams per second that a gateway ended: final (the order is complete), behind (the
                   client was too slow and resumes), stopping (the gateway shuts down). Also the events per
                   second that gateways read for them. Many behind: slow networks, or too few gateways.""",
            ),
        ],
    },
)
