# Commands that run a program against a stack.
# shellcheck shell=bash

# with_stack COMMAND…: runs it with the stack's addresses in its environment.
with_stack() {
    local settings
    mapfile -t settings < <(stack_environment)
    env -u FLASHSALE_WORKER "${settings[@]}" FLASHSALE_STACK="$STACK" FLASHSALE_STACK_DIR="$STACK_DIR" FLASHSALE_DEV="$ROOT/dev" "$@"
}

# dev_here ARGUMENT…: runs another ./dev command on the current stack.
dev_here() { FLASHSALE_STACK=$STACK "$ROOT/dev" "$@"; }

# In a demonstration deliveries take seconds.
cmd_demo() {
    export DELIVERY_SHIP_AFTER_SECONDS=${DELIVERY_SHIP_AFTER_SECONDS:-5}
    export DELIVERY_SCAN_AFTER_SECONDS=${DELIVERY_SCAN_AFTER_SECONDS:-1}
    export DELIVERY_DELIVER_AFTER_SECONDS=${DELIVERY_DELIVER_AFTER_SECONDS:-4}
    export DELIVERY_HAND_OVER_AFTER_SECONDS=${DELIVERY_HAND_OVER_AFTER_SECONDS:-6}
    WITH_PROGRAM=demo dev_here up
    say
    with_stack "$(binary demo)" "$@"
}

cmd_load() {
    case " $* " in
        *' --help '* | *' -h '* | ' help '* | '  ') ;;
        *) is_ready gateway-1 || die "stack '$STACK' is not up: ./dev up" ;;
    esac
    build_on_demand load
    with_stack "$(binary load)" "$@"
}

# The program itself reports whether the stack is up, with its own messages and exit code.
cmd_flashsale() {
    build_on_demand flashsale
    with_stack "$(binary flashsale)" "$@"
}

# Runs of test and bench start with empty services of their own and always stop them. A second concurrent run waits
# for the first.
begin_session() {
    local fd
    use_stack "$1"
    mkdir -p "$STACK_DIR"
    exec {fd}>"$ROOT/.dev/$1.session"
    if ! flock -n "$fd"; then
        say "waiting for another './dev $1' of this checkout"
        flock "$fd"
    fi
    exec {SESSION_STDERR}>&2
    trap 'end_session' EXIT
    trap 'exit 130' INT TERM
    # The ports of the services are claimed until the session ends.
    export FLASHSALE_CLAIM_HOLDER=$$
    # The messages of reset are of no interest, those of this build are.
    [ ! -d "$RUN_DIR" ] || build_process_tool
    dev_here reset 2>/dev/null
}

end_session() {
    trap '' INT TERM
    exec 2>&"$SESSION_STDERR" # the filter behind stderr was stopped by the same Ctrl-C; writing to it would end this script, too
    say
    QUIET=yes dev_here down || :
    # A test may start a stack of its own, named after this one. An interrupted test leaves it running.
    local other
    for other in "$ROOT/.dev/$STACK"-*/run; do
        [ -d "$other" ] || continue
        other=${other%/run}
        FLASHSALE_STACK=${other##*/} "$ROOT/dev" down 2>/dev/null || :
    done
}

# Runs a command in the background, so that this script handles signals immediately, and with the mark of the stack,
# so that `./dev down` stops it and any servers it leaves behind.
run_in_session() {
    (
        close_inherited_files
        cd "$ROOT"
        with_stack env FLASHSALE_STARTED_BY="$STACK_DIR" FLASHSALE_BIN_DIR="$TARGET_DIR/debug" "$@"
    ) &
    wait $!
}

# Runs cargo without the lines about the registry index. Tests get only the addresses of the services; every other
# setting of a program is set by the test itself.
cargo_in_session() {
    run_in_session env -u PAYMENT_WEBHOOK_SECRET cargo "$1" --locked "${@:2}" 2> >(grep --line-buffered -vE '^ *(Updating|Locking) ' >&2)
}

# test_targets ARGUMENT…: the arguments for `cargo test --workspace`, one a line. A crate (`-p NAME`) becomes the names of
# its test files, unless the caller names one: with `-p` itself, Cargo selects other features, and compiles most
# dependencies a second time.
test_targets() {
    local manifest name file packages=() others=() named=
    while [ $# -gt 0 ]; do
        case $1 in
            -p | --package)
                packages+=("${2:?-p needs the name of a crate}")
                shift
                ;;
            --test | --lib | --bins | --bin | --doc) others+=("$1") named=yes ;;
            --)
                others+=("$@")
                break
                ;;
            *) others+=("$1") ;;
        esac
        shift
    done
    if [ -z "$named" ]; then
        for name in "${packages[@]}"; do
            manifest=$(grep -lx "name = \"$name\"" "$ROOT"/*/Cargo.toml "$ROOT"/*/*/Cargo.toml | head -n 1)
            [ -n "$manifest" ] || die "there is no crate '$name'"
            [ ! -e "${manifest%/*}/src/lib.rs" ] || named=--lib
            for file in "${manifest%/*}"/tests/*.rs "${manifest%/*}"/tests/*/main.rs; do
                [ -e "$file" ] || continue
                file=${file%/main.rs}
                file=${file##*/}
                printf '%s\n' --test "${file%.rs}"
            done
        done
        [ -z "$named" ] || printf '%s\n' "$named"
    fi
    [ "${#others[@]}" -eq 0 ] || printf '%s\n' "${others[@]}"
}

