# ./dev help [COMMAND].
# shellcheck shell=bash

# ./dev help --settings: what each process of the stack `main` is started with when every default port is free,
# "process word" a line; for the test that compares it with docker-compose.yml.
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

  demo      a burst sale on real services, sold out before your eyes, and what becomes of its orders
  test      all tests, on a stack of their own
  bench     measured throughput beside the floors it is compared with
  chaos     one thing after another breaks under load; nothing may be lost or oversold

  up        start whatever is not running: services, settlement, gateways, what follows them
  down      stop what was started
  status    what runs, where, and whether it is ready
  env       addresses as shell exports:  eval "\$(./dev env)"
  load      drive load at the running stack
  flashsale the operator's command line: sales, stock, orders, a live view
  events    follow the published events
  psql      a database prompt
  logs      read or follow the logs
  docs      write the reference anew and build the documentation as a site
  reset     stop, and delete the stack's data

  help COMMAND   more about one of them

Everything of a stack lies in .dev/<stack>/. FLASHSALE_STACK=name picks another stack than 'main';
it has its own processes, ports and data. First time: ./dev demo
TEXT
            ;;
        --settings) default_settings ;;
        demo)
            cat <<TEXT
usage: ./dev demo [ARGUMENT…]
Starts the stack if need be, makes the sample sales and a burst sale, lets its customers in, and prints
what was offered, accepted, refused and settled. Then they pay, cancel, forget, what comes back is sold again,
goods arrive and are sent back; prints how far orders came. The stack keeps running. Arguments go to
'demo'. Goods go on within seconds (settlement's DELIVERY_…_SECONDS, as the environment says; a stack
keeps them until it is told others, or reset).
TEXT
            ;;
        test)
            cat <<TEXT
usage: ./dev test [ARGUMENT…]
Starts Redis, a Redis Cluster of one node, Postgres and Kafka as the stack 'test', empty, beside
whatever runs, and gives their addresses to 'cargo test ARGUMENT…'; then stops them.
  ./dev test -p settlement              the tests of one crate
  ./dev test -p gateway -- some_name    tests whose name contains some_name
TEXT
            ;;
        bench)
            cat <<TEXT
usage: ./dev bench [ARGUMENT…]
Starts a whole stack 'bench', empty, runs 'load bench ARGUMENT…' against it, and stops it. Stop
other stacks first, or they take part of the machine.
TEXT
            ;;
        chaos)
            cat <<TEXT
usage: ./dev chaos [SCENARIO…] [--seed N] [--seeds N] [--power] [--list]
Starts the services of a stack 'chaos', empty, builds the programs with points at which they can be hit, puts
a proxy before every service, and runs each scenario: a fresh sale, a burst of customers, something breaks
(a process is killed or stopped, Redis forgets, an acknowledgement is dropped), it works again, everything is
sold. Where it is about money and messages, customers pay, cancel and send back instead, and the card provider,
payments, notification and analytics run too. Then what customers were told is compared with Postgres, Redis and
the log, what was paid with the provider's own books, and messages and counts with the events. Prints a table;
exit code 0 when nothing was lost, oversold, doubled, mischarged, leaked or left over.
  ./dev chaos --seeds 20          every scenario with 20 seeds, those of minutes too
  ./dev chaos redis kafka-killed  scenarios whose names begin so
  ./dev chaos --power             protections taken out of the programs, one by one: each must be noticed
  ./dev chaos --list              what there is
The seed decides who comes and when and where exactly it breaks. Journals, findings and logs of the last run
stay in .dev/chaos/.
TEXT
            ;;
        up)
            cat <<TEXT
usage: ./dev up [--gateways N] [--settlements N] [--services-only | --build-only | --core]
Builds what is older than its source, and starts whatever does not run, a killed process included.
Without a number: as many as before, at first one. With a smaller number the surplus is stopped.
A program of an older build, or with other addresses, is restarted.
  --services-only   only Redis, Postgres and Kafka (neither builds nor needs Rust)
  --build-only      only the packages and the programs; starts nothing
  --core            without what follows the orders' events: payments with the simulated card provider,
                    notification with a mail server (mails are kept in .dev/<stack>/data/mail), analytics;
                    without Prometheus
TEXT
            ;;
        down)
            cat <<TEXT
usage: ./dev down
Stops gateways, settlement, what follows them, Prometheus, Kafka, Postgres and Redis of the stack, in this order, each in good order
and by force after a limit; also what an interrupted ./dev left behind. Data, logs and ports stay.
TEXT
            ;;
        status)
            cat <<TEXT
usage: ./dev status [--json]
Lists what the stack has started, and asks each whether it is ready. With --json:
  {"processes":[{"name","pid","address","admin_address"?,"ready"}]}   (pid null: not running)
TEXT
            ;;
        env)
            cat <<TEXT
usage: eval "\$(./dev env)"
Prints GATEWAY_URL, ADMIN_URL, ADMIN_TOKEN, SETTLEMENT_URL, PAYMENTS_URL, NOTIFICATION_URL, ANALYTICS_URL,
PROVIDER_URL, PROMETHEUS_URL,
DATABASE_URL, REDIS_URL and KAFKA_BROKERS (of the first of each) and GATEWAY_URLS (all of them, separated by commas) as shell exports.
TEXT
            ;;
        load)
            cat <<TEXT
usage: ./dev load SUBCOMMAND [ARGUMENT…]
Runs the load generator with the addresses of the running stack; builds it when it is out of date. './dev load --help' lists what it can.
TEXT
            ;;
        flashsale)
            cat <<TEXT
usage: ./dev flashsale COMMAND [ARGUMENT…]
Runs the operator's command line with the admin address and the token of the running stack.
  ./dev flashsale status                 whether everything is there, and how the sales stand
  ./dev flashsale sale template          a definition to begin with
  ./dev flashsale watch                  stock, rates and lag, live
'./dev flashsale --help' lists what it can, and its exit codes.
TEXT
            ;;
        events)
            cat <<TEXT
usage: ./dev events [--from-beginning]
Follows the topics order-events and inventory-events: key, headers and value of each event. Ctrl-C ends it.
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
Shows the last lines of every log of the stack, or 200 of one (gateway-1, settlement-1, kafka, …);
-f follows.
TEXT
            ;;
        docs)
            cat <<TEXT
usage: ./dev docs
Writes the pages of docs/reference/ from their sources, builds all of docs/ as a site into .dev/book/, and prints where
it begins. Tests fail when a written page differs from its source, a link leads nowhere, or a command does not do what
the page says.
TEXT
            ;;
        reset)
            cat <<TEXT
usage: ./dev reset
Stops the stack and deletes its data, logs and remembered ports. Downloads and builds stay.
TEXT
            ;;
        *) die "no such command: $1 (see ./dev help)" ;;
    esac
}
