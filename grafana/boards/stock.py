"""Where the units of a sale are, and whether Redis and Postgres agree."""

from parts import SALE, bars, board, series, stat, timeline

OF_SALE = 'sale=~"$sale"'

BOARD = board(
    "flash-sale-stock",
    "Where the units of a sale are, and whether Redis and Postgres agree.",
    [SALE],
    {
        "Integrity": [
            stat(
                "Oversold units",
                f"sum(max by (sale, sku) (oversold_units{{{OF_SALE}}}))",
                "short",
                """Units held or sold beyond the total. A CHECK constraint forbids it. Anything but 0: pause
                 the sale, runbook UnitsOversold.""",
                "green 1:red",
                w=4,
            ),
            stat(
                "Drift",
                f"sum(abs(max by (sale, sku) (stock_drift_units{{{OF_SALE}}})))",
                "short",
                """The proven difference in units between Redis and Postgres. It is repaired by a rebuild
                 after 10 s; if it lasts longer: runbook StockDrift.""",
                "green 1:red",
                w=4,
            ),
            stat(
                "Time since last proof",
                f"max(reconcile_unproven_seconds{{{OF_SALE}}})",
                "s",
                """Time since a comparison of Redis and Postgres last found a moment with nothing in flight.
                 Seconds are normal in a burst; for minutes: runbook StockUnproven.""",
                "green 60:yellow 300:red",
                w=4,
            ),
            stat(
                "Rebuilds running",
                "sum(rebuilds_running)",
                "short",
                """Sales whose state in Redis is being rebuilt from Postgres now; they answer 503
                 sale_rebuilding. Longer than seconds: runbook RebuildTooLong.""",
                "green 1:yellow",
                w=4,
            ),
            stat(
                "Automatic rebuild requests",
                "sum(rebuild_requests_total)",
                "short",
                """How often a sale's state in Redis was proven lost or wrong, since settlement started.
                 Requests by operators are not counted. Runbook RebuildAsked.""",
                "green 1:yellow",
                w=4,
            ),
            stat(
                "Selling",
                {"{{sale}}": f"sale:selling:bool{{{OF_SALE}}}"},
                "none",
                """1: the sale is open and its stock is in Redis. 0 although it is open: runbook
                 SaleNotReady.""",
                "red 1:green",
                w=4,
                text="value_and_name",
            ),
        ],
        "Units of $sale": [
            series(
                "Units by state",
                {"{{sale}} {{state}}": f"sale:stock_units:sum{{{OF_SALE}}}"},
                "short",
                """Units over all SKUs according to Postgres: total, available, held (unpaid orders), sold.
                   Unlimited SKUs have no total and no available units. Held falls when orders are paid,
                   cancelled or expire.""",
            ),
            series(
                "Available by SKU",
                {"{{sale}} {{sku}}": f'max by (sale, sku) (stock_units{{state="available",{OF_SALE}}})'},
                "short",
                """Units that are neither held nor sold. The line drops in a burst and rises when unpaid
                   orders end.""",
            ),
            bars(
                "Held by SKU",
                {"{{sale}} {{sku}}": f'max by (sale, sku) (stock_units{{state="held",{OF_SALE}}})'},
                "short",
                """Units of orders that are not paid yet. They become available again after hold_seconds. If
                 many stay held for long, check that payments work.""",
                "blue",
            ),
        ],
        "Redis and Postgres": [
            series(
                "Drift by SKU",
                {"{{sale}} {{sku}}": f"max by (sale, sku) (stock_drift_units{{{OF_SALE}}})"},
                "short",
                """Available units in Redis minus the expected number, as last proven. Above 0, Redis would
                   sell units that do not exist; below 0, units are not sold.""",
                "green 1:red",
            ),
            series(
                "Oversold by SKU",
                {"{{sale}} {{sku}}": f"max by (sale, sku) (oversold_units{{{OF_SALE}}})"},
                "short",
                """Units held or sold beyond the total, by SKU. Must stay 0.""",
                "green 1:red",
            ),
            series(
                "Comparisons",
                {
                    "{{sale}} {{result}}": f"sum by (sale, result) (rate(reconciliations_total{{{OF_SALE}}}[$__rate_interval]))"
                },
                "ops",
                """Comparisons of Redis with Postgres per second, by result: proven, or open when something
                   was in flight throughout. If there are none, check that settlement is running.""",
            ),
        ],
        "Sale history": [
            timeline(
                "State",
                {"{{sale}} {{state}}": f"max by (sale, state) (sale_state{{{OF_SALE}}}) == 1"},
                """The state that the operator has set: draft, open, paused or closed.""",
                "blue",
                w=8,
            ),
            series(
                "Epoch",
                {"{{sale}}": f"max by (sale) (sale_epoch{{{OF_SALE}}})"},
                "short",
                """The number of the latest rebuild of each sale's state in Redis. The first opening is
                   epoch 1; each later step is a rebuild and is marked in every graph.""",
            ),
            series(
                "Rebuilds",
                {
                    "seconds, mean": "sum(rate(rebuild_seconds_sum[$__rate_interval])) / sum(rate(rebuild_seconds_count[$__rate_interval]))",
                    "failed attempts": "sum(increase(rebuild_failures_total[1m]))",
                },
                "short",
                """The duration of rebuilds, and attempts that failed in the last minute. A rebuild of a
                   sale that was ready first waits for the leases to expire: at least 3.5 s. If attempts fail,
                   settlement's log says why.""",
            ),
        ],
    },
)
