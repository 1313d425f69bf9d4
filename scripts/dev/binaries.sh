# The Rust programs: building them if a source is newer, and starting them.
# shellcheck shell=bash

# The servers of a stack, and the programs that other commands run against one. A command builds only what it runs.
SERVERS=(gateway settlement downstream)
CORE_SERVERS=(gateway settlement)
PROGRAMS=("${SERVERS[@]}" demo load flashsale)

# FLASHSALE_BIN_DIR: programs built elsewhere (tests of whole stacks run those of `./dev test`).
binary() { printf '%s/%s' "${FLASHSALE_BIN_DIR:-$TARGET_DIR/release}" "$1"; }

# Touched when the build of a program begins, and renamed when it has succeeded.
build_stamp() { printf '%s/release/.built-by-dev-%s' "$TARGET_DIR" "$1"; }

# binaries_are_fresh NAME…: whether the last successful build of each program included every change to the sources.
# Running cargo for this takes half a second, or minutes while another cargo holds its lock.
binaries_are_fresh() {
    local name stamp oldest='' newer
    for name in "$@"; do
        stamp=$(build_stamp "$name")
        [ -x "$(binary "$name")" ] && [ -e "$stamp" ] || return 1
        if [ -z "$oldest" ] || [ "$stamp" -ot "$oldest" ]; then oldest=$stamp; fi
    done
    newer=$(cd "$ROOT" && find Cargo.toml Cargo.lock ./*/Cargo.toml ./*/src ./*/build.rs lua settlement gateway downstream contract storefront \
        loadtest -newer "$oldest" -print -quit 2>/dev/null) || :
    [ -z "$newer" ]
}

build_servers() { build_binaries "${SERVERS[@]}" ${WITH_PROGRAM:+"$WITH_PROGRAM"}; }
build_core() { build_binaries "${CORE_SERVERS[@]}" ${WITH_PROGRAM:+"$WITH_PROGRAM"}; }

# build_on_demand NAME: builds a program that runs against a stack when it is missing or out of date.
build_on_demand() {
    if [ -n "${FLASHSALE_BIN_DIR:-}" ] || binaries_are_fresh "$1"; then return; fi
    WITH_PROGRAM=$1 dev_here up --build-only
}

# Prints the arguments that name the crates of these programs and of the servers. Without them Cargo would select the
# features that the whole workspace needs: the servers would be built with the TLS library of the load tests.
crates_of() {
    local name
    for name in "${SERVERS[@]}" "$@"; do
        [ "$name" != flashsale ] || name=cli
        printf -- '--package=%s\n' "$name"
    done | sort -u
}

# build_binaries NAME…: builds these programs in release mode unless they are fresh.
build_binaries() {
    local begun_ms shown_ms log=$LOG_DIR/build.log cargo crates line name
    [ -z "${FLASHSALE_BIN_DIR:-}" ] || return 0
    binaries_are_fresh "$@" && return
    begun_ms=$(now_ms)
    say_step build "cargo build --release (the first one takes minutes)"
    mkdir -p "$TARGET_DIR/release"
    mapfile -t crates < <(crates_of "$@")
    for name in "$@"; do touch "$(build_stamp "$name").new"; done # a later change to a source is not in this build
    (
        cd "$ROOT"
        CARGO_TERM_COLOR=never CARGO_TERM_PROGRESS_WHEN=always CARGO_TERM_PROGRESS_WIDTH=100 \
            exec cargo build --release --locked "${crates[@]}" "${@/#/--bin=}" </dev/null >"$log" 2>&1
    ) &
    cargo=$!
    shown_ms=$(now_ms)
    while kill -0 "$cargo" 2>/dev/null; do
        sleep 0.1
        if [ $(($(now_ms) - shown_ms)) -ge 5000 ]; then
            line=$(tail -c 400 "$log" | tr '\r' '\n' | grep -oE '[0-9]+/[0-9]+: .*|Blocking .*' | tail -n 1) || line=
            say_step build "${line:-working} ($(since_ms "$begun_ms"))"
            shown_ms=$(now_ms)
        fi
    done
    if ! wait "$cargo"; then
        say_error "cargo build failed"
        tr '\r' '\n' <"$log" | grep -vE '^ +(Building|Updating|Download)|^$' >"$log.text" || :
        show_log_tail "$log.text"
        return 1
    fi
    for name in "$@"; do mv -f "$(build_stamp "$name").new" "$(build_stamp "$name")"; done
    say_step build "done ($(since_ms "$begun_ms"))"
}

# binary_of NAME: prints the path of the program that a process runs.
binary_of() {
    case $1 in
        payments-* | notification-* | analytics-* | provider) binary downstream ;;
        *) binary "${1%-*}" ;;
    esac
}

# Prints the settings that gateway and settlement share, as NAME=value words.
common_settings() {
    printf '%s\n' "KAFKA_BROKERS=$(kafka_brokers)" "REDIS_URL=$(redis_url)" "DATABASE_URL=$(database_url)"
}
kafka_brokers() { printf '127.0.0.1:%s' "$(port_of kafka)"; }
redis_url() { printf 'redis://127.0.0.1:%s' "$(port_of redis)"; }
# Prints the secret with which the card provider signs its callbacks. It is generated once per stack.
payment_webhook_secret() {
    local file=$STACK_DIR/payment-webhook-secret own
    if [ ! -s "$file" ]; then
        mkdir -p "$STACK_DIR"
        own=$file.$BASHPID
        (umask 077 && printf 'whsec_%s\n' "$(head -c 24 /dev/urandom | base64)" >"$own")
        mv -n "$own" "$file" # if two processes do this at once, the first one wins
        rm -f "$own"
    fi
    cat "$file"
}
database_url() { printf 'postgres://%s@127.0.0.1:%s/%s' "$POSTGRES_USER" "$(port_of postgres)" "$POSTGRES_DATABASE"; }

DELIVERY_SETTINGS=(DELIVERY_AUTOMATIC DELIVERY_SHIP_AFTER_SECONDS DELIVERY_SCAN_AFTER_SECONDS
    DELIVERY_DELIVER_AFTER_SECONDS DELIVERY_HAND_OVER_AFTER_SECONDS)

# Prints the delivery delays as NAME=value words: the values that the environment last set, until ./dev reset. An
# empty output means settlement's defaults.
delivery_settings() { cat "$STACK_DIR/delivery" 2>/dev/null || :; }

remember_delivery() {
    local name assignments=()
    for name in "${DELIVERY_SETTINGS[@]}"; do
        [ -z "${!name:-}" ] || assignments+=("$name=${!name}")
    done
    [ "${#assignments[@]}" -eq 0 ] || printf '%s\n' "${assignments[@]}" >"$STACK_DIR/delivery"
}

# program_command NAME: prints the command of the program, one word per line.
program_command() {
    printf 'env\n'
    case $1 in
        gateway-* | settlement-*) common_settings ;;
        *) downstream_command "$1" ;;
    esac
    case $1 in
        settlement-*)
            delivery_settings
            printf '%s\n' "SETTLEMENT_LISTEN=127.0.0.1:$(port_of "$1")" "ORDERS_PARTITIONS=$ORDERS_PARTITIONS" "$(binary settlement)"
            ;;
        gateway-*)
            printf '%s\n' "GATEWAY_LISTEN=127.0.0.1:$(port_of "$1")" "GATEWAY_ADMIN_LISTEN=127.0.0.1:$(port_of "$1-admin")" \
                "GATEWAY_DEV_AUTH=$GATEWAY_DEV_AUTH" "GATEWAY_STOREFRONT=$GATEWAY_STOREFRONT" \
                "PAYMENT_WEBHOOK_SECRET=$(payment_webhook_secret)" "$(binary gateway)"
            ;;
    esac
}

# Whether a running program is current: it has the same settings and build as one started now.
is_current() {
    local name=$1 pid command
    pid=$(pid_of "$name") || return 1
    mapfile -t command < <(program_command "$name")
    was_launched "$name" "${command[@]}" && [ "/proc/$pid/exe" -ef "$(binary_of "$name")" ]
}

PROGRAM_READY_SECONDS=60

# start_programs KIND NAME…: starts all that are not running, then waits for each.
start_programs() {
    local kind=$1 name begun_ms command outdated=() started=() failed=
    shift
    begun_ms=$(now_ms)
    for name in "$@"; do
        if is_alive "$name" && ! is_current "$name"; then outdated+=("$name"); fi
    done
    if [ "${#outdated[@]}" -gt 0 ]; then
        say_step "$kind" "restarting ${outdated[*]}: the build or the settings have changed"
        stop_processes "${outdated[@]}"
    fi
    for name in "$@"; do
        is_alive "$name" && continue
        if [ "$kind" = gateway ]; then settle_ports "$name" "$name-admin"; else settle_ports "$name"; fi
        mapfile -t command < <(program_command "$name")
        spawn "$name" "${command[@]}"
        started+=("$name")
    done
    for name in "$@"; do
        await_ready "$name" "$PROGRAM_READY_SECONDS" || failed=yes
    done
    [ -z "$failed" ] || return 1
    for name in "${started[@]}"; do
        say_step "$name" "ready on 127.0.0.1:$(port_of "$name") ($(since_ms "$begun_ms"))"
    done
}
