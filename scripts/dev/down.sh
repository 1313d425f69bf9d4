# ./dev down and ./dev reset: stop what this stack started, and nothing else.
# shellcheck shell=bash

cmd_down() {
    [ $# -eq 0 ] || die "./dev down takes no arguments"
    as_worker down
    lock_stack
    stop_stack
    unlock_stack
}

cmd_reset() {
    [ $# -eq 0 ] || die "./dev reset takes no arguments"
    as_worker reset
    lock_stack
    stop_stack
    remove_stack_data
    unlock_stack
    say "stack '$STACK': data, logs and stored ports are deleted"
}

# Stops the gateways first, so that no order is accepted after settlement has stopped; then settlement and the event
# consumers; the services last.
stop_stack() {
    local name kind names=()
    adopt_strays
    stop_unnamed
    if [ -z "$(recorded_names)" ]; then
        say "stack '$STACK': nothing is running"
        return
    fi
    for kind in gateway settlement; do
        mapfile -t names < <(recorded_of "$kind")
        [ "${#names[@]}" -eq 0 ] || stop_processes "${names[@]}"
    done
    mapfile -t names < <(for kind in payments notification analytics; do recorded_of "$kind"; done)
    [ "${#names[@]}" -eq 0 ] || stop_processes "${names[@]}"
    for name in prometheus provider mail kafka postgres redis-cluster redis; do
        [ ! -e "$RUN_DIR/$name.pid" ] || stop_processes "$name"
    done
    stop_unnamed
}

STRAY_SECONDS=12
STRAY_GENERATIONS_MAX=8 # for a test run: cargo, a test, a server that it started, …

# Stops marked processes without a pid file, left by killed tests or by a crash of this script. A parent is stopped
# before its children, which may exit with it.
stop_unnamed() {
    local name pid generation recorded strays
    for ((generation = 1; generation <= STRAY_GENERATIONS_MAX; generation++)); do
        recorded=" "
        strays=()
        for name in $(recorded_names); do recorded+="$(pid_of "$name" || :) "; done
        for pid in $(marked_pids); do
            [[ $recorded == *" $pid "* ]] || strays+=("$pid")
        done
        [ "${#strays[@]}" -gt 0 ] || return 0
        say_step strays "stopping ${strays[*]}"
        kill -s TERM "${strays[@]}" 2>/dev/null || :
        wait_until "$STRAY_SECONDS" all_gone "${strays[@]}" || kill -s KILL "${strays[@]}" 2>/dev/null || :
    done
}

all_gone() {
    local pid
    for pid in "$@"; do ! start_time_of "$pid" >/dev/null || return 1; done
}

# Removes everything except the lock that this script holds.
remove_stack_data() {
    remove_postgres_home
    forget_claims
    find "$STACK_DIR" -mindepth 1 -maxdepth 1 ! -name 'lock*' -exec rm -rf -- {} +
}
