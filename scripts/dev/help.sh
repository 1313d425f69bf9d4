# ./dev help [COMMAND].
# shellcheck shell=bash

# ./dev help --settings: the command of each process of the stack `main` when every default port is free, as
# "process word" per line; for the test that compares it with docker-compose.yml.
default_settings() {
    local name
    (
        use_stack main
        STACK_DIR=/nonexistent
        # shellcheck disable=SC2317 # called by program_command
        payment_webhook_secret() { echo whsec_; } # each stack has its own
        redis_command_line | sed 's/^/redis /'
        postgres_command_line | sed 's/^/postgres /'
        server_properties | grep -E '^[a-z]' | sed 's/^/kafka /'
        for name in settlement-1 gateway-1 payments-1 notification-1 analytics-1 provider; do
            program_command "$name" | sed "s/^/${name%-1} /"
        done
        mail_command_line | sed 's/^/mail /'
        prometheus_command_line | sed 's/^/prometheus /'
    )
}

cmd_help() {
    case ${1:-} in
        '')
            cat <<TEXT
usage: ./dev COMMAND [ARGUMENT…]

  demo      run a burst sale on real services, then pay, cancel and deliver its orders
  test      run all tests on a stack of their own
  bench     measure the throughput and compare it with baselines
  chaos     inject faults under load; nothing may be lost or oversold

  up        start all processes that are not running: services, settlement, gateways, event consumers
  down      stop all processes of the stack
  status    list the processes, their addresses and readiness
  env       print the addresses as shell exports:  eval "\$(./dev env)"
  load      generate load on the running stack
  flashsale run the operator's command line: sales, stock, orders, a live view
  events    print the published events as they arrive
  psql      open a database prompt
  logs      print or follow the logs
  docs      regenerate the reference and build the documentation as a site
  lint      check the format and style of the sources, in every language
  reset     stop the stack and delete its data

  help COMMAND   more about a command

All data of a stack is in .dev/<stack>/. FLASHSALE_STACK=name selects another stack than 'main',
with its own processes, ports and data. To start: ./dev demo
TEXT
            ;;
        --settings) default_settings ;;
        demo)
            cat <<TEXT
usage: ./dev demo [ARGUMENT…]
Starts the stack if needed, creates the sample sales and a burst sale, lets its customers in, and prints how many
orders were offered, accepted, refused and settled. Then the customers pay, cancel or let their holds expire;
released units are sold again, and goods are delivered and returned. Prints the resulting states of the orders.
The stack keeps running. Arguments are passed to 'demo'. Deliveries take seconds (settlement's
DELIVERY_…_SECONDS, from the environment; a stack keeps the values until they are set again or it is reset).
TEXT
            ;;
        test)
            cat <<TEXT
usage: ./dev test [ARGUMENT…]
Starts Redis, a Redis Cluster with one node, Postgres and Kafka as the empty stack 'test', in addition to
other running stacks, runs 'cargo test ARGUMENT…' with their addresses, and stops them.
  ./dev test -p settlement              the tests of one crate
  ./dev test -p gateway -- some_name    tests whose name contains some_name
TEXT
            ;;
        bench)
            cat <<TEXT
usage: ./dev bench [ARGUMENT…]
Starts an empty stack 'bench', runs 'load bench ARGUMENT…' against it, and stops it. Stop other stacks first,
because they use part of the machine.
TEXT
            ;;
        chaos)
            cat <<TEXT
usage: ./dev chaos [SCENARIO…] [--seed N] [--seeds N] [--mutations] [--list]
Starts the services of an empty stack 'chaos', builds the programs with failpoints, puts a proxy in front of every
service, and runs each scenario: a new sale, a burst of customers, a fault (a process is killed or stopped, Redis
loses its data, an acknowledgement is dropped), recovery, and the sale of all remaining units. In scenarios about
money and messages, customers pay, cancel and return goods instead, and the card provider, payments, notification
and analytics run, too. Then the responses to clients are compared with Postgres, Redis and the log, the payments
with the provider's own ledger, and messages and counts with the events. Prints a table; the exit code is 0 if
nothing was lost, oversold, duplicated, mischarged, leaked or left over.
  ./dev chaos --seeds 20          every scenario with 20 seeds, including those that take minutes
  ./dev chaos redis kafka-killed  scenarios whose names start with these words
  ./dev chaos --mutations         remove the protections from the programs one by one; the checker must notice each
  ./dev chaos --list              list the scenarios
