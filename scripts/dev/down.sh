# ./dev down and ./dev reset: stop what this stack started, and nothing else.
# shellcheck shell=bash

cmd_down() {
    [ $# -eq 0 ] || die "./dev down takes no arguments"
    if nothing_was_started; then return; fi
    as_worker down
    lock_stack
    stop_stack
    unlock_stack
}

cmd_reset() {
    [ $# -eq 0 ] || die "./dev reset takes no arguments"
    if nothing_was_started; then
        remove_stack_data
    else
        as_worker reset
        lock_stack
        stop_stack
        remove_stack_data
        unlock_stack
    fi
    say "stack '$STACK': data, logs and stored ports are deleted"
}

# Without this the process manager would be built, or Rust requested, only to stop nothing.
nothing_was_started() {
    [ ! -d "$RUN_DIR" ] || return 1
    say "stack '$STACK': nothing is running"
}

# Stops the gateways first, so that no order is accepted after settlement has stopped; then settlement and the event
# consumers; the services last.
stop_stack() {
    local name kind names=()
    process_tool adopt
    process_tool stop-strays
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
    process_tool stop-strays
}

# Removes everything except the lock that this script may hold.
remove_stack_data() {
    [ -d "$STACK_DIR" ] || return 0
    remove_postgres_home
    find "$STACK_DIR" -mindepth 1 -maxdepth 1 ! -name 'lock*' -exec rm -rf -- {} +
}