cmd_test() {
    local targets
    targets=$(test_targets "$@")
    [ -z "$targets" ] || mapfile -t targets <<<"$targets"
    begin_session test
    require_packages tests
    WITH_REDIS_CLUSTER=yes QUIET=yes dev_here up --services-only
    say
    # Tests of one crate start the programs of another, so all programs must be built and current. One test is named so
    # that Cargo selects the features that tests use, too.
    cargo_in_session build --workspace --bins --test pages
    if [ $# -eq 0 ]; then
        cargo_in_session test --workspace --no-fail-fast
    else
        cargo_in_session test --workspace --no-fail-fast "${targets[@]}"
    fi
}

cmd_bench() {
    if [ -n "$(use_stack main && recorded_names)" ]; then
        say "note: stack 'main' is up and uses part of the machine (./dev down stops it)"
    fi
    begin_session bench
    WITH_PROGRAM=load QUIET=yes dev_here up --core
    say
    run_in_session "$(binary load)" bench "$@"
}

cmd_events() {
    local position=()
    case ${1:-} in
        '') ;;
        --from-beginning) position=(--from-beginning) ;;
        *) die "unknown option of ./dev events: $1 (see ./dev help events)" ;;
    esac
    is_ready kafka || die "Kafka of stack '$STACK' is not up: ./dev up"
    exec java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Dorg.slf4j.simpleLogger.defaultLogLevel=error \
        "-Dlog4j2.configurationFile=$ROOT/deploy/kafka/log4j2-tools.properties" -cp "$KAFKA_HOME/libs/*" \
        org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$(kafka_brokers)" \
        --include 'order-events|inventory-events' --property print.key=true \
        --property print.headers=true "${position[@]}"
}

cmd_psql() {
    is_ready postgres || die "Postgres of stack '$STACK' is not up: ./dev up"
    exec psql "$(database_url)" "$@"
}

cmd_logs() {
    local follow='' name='' lines=20 files=()
    while [ $# -gt 0 ]; do
        case $1 in
            -f | --follow) follow=-F ;;
            -*) die "unknown option of ./dev logs: $1 (see ./dev help logs)" ;;
            *) name=$1 ;;
        esac
        shift
    done
    if [ -n "$name" ]; then
        [ -e "$LOG_DIR/$name.log" ] || die "no log of '$name' in $LOG_DIR"
        files=("$LOG_DIR/$name.log")
        lines=200
    else
        files=("$LOG_DIR"/*.log)
        [ -e "${files[0]}" ] || die "stack '$STACK' has no logs yet"
    fi
    # shellcheck disable=SC2086 # word splitting is intended: an empty value must be no option
    exec tail -n "$lines" $follow -- "${files[@]}"
}

cmd_docs() {
    [ $# -eq 0 ] || die "./dev docs takes no arguments"
    require_packages programs
    cd "$ROOT"
    # The same build as for the tests, so that nothing is built twice.
    cargo build --quiet --locked --workspace --bin flashsale --example site
    exec "$TARGET_DIR/debug/examples/site"
}
