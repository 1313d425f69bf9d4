"""Which processes are there, what they find missing, and what they take of their machines."""

from parts import PROCESS, board, quantiles, series, stat, timeline

HERE = 'instance=~"$instance"'
THERE = {"0": {"text": "missing", "color": "red"}, "1": {"text": "there", "color": "green"}}
QUIET = 'label_replace(vector(0), "alertname", "none", "", "")'

BOARD = board(
    "flash-sale-dependencies",
    "Which processes are there, what they find missing, and what they take of their machines.",
    [PROCESS],
    {
        "There?": [
            stat("Processes", {"{{job}}": 'sum by (job) (up{job!="prometheus"})'}, "short",
                 """Processes of each kind that answer. Red: none of a kind. Runbooks ProcessDown, ProcessMissing.""",
                 "red 1:green", w=12, text="value_and_name"),
            stat("Missing dependencies", "count(dependency_up == 0) or vector(0)", "short",
                 """What some process finds missing now; /health/ready of that process tells why. Runbook DependencyDown.""",
                 "green 1:red", w=4),
            stat("Kafka clients replaced", "sum(kafka_clients_replaced_total)", "short",
                 """Clients that did not find their way back to Kafka and were made anew, since the processes started. Rises
                 after an outage of the brokers; otherwise a sign of a fault.""", "green 1:yellow", w=4),
            stat("Versions", "count(count by (version) (build_info))", "short",
                 """How many versions of the programs run side by side. More than 1 outside of an upgrade: finish it.""",
                 "green 2:yellow", w=4),
        ],
        "Dependencies and alerts": [
            timeline("Dependencies", {"{{instance}} {{dependency}}": f"dependency_up{{{HERE}}}"},
                     """What each process finds there or missing. A gateway is ready without Postgres and settlement; it is not
                     without Redis, Kafka and its lease.""", mappings=THERE, h=10),
            timeline("Alerts", {"{{alertname}}": f'max by (alertname) (ALERTS{{alertstate="firing"}}) or {QUIET}'},
                     """Which alerts fired when; "none" at 0 keeps the panel from being empty. Each has a page in
                     docs/runbooks.""", "green 1:red", h=10),
        ],
        "What they answer in": [
            series("Redis: a script call", quantiles("gateway_reserve_seconds"), "s",
                   """What gateways wait for one batch. Redis runs one script at a time: rising with the load, look at its CPU
                   and at slow commands of others (redis-cli SLOWLOG GET).""", "green 1:red"),
            series("Kafka: an acknowledgement", quantiles("gateway_handoff_seconds"), "s",
                   """What gateways wait for one record with acks=all. Rising: a disk or a replica that lags.""", "green 5:red"),
            series("Postgres: a transaction", quantiles("settlement_commit_seconds"), "s",
                   """What settlers wait for one batch. Rising: disk, locks, vacuum; pg_stat_activity tells.""", "green 1:yellow"),
        ],
        "Processes": [
            series("CPU", {"{{instance}}": f"rate(process_cpu_seconds_total{{{HERE}}}[30s])"}, "none",
                   """Cores that each process uses. A gateway uses what it is given; add another when all of it is used and
                   latencies rise."""),
            series("Memory", {"{{instance}}": f"process_resident_memory_bytes{{{HERE}}}"}, "bytes",
                   """Resident memory. Steady growth over hours without load is a leak: restart one, tell us."""),
            series("File descriptors", {"{{instance}}": f"process_open_fds{{{HERE}}} / process_max_fds{{{HERE}}}"}, "percentunit",
                   """Open of those allowed. Each connection of a customer is one. At the line: runbook FilesRunningOut.""",
                   "green 0.8:red"),
            series("Running for", {"{{instance}}": f"time() - process_start_time_seconds{{{HERE}}}"}, "s",
                   """Time since each process started; a fall to 0 is a restart. Many: runbook ProcessRestarting."""),
            series("Threads", {"{{instance}}": f"process_threads{{{HERE}}}"}, "short",
                   """Threads of each process. Constant in normal times: growth means that Kafka clients are made again and
                   again."""),
            series("Kafka clients replaced", {"{{instance}} {{client}}": f"sum by (instance, client) (kafka_clients_replaced_total{{{HERE}}})"},
                   "short", """By process and kind of client, since the process started."""),
        ],
    },
)
