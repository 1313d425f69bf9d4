"""Who follows the orders' events: payments with the card provider, notification, analytics."""

from parts import GROUP, board, quantiles, series, stat, timeline

OF_GROUP = 'group=~"$group"'
THERE = {"0": {"text": "open", "color": "red"}, "1": {"text": "closed", "color": "green"}}

BOARD = board(
    "flash-sale-payments",
    "Who follows the orders' events: payments with the card provider, notification, analytics.",
    [GROUP],
    {
        "At a glance": [
            stat("Payments that succeed", '1 - (sum(rate(payments_total{result=~"failed|unknown"}[5m])) or vector(0)) / (sum(rate(payments_total[5m])) > 0) or vector(1)',
                 "percentunit", """Of the last five minutes' payments. Some cards are always refused; below one half something is
                 wrong: runbook PaymentsFailing.""", "red 0.5:yellow 0.8:green", w=6),
            stat("Open payments", "max(payments_open)", "short",
                 """Payments and refunds by card of which no result came in time. They are asked for again; standing above 0:
                 runbook PaymentsOpen.""", "green 1:yellow 100:red", w=6),
            stat("Groups behind", "max(sum by (group) (max by (group, topic, partition) (consumer_lag_records)))", "short",
                 """Events before the slowest group. Runbook ConsumerLagging.""", "green 1000:yellow 100000:red", w=6),
            stat("Given up", "sum(consumer_dead_letters_total)", "short",
                 """Events that a group put aside after three tries, since it started. Runbook ConsumerDeadLetters.""",
                 "green 1:red", w=6),
        ],
        "Payments": [
            series("Payments by method and result", {"{{method}} {{result}}": "sum by (method, result) (rate(payments_total[$__rate_interval]))"},
                   "ops", """Payments that became certain, a second: succeeded, failed, refunded. A wallet's are counted in settlement, a
                   card's by the payments group; unknown: the provider still has to be asked.""", stack=True),
            series("From request to result", quantiles("payment_seconds"), "s",
                   """How long the payments group needed for a card, from taking up the event to the provider's word, tries and
                   pauses included. The line at 3 s is the default PROVIDER_TIMEOUT_MS of one call.""", "green 3:red"),
            series("Open payments", {"{{method}}": "max by (method) (payments_open)"}, "short",
                   """As the last sweep found them. It grows while the provider is away and goes back to 0 by itself."""),
            timeline("Circuit to the provider", {"{{instance}}": 'dependency_up{dependency="provider"}'},
                     """Open while calls to the card provider are not answered: payments wait and are asked for again. Runbook
                     PartnerDown.""", w=12, mappings=THERE),
            series("The provider's callbacks", {"{{result}}": "sum by (result) (rate(provider_callbacks_total[$__rate_interval]))"}, "ops",
                   """Signed results that the simulated provider sent to the gateway, a second: taken, refused (sent again), or
                   given up. Refused: do both know the same PAYMENT_WEBHOOK_SECRET?""", w=12),
        ],
        "Following the events": [
            series("Lag of the groups", {"{{group}}": f"sum by (group) (max by (group, topic, partition) (consumer_lag_records{{{OF_GROUP}}}))"},
                   "short", """Events of order-events and of the group's retry topic that a group has not finished yet. After a burst it
                   falls at the group's own pace.""", "green 1000:yellow"),
            series("Second tries and dead letters", {
                "{{group}}: again": f"sum by (group) (rate(consumer_retries_total{{{OF_GROUP}}}[$__rate_interval]))",
                "{{group}}: dead letters": f"sum by (group) (rate(consumer_dead_letters_total{{{OF_GROUP}}}[$__rate_interval]))"}, "ops",
                   """Events that failed and are tried again through the group's retry topic, and those given up after three
                   tries, a second. GET /dead-letters on the group's listener shows them."""),
            series("Notifications", {"{{channel}} {{result}}": "sum by (channel, result) (rate(notifications_total[$__rate_interval]))"}, "ops",
                   """Messages to customers by channel (email, webhook), a second: sent, or failed and tried again. Runbook
                   NotificationsFailing.""", stack=True),
        ],
    },
)
