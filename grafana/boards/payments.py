"""The consumers of the order events: payments with the card provider, notification, analytics."""

from parts import GROUP, board, quantiles, series, stat, timeline

OF_GROUP = 'group=~"$group"'
CIRCUIT = {"0": {"text": "open", "color": "red"}, "1": {"text": "closed", "color": "green"}}

BOARD = board(
    "flash-sale-payments",
    "The consumers of the order events: payments with the card provider, notification, analytics.",
    [GROUP],
    {
        "At a glance": [
            stat(
                "Payment success rate",
                '1 - (sum(rate(payments_total{result=~"failed|unknown"}[5m])) or vector(0)) / (sum(rate(payments_total[5m])) > 0) or vector(1)',
                "percentunit",
                """Share of the last five minutes' payments that succeeded. Some cards are
                 always declined; below 50% something is wrong: runbook PaymentsFailing.""",
                "red 0.5:yellow 0.8:green",
                w=6,
            ),
            stat(
                "Open payments",
                "max(payments_open)",
                "short",
                """Card payments and refunds whose result did not arrive in time. The provider is queried
                 again. Above 0 and not falling: runbook PaymentsOpen.""",
                "green 1:yellow 100:red",
                w=6,
            ),
            stat(
                "Consumer lag",
                "max(sum by (group) (max by (group, topic, partition) (consumer_lag_records)))",
                "short",
                """Consumer lag of the slowest group, in events. Runbook ConsumerLagging.""",
                "green 1000:yellow 100000:red",
                w=6,
            ),
            stat(
                "Consumer dead letters",
                "sum(consumer_dead_letters_total)",
                "short",
                """Events that a group dead-lettered after three attempts, since it started. Runbook
                 ConsumerDeadLetters.""",
                "green 1:red",
                w=6,
            ),
        ],
        "Payments": [
            series(
                "Payments by method and result",
                {"{{method}} {{result}}": "sum by (method, result) (rate(payments_total[$__rate_interval]))"},
                "ops",
                """Payments per second that reached a result: succeeded, failed, refunded. Wallet
                   payments are counted by settlement, card payments by the payments group. unknown: the
                   provider must be queried again.""",
                stack=True,
            ),
            series(
                "Card payment latency",
                quantiles("payment_seconds"),
                "s",
                """From the payments group's first handling of the event to the provider's result, retries
                   and backoff included. The line at 3 s is the default PROVIDER_TIMEOUT_MS of one call.""",
                "green 3:red",
            ),
            series(
                "Open payments",
                {"{{method}}": "max by (method) (payments_open)"},
                "short",
                """Open payments found by the last sweep. The number grows while the provider is down and
                   returns to 0 by itself.""",
            ),
            timeline(
                "Circuit to the provider",
                {"{{instance}}": 'dependency_up{dependency="provider"}'},
                """The circuit breaker is open while the card provider does not respond: payments wait
                     and are retried. Runbook PartnerDown.""",
                w=12,
                mappings=CIRCUIT,
            ),
            series(
                "Provider callbacks",
                {"{{result}}": "sum by (result) (rate(provider_callbacks_total[$__rate_interval]))"},
                "ops",
                """Signed results per second that the simulated provider sent to the gateway: taken,
                   refused (sent again), or given up. If they are refused, check that both use the same
                   PAYMENT_WEBHOOK_SECRET.""",
                w=12,
            ),
        ],
        "Consumer groups": [
            series(
                "Consumer lag",
                {
                    "{{group}}": f"sum by (group) (max by (group, topic, partition) (consumer_lag_records{{{OF_GROUP}}}))"
                },
                "short",
                """Events of order-events and of the group's retry topic that a group has not
                   processed yet. After a burst the lag falls at the group's own pace.""",
                "green 1000:yellow",
            ),
            series(
                "Retries and dead letters",
                {
                    "{{group}}: retries": f"sum by (group) (rate(consumer_retries_total{{{OF_GROUP}}}[$__rate_interval]))",
                    "{{group}}: dead letters": f"sum by (group) (rate(consumer_dead_letters_total{{{OF_GROUP}}}[$__rate_interval]))",
                },
                "ops",
                """Events per second that failed and are retried through the group's retry topic, and
                   events that were dead-lettered after three attempts. GET /dead-letters on the group's
                   listener lists them.""",
            ),
            series(
                "Notifications",
                {"{{channel}} {{result}}": "sum by (channel, result) (rate(notifications_total[$__rate_interval]))"},
                "ops",
                """Messages per second to customers by channel (email, webhook): sent, or failed and
                   retried. Runbook NotificationsFailing.""",
                stack=True,
            ),
        ],
    },
)
