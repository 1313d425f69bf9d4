"""Which processes are running, which dependencies they cannot reach, and what resources they use."""

from parts import PROCESS, board, quantiles, series, stat, timeline

HERE = 'instance=~"$instance"'
UP_OR_DOWN = {"0": {"text": "down", "color": "red"}, "1": {"text": "up", "color": "green"}}
QUIET = 'label_replace(vector(0), "alertname", "none", "", "")'

BOARD = board(
    "flash-sale-dependencies",
    "Which processes are running, which dependencies they cannot reach, and what resources they use.",
    [PROCESS],
    {
        "Status": [
            stat(
                "Processes",
                {"{{job}}": 'sum by (job) (up{job!="prometheus"})'},
                "short",
                """The number of processes of each kind that respond. Red: none of a kind. Runbooks
                 ProcessDown, ProcessMissing.""",
                "red 1:green",
                w=12,
                text="value_and_name",
            ),
            stat(
                "Dependencies down",
                "count(dependency_up == 0) or vector(0)",
                "short",
                """The number of dependencies that some process cannot reach now. /health/ready of that
                 process gives the reason. Runbook DependencyDown.""",
                "green 1:red",
                w=4,
            ),
            stat(
                "Kafka clients replaced",
                "sum(kafka_clients_replaced_total)",
                "short",
                """Kafka clients that did not reconnect and were replaced, since the processes started. Rises
                 after an outage of the brokers; otherwise a sign of a fault.""",
                "green 1:yellow",
                w=4,
            ),
            stat(
                "Versions",
                "count(count by (version) (build_info))",
                "short",
                """The number of program versions that run side by side. More than 1 outside of an upgrade:
                 finish the upgrade.""",
                "green 2:yellow",
                w=4,
            ),
        ],
        "Dependencies and alerts": [
            timeline(
                "Dependencies",
                {"{{instance}} {{dependency}}": f"dependency_up{{{HERE}}}"},
                """Whether each process can reach its dependencies. A gateway is ready without Postgres
                     and settlement, but not without Redis, Kafka and its lease.""",
                mappings=UP_OR_DOWN,
                h=10,
            ),
            timeline(
                "Alerts",
                {"{{alertname}}": f'max by (alertname) (ALERTS{{alertstate="firing"}}) or {QUIET}'},
                """Which alerts fired and when; "none" at 0 keeps the panel from being empty. Each alert
                     has a runbook in docs/runbooks.""",
                "green 1:red",
                h=10,
            ),
        ],
        "Dependency latency": [
            series(
                "Redis: script call",
                quantiles("gateway_reserve_seconds"),
                "s",
                """How long gateways wait for the script call of one batch. Redis runs one script at a
                   time. If it rises with the load, check the CPU of Redis and slow commands of other clients
                   (redis-cli SLOWLOG GET).""",
                "green 1:red",
            ),
            series(
                "Kafka: acknowledgement",
                quantiles("gateway_handoff_seconds"),
                "s",
                """How long gateways wait for the acknowledgement of one record with acks=all. If it rises,
                   check for a slow disk or a lagging replica.""",
                "green 5:red",
            ),
            series(
                "Postgres: transaction",
                quantiles("settlement_commit_seconds"),
                "s",
                """How long settlement waits for the transaction of one batch. If it rises, check disk,
                   locks and vacuum (pg_stat_activity).""",
                "green 1:yellow",
            ),
        ],
        "Processes": [
            series(
                "CPU",
                {"{{instance}}": f"rate(process_cpu_seconds_total{{{HERE}}}[30s])"},
                "none",
                """CPU cores that each process uses. Add a gateway when the gateways use all the CPU they
                   have and latency rises.""",
            ),
            series(
                "Memory",
                {"{{instance}}": f"process_resident_memory_bytes{{{HERE}}}"},
                "bytes",
                """Resident memory. Steady growth over hours without load is a leak: restart the process
                   and report the leak.""",
            ),
            series(
                "File descriptors",
                {"{{instance}}": f"process_open_fds{{{HERE}}} / process_max_fds{{{HERE}}}"},
                "percentunit",
                """Open file descriptors as a share of the limit. Each customer connection uses one. At the
                   line: runbook FilesRunningOut.""",
                "green 0.8:red",
            ),
            series(
                "Uptime",
                {"{{instance}}": f"time() - process_start_time_seconds{{{HERE}}}"},
                "s",
                """Time since each process started. A drop to 0 is a restart. If there are many: runbook
                   ProcessRestarting.""",
            ),
            series(
                "Threads",
                {"{{instance}}": f"process_threads{{{HERE}}}"},
                "short",
                """Threads of each process. Normally constant; growth means that Kafka clients are being
                   replaced repeatedly.""",
            ),
            series(
                "Kafka clients replaced",
                {"{{instance}} {{client}}": f"sum by (instance, client) (kafka_clients_replaced_total{{{HERE}}})"},
                "short",
                """Replaced Kafka clients by process and kind of client, since the process
                   started.""",
            ),
        ],
    },
)
