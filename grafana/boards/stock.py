"""Where the units of a sale are, and whether Redis and Postgres agree about them."""

from parts import SALE, bars, board, series, stat, timeline

OF_SALE = 'sale=~"$sale"'

BOARD = board(
    "flash-sale-stock",
    "Where the units of a sale are, and whether Redis and Postgres agree about them.",
    [SALE],
    {
        "Must be 0": [
            stat("Oversold units", f"sum(max by (sale, sku) (oversold_units{{{OF_SALE}}}))", "short",
                 """Units held or sold beyond the total. A CHECK constraint forbids it. Anything but 0: pause the sale, runbook
                 UnitsOversold.""", "green 1:red", w=4),
            stat("Drift", f"sum(abs(max by (sale, sku) (stock_drift_units{{{OF_SALE}}})))", "short",
                 """Units that Redis has more or less than Postgres says. After 10 s it is repaired by a rebuild; longer:
                 runbook StockDrift.""", "green 1:red", w=4),
            stat("Not compared for", f"max(reconcile_unproven_seconds{{{OF_SALE}}})", "s",
                 """Since when no comparison of Redis and Postgres was possible without something in flight. In a burst that
                 is normal for seconds; for minutes: runbook StockUnproven.""", "green 60:yellow 300:red", w=4),
            stat("Rebuilds running", "sum(rebuilds_running)", "short",
                 """Sales whose state in Redis is being built from Postgres now: they answer 503 sale_rebuilding. Longer than
                 seconds: runbook RebuildTooLong.""", "green 1:yellow", w=4),
            stat("Rebuilds asked for", "sum(rebuild_requests_total)", "short",
                 """Times that a sale's state in Redis was proven lost or wrong, since the settlers started. Operators' own
                 are not counted. Runbook RebuildAsked.""", "green 1:yellow", w=4),
            stat("Selling", {"{{sale}}": f"sale:selling:bool{{{OF_SALE}}}"}, "none",
                 """1: open, and its stock is in Redis. 0 though open: runbook SaleNotReady.""", "red 1:green", w=4, text="value_and_name"),
        ],
        "Units of $sale": [
            series("Units by state", {"{{sale}} {{state}}": f"sale:stock_units:sum{{{OF_SALE}}}"}, "short",
                   """Over all SKUs, as Postgres has them: total, available, held (unpaid orders), sold. Unlimited SKUs have no
                   total and no available. Held falls when orders are paid, cancelled or expire."""),
            series("Available by SKU", {"{{sale}} {{sku}}": f'max by (sale, sku) (stock_units{{state="available",{OF_SALE}}})'}, "short",
                   """What nobody holds or has bought. Straight down in a burst; up again where orders end unpaid."""),
            bars("Held by SKU", {"{{sale}} {{sku}}": f'max by (sale, sku) (stock_units{{state="held",{OF_SALE}}})'}, "short",
                 """Units of orders that are not paid yet. They come back by themselves after hold_seconds. Many for long: do
                 payments work?""", "blue"),
        ],
        "Redis and Postgres": [
            series("Drift by SKU", {"{{sale}} {{sku}}": f"max by (sale, sku) (stock_drift_units{{{OF_SALE}}})"}, "short",
                   """Units that Redis has for sale minus those that it must have, as last proven. Above 0, Redis would sell
                   what is not there; below 0, units are lost to sale.""", "green 1:red"),
            series("Oversold by SKU", {"{{sale}} {{sku}}": f"max by (sale, sku) (oversold_units{{{OF_SALE}}})"}, "short",
                   """Units held or sold beyond the total. Must stay 0.""", "green 1:red"),
            series("Comparisons", {"{{sale}} {{result}}": f"sum by (sale, result) (rate(reconciliations_total{{{OF_SALE}}}[$__rate_interval]))"}, "ops",
                   """Comparisons of Redis with Postgres a second, by result: proven, or open, when something was in flight
                   throughout. None at all: is a settler alive?"""),
        ],
        "Life of the sale": [
            timeline("State", {"{{sale}} {{state}}": f"max by (sale, state) (sale_state{{{OF_SALE}}}) == 1"},
                     """The operator's word: draft, open, paused or closed.""", "blue", w=8),
            series("Epoch", {"{{sale}}": f"max by (sale) (sale_epoch{{{OF_SALE}}})"}, "short",
                   """The number of the newest rebuild of each sale's state in Redis. The first opening is epoch 1; each step
                   later is a rebuild, marked in every graph."""),
            series("Rebuilds", {
                "seconds, mean": "sum(rate(rebuild_seconds_sum[$__rate_interval])) / sum(rate(rebuild_seconds_count[$__rate_interval]))",
                "failed attempts": "sum(increase(rebuild_failures_total[1m]))"}, "short",
                   """How long rebuilds took, and attempts that failed in the last minute. A rebuild of a sale that was ready
                   waits out the leases first: at least 3.5 s. Failures: the log of settlement tells why."""),
        ],
    },
)
