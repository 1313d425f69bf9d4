# Names, messages and waits that all other files use. Sourced by ./dev after ROOT is set.
# shellcheck shell=bash

STACK=${FLASHSALE_STACK:-main}
if ! [[ $STACK =~ ^[a-z][a-z0-9-]{0,31}$ ]] || [ "$STACK" = cache ]; then
    echo "FLASHSALE_STACK must have 1 to 32 characters of a-z, 0-9 and -, start with a letter, and not be 'cache': '$STACK'" >&2
    exit 2
fi

# Sets all variables for one stack. Commands with a stack of their own (test, bench) call it again.
use_stack() {
    STACK=$1
    STACK_DIR=$ROOT/.dev/$STACK
    RUN_DIR=$STACK_DIR/run   # NAME.pid, NAME.launch
    LOG_DIR=$STACK_DIR/logs  # NAME.log
    DATA_DIR=$STACK_DIR/data # one folder per service
}
CACHE_DIR=$ROOT/.dev/cache # shared by all stacks: Kafka's jars, tools
TARGET_DIR=${CARGO_TARGET_DIR:-$ROOT/target}
use_stack "$STACK"

# shellcheck source=scripts/dev/defaults.env
. "$ROOT/scripts/dev/defaults.env"

# Progress and errors go to stderr, so that the output of a command can be piped.
say() { printf '%s\n' "$*" >&2; }
say_step() { printf '  %-14s %s\n' "$1" "$2" >&2; }
say_error() { printf 'error: %s\n' "$*" >&2; }
die() {
    say_error "$*"
    exit 1
}

# Removes download hosts from error output, where they are noise. Addresses of our own processes stay.
without_hosts() { sed -E 's#https?://[a-zA-Z][^/ ]*#<mirror>#g'; }

# show_log_tail LOGFILE: prints the last lines of a failed step's log.
show_log_tail() {
    local log=$1
    if [ -s "$log" ]; then
        say "  last lines of ${log#"$ROOT/"}:"
        tail -n 20 -- "$log" | without_hosts | sed 's/^/    | /' >&2
    fi
    say "  log: $log"
}

now_ms() { printf '%s' $((${EPOCHREALTIME/[.,]/} / 1000)); }

# since_ms START: prints the elapsed seconds with one decimal.
since_ms() {
    local ms=$(($(now_ms) - $1))
    printf '%d.%d s' $((ms / 1000)) $((ms % 1000 / 100))
}

# wait_until SECONDS COMMAND…: returns 0 as soon as the command succeeds, 1 on timeout.
wait_until() {
    local deadline_ms=$(($(now_ms) + $1 * 1000))
    shift
    until "$@"; do
        [ "$(now_ms)" -lt "$deadline_ms" ] || return 1
        sleep 0.05
    done
}

for part in toolchain packages process ports lock redis postgres kafka binaries downstream prometheus up down status help commands lint chaos; do
    # shellcheck source=/dev/null
    . "$ROOT/scripts/dev/$part.sh"
done