The seed determines the customers, their timing and the exact point of the fault. Journals, findings and logs of
the last run are in .dev/chaos/.
TEXT
            ;;
        up)
            cat <<TEXT
usage: ./dev up [--gateways N] [--settlements N] [--services-only | --build-only | --core]
Builds programs that are older than their sources, and starts every process that is not running, including killed
ones. Without a number it starts as many as last time, at first one. With a smaller number the surplus is stopped.
A program with an older build or other addresses is restarted.
  --services-only   only Redis, Postgres and Kafka (builds only the process manager of ./dev)
  --build-only      only install the packages and build the programs
  --core            without the event consumers (payments with the simulated card provider, notification with a
                    mail server that stores mail in .dev/<stack>/data/mail, analytics) and without Prometheus
TEXT
            ;;
        down)
            cat <<TEXT
usage: ./dev down
Stops the gateways, settlement, event consumers, Prometheus, Kafka, Postgres and Redis of the stack, in this order.
Each is stopped gracefully, and killed after a timeout. Also stops processes that an interrupted ./dev left behind.
Data, logs and ports are kept.
TEXT
            ;;
        status)
            cat <<TEXT
usage: ./dev status [--json]
Lists the processes that the stack has started, and checks whether each is ready. With --json:
  {"processes":[{"name","pid","address","admin_address"?,"ready"}]}   (pid null: not running)
TEXT
            ;;
        env)
            cat <<TEXT
usage: eval "\$(./dev env)"
Prints shell exports of GATEWAY_URL, ADMIN_URL, ADMIN_TOKEN, SETTLEMENT_URL, PAYMENTS_URL, NOTIFICATION_URL,
ANALYTICS_URL, PROVIDER_URL, PROMETHEUS_URL, DATABASE_URL, REDIS_URL and KAFKA_BROKERS (of the first of each kind),
and GATEWAY_URLS (of all gateways, separated by commas).
TEXT
            ;;
        load)
            cat <<TEXT
usage: ./dev load SUBCOMMAND [ARGUMENT…]
Runs the load generator with the addresses of the running stack, after building it if it is out of date.
'./dev load --help' lists the subcommands.
TEXT
            ;;
        flashsale)
            cat <<TEXT
usage: ./dev flashsale COMMAND [ARGUMENT…]
Runs the operator's command line with the admin address and the token of the running stack.
  ./dev flashsale status                 the state of the dependencies and of the sales
  ./dev flashsale sale template          print a definition to start from
  ./dev flashsale watch                  stock, rates and lag, live
'./dev flashsale --help' lists the commands and the exit codes.
TEXT
            ;;
        events)
            cat <<TEXT
usage: ./dev events [--from-beginning]
Consumes the topics order-events and inventory-events and prints key, headers and value of each event until Ctrl-C.
TEXT
            ;;
        psql)
            cat <<TEXT
usage: ./dev psql [ARGUMENT…]
Opens psql on the stack's database.   ./dev psql -c 'SELECT count(*) FROM customer_order'
TEXT
            ;;
        logs)
            cat <<TEXT
usage: ./dev logs [NAME] [-f]
Prints the last lines of every log of the stack, or the last 200 lines of one (gateway-1, settlement-1, kafka, …).
-f follows the logs.
TEXT
            ;;
        docs)
            cat <<TEXT
usage: ./dev docs
Generates the pages of docs/reference/ from their sources, builds all of docs/ as a site in .dev/book/, and prints the
path of its first page. Tests fail if a generated page differs from its source, a link is broken, or a command does
not do what the page says.
TEXT
            ;;
        lint)
            cat <<TEXT
usage: ./dev lint [LANGUAGE…] [--fix]
Runs one formatter and one linter for each of rust (rustfmt), javascript (Biome), lua (StyLua, luacheck), sql (sqlfluff),
python (Ruff) and shell (shfmt, shellcheck). Without a language it runs all. The tools are pinned and installed once.
Clippy is not included, because it builds everything: .ci/run runs it.
  --fix   rewrite the files where a tool can
TEXT
            ;;
        reset)
            cat <<TEXT
usage: ./dev reset
Stops the stack and deletes its data, logs and stored ports. Downloads and builds are kept.
TEXT
            ;;
        *) die "no such command: $1 (see ./dev help)" ;;
    esac
}
