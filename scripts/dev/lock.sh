# Only one ./dev at a time may change a stack. The lock is a file lock, so it is released however its holder exits.
#
# A script killed with SIGKILL leaves its background steps (a build, a download) running, and they also hold
# the lock. They have FLASHSALE_WORKER=<stack folder>:<pid of the script> in their environment. The next ./dev
# detects that the recorded holder is dead, kills these steps, and continues.
# shellcheck shell=bash

LOCK_WAIT_SECONDS=900 # a first build may take this long

# Re-executes this command once with the worker's mark in its environment.
as_worker() {
    [ "${FLASHSALE_WORKER:-}" != "$STACK_DIR:$$" ] || return 0
    FLASHSALE_WORKER=$STACK_DIR:$$ exec "$ROOT/dev" "$@"
}

lock_stack() {
    local holder start
    build_process_tool
    mkdir -p "$RUN_DIR" "$LOG_DIR" "$DATA_DIR"
    exec {LOCK_FD}>>"$STACK_DIR/lock"
    if ! flock -n "$LOCK_FD"; then
        read -r holder start <"$STACK_DIR/lock.holder" 2>/dev/null || :
        if [ -n "${holder:-}" ] && ! process_tool alive "$holder" "$start"; then
            process_tool kill-steps "$holder"
        else
            say "waiting for another ./dev on stack '$STACK' (pid ${holder:-unknown})"
        fi
        flock -w "$LOCK_WAIT_SECONDS" "$LOCK_FD" || die "another ./dev still holds the lock of stack '$STACK' after $LOCK_WAIT_SECONDS s"
    fi
    process_tool identity $$ >"$STACK_DIR/lock.holder"
    # Ctrl-C must not leave a build running.
    trap '{ process_tool kill-steps $$; } 2>/dev/null; exit 130' INT TERM
}

unlock_stack() {
    trap - INT TERM
    exec {LOCK_FD}>&-
}
