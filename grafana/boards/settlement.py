"""How the log becomes rows, and what is left behind on the way."""

from parts import SALE, SETTLER, board, quantiles, series, stat

HERE = 'instance=~"$instance"'

BOARD = board(
    "flash-sale-settlement",
    "How the log becomes rows, and what is left behind on the way.",
    [SETTLER, SALE],
    {
        "Behind?": [
            stat("Settled within 5 s", '1 - (objective:errors:ratio_rate30m{objective="settled_fast"})', "percentunit",
                 """Share of the orders whose row was in Postgres within 5 s of their acceptance, over 30 minutes. Objective:
                 99.9%.""", "red 0.994:yellow 0.999:green", w=4, h=8),
            series("Lag in seconds", {"partition {{partition}}": "max by (partition) (settlement_lag_seconds)"}, "s",
                   """Age of the oldest record that is not in Postgres yet. Red from 5 s: runbook SettlementLagging. Orders are
                   refused only when it passes ADMISSION_LAG_MAX.""", "green 1:yellow 5:red", w=10),
            series("Lag in records", {"partition {{partition}}": "max by (partition) (settlement_lag_records)"}, "short",
                   """Records of each partition of the log that are not in Postgres yet. One record holds up to 128 orders.
                   A single partition that stays behind: a settler that hangs, or one sale that is all the load.""", w=10),
        ],
        "Settling": [
            series("Settled", {"{{status}}": f"sum by (status) (rate(settlement_orders_total{{{HERE}}}[$__rate_interval]))"}, "ops",
                   """Orders that reached a status, a second; created: they have become rows. Compare created with Accepted.""", stack=True),
            series("From acceptance to row", quantiles("settlement_order_seconds", f"{{{HERE}}}"), "s",
                   """How old an order was when its row was committed. The line at 5 s is the objective's.""", "green 5:red"),
            series("Time of a transaction", quantiles("settlement_commit_seconds", f"{{{HERE}}}"), "s",
                   """From deciding about a batch to its commit. Above the line the lag begins to show: look at Postgres' disk,
                   locks and vacuum.""", "green 1:yellow"),
            series("Orders in a transaction", {
                "mean": f"sum(rate(settlement_batch_orders_sum{{{HERE}}}[$__rate_interval])) / sum(rate(settlement_batch_orders_count{{{HERE}}}[$__rate_interval]))",
                "p99": f"histogram_quantile(0.99, sum by (le) (rate(settlement_batch_orders_bucket{{{HERE}}}[$__rate_interval])))"},
                   "short", """How many orders one commit carries. It grows with the load, which is what keeps the lag short; the most
                   is SETTLEMENT_BATCH_ORDERS_MAX."""),
            series("Commands", {"{{command}} {{result}}": f"sum by (command, result) (rate(settlement_commands_total{{{HERE}}}[$__rate_interval]))"},
                   "ops", """What was asked of settled orders, a second, and what became of it: applied, or illegal, unknown, late, a
                   mismatch, which move nothing that they must not and are noted in the order's history.""", stack=True),
            series("Expired, and the ticks that tell", {
                "expired": f"sum(rate(settlement_expired_total{{{HERE}}}[$__rate_interval]))",
                "ticks": f"sum(rate(settlement_ticks_total{{{HERE}}}[$__rate_interval]))"}, "ops",
                   """Orders that were not paid in time, and the records by which time passes in the log, a second. No ticks:
                   nothing expires, nothing is shipped; is a settler alive?"""),
        ],
        "Lost?": [
            stat("Guard trips", f"sum(settlement_guard_trips_total{{{HERE}}})", "short",
                 """Acknowledged orders that Postgres refused, since the settlers started. Must stay 0: runbook GuardTripped.""",
                 "green 1:red", w=4, h=8),
            stat("Dead letters undecided", "sum(dead_letters_undecided)", "short",
                 """Records that could not be applied and that nobody has decided about. Their units stay back: runbook
                 DeadLetters.""", "green 1:red", w=4, h=8),
            series("Dead letters by reason", {"{{reason}}": f"sum by (reason) (settlement_dead_letters_total{{{HERE}}})"}, "short",
                   """Since the settlers started. unsupported_version: a gateway is newer than settlement, upgrade and replay.
                   Others: runbook DeadLetters.""", "green 1:red"),
            series("Not settled again, and not at all", {
                "void orders": f"sum(rate(settlement_void_orders_total{{{HERE}}}[$__rate_interval]))",
                "doubled orders": f"sum(rate(settlement_doubled_orders_total{{{HERE}}}[$__rate_interval]))"}, "ops",
                   """Void: acceptances of an ended epoch, of which nobody was told. Doubled: orders that Postgres had already
                   (the relay and the producer both wrote them). Both are what the protocol is for, and rare."""),
        ],
        "Between Redis, log and events": [
            series("Outbox", {"{{sale}}": 'max by (sale) (outbox_entries{sale=~"$sale"})',
                              "{{sale}} old": 'max by (sale) (outbox_old_entries{sale=~"$sale"})'}, "short",
                   """Batches that Redis holds until the log has acknowledged them; old: their gateway should have done so by
                   now. 0 at rest; a gateway takes no more orders while 256 of its own are in flight. Runbooks OutboxOld, OutboxFull.""", "green 256:red"),
            series("Relayed", {"entries": f"sum(rate(outbox_relayed_total{{{HERE}}}[$__rate_interval]))"}, "ops",
                   """Outbox entries that settlement produced because their gateway did not finish, a second. Other than 0: a
                   gateway died, or the log was away."""),
            series("Told and given back", {
                "events": f"sum(rate(events_published_total{{{HERE}}}[$__rate_interval]))",
                "releases": f"sum(rate(settlement_releases_total{{{HERE}}}[$__rate_interval]))"}, "ops",
                   """Events published to order-events and inventory-events, and releases of units to Redis, a second. Events
                   without end while nothing is ordered: is there a loop downstream?"""),
        ],
    },
)
