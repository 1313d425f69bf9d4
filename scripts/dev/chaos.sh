# ./dev chaos: programs with failpoints, a proxy in front of every service, and the program `chaos`.
# shellcheck shell=bash

# The newest version that Go 1.19 of Debian 12 can build.
TOXIPROXY_VERSION=2.5.0
TOXIPROXY=$CACHE_DIR/tools/toxiproxy-$TOXIPROXY_VERSION/server
# Programs with failpoints, kept apart from cargo's other builds.
CHAOS_BIN_DIR=$ROOT/.dev/chaos-programs
CHAOS_PROGRAMS=("${SERVERS[@]}" chaos)
# Kafka's listeners for the gateways and for settlement, each followed by its proxy. The program chooses its other ports.
CHAOS_PORTS=4

cmd_chaos() {
    local name names=() ports=() number
    begin_session chaos
    require_packages programs
    require_go
    mkdir -p "$LOG_DIR"
    build_toxiproxy || exit 1
    build_with_faults || exit 1
    for ((number = 1; number <= CHAOS_PORTS; number++)); do names+=("chaos-$number"); done
    settle_ports "${names[@]}"
    for name in "${names[@]}"; do ports+=("$(port_of "$name")"); done
    # Kafka's metadata redirects its clients: clients of a proxied listener must be redirected to the proxy.
    printf '%s\n' "GATEWAYS ${ports[0]} ${ports[1]}" "SETTLEMENTS ${ports[2]} ${ports[3]}" >"$STACK_DIR/kafka-listeners"
    QUIET=yes dev_here up --services-only
    say
    run_in_session env FLASHSALE_BIN_DIR="$CHAOS_BIN_DIR" FLASHSALE_TOXIPROXY="$TOXIPROXY" \
        FLASHSALE_CHAOS_PORTS="$(
            IFS=,
            printf '%s' "${ports[*]}"
        )" "$CHAOS_BIN_DIR/chaos" "$@"
}

require_go() {
    local missing=() what=()
    [ ! -x "$TOXIPROXY" ] || return 0
    command -v go >/dev/null || { missing+=(golang-go) what+=("Go 1.19 or newer"); }
    [ "${#missing[@]}" -eq 0 ] || install_or_list
}

build_toxiproxy() {
    local begun_ms log=$LOG_DIR/toxiproxy-build.log
    [ ! -x "$TOXIPROXY" ] || return 0
    begun_ms=$(now_ms)
    say_step toxiproxy "building $TOXIPROXY_VERSION (once)"
    if ! GOBIN=${TOXIPROXY%/*}.new go install "github.com/Shopify/toxiproxy/v2/cmd/server@v$TOXIPROXY_VERSION" </dev/null >"$log" 2>&1; then
        say_error "toxiproxy could not be built"
        show_log_tail "$log"
        return 1
    fi
    rm -rf "${TOXIPROXY%/*}" && mv "${TOXIPROXY%/*}.new" "${TOXIPROXY%/*}"
    say_step toxiproxy "done ($(since_ms "$begun_ms"))"
}

# Uses the dev profile, which builds quickly and has assertions. Failpoints are never part of a release.
build_with_faults() {
    local begun_ms log=$LOG_DIR/build.log program
    begun_ms=$(now_ms)
    say_step build "cargo build, with failpoints"
    if ! (cd "$ROOT" && CARGO_TERM_COLOR=never cargo build --locked "${CHAOS_PROGRAMS[@]/#/--bin=}" --features gateway/faults,settlement/faults,downstream/faults) </dev/null >"$log" 2>&1; then
        say_error "cargo build failed"
        show_log_tail "$log"
        return 1
    fi
    mkdir -p "$CHAOS_BIN_DIR"
    for program in "${CHAOS_PROGRAMS[@]}"; do
        cp -f "$TARGET_DIR/debug/$program" "$CHAOS_BIN_DIR/$program.new" && mv -f "$CHAOS_BIN_DIR/$program.new" "$CHAOS_BIN_DIR/$program"
    done
    say_step build "done ($(since_ms "$begun_ms"))"
}
