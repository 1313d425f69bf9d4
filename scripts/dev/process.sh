# The processes of a stack. The process manager (the crate `stack`) starts them detached, identifies them later, checks
# whether they are ready, stops them, and chooses their ports. It is built once, in seconds, apart from all other programs.
# shellcheck shell=bash

PROCESS_TOOL_BUILD=$CACHE_DIR/stack
PROCESS_TOOL=$PROCESS_TOOL_BUILD/debug/stack
PROCESS_TOOL_CHECKED='' # whether this script has already built it

# process_tool COMMAND ARGUMENT…: runs the process manager on this stack. It prints its usage without arguments.
process_tool() {
    [ -n "$PROCESS_TOOL_CHECKED" ] || build_process_tool
    "$PROCESS_TOOL" "$STACK_DIR" "$@"
}

process_tool_is_fresh() {
    local newer
    [ -x "$PROCESS_TOOL" ] && [ -e "$PROCESS_TOOL_BUILD/built" ] || return 1
    newer=$(cd "$ROOT" && find Cargo.lock stack/Cargo.toml stack/src -newer "$PROCESS_TOOL_BUILD/built" -print -quit) || :
    [ -z "$newer" ]
}

# An older process manager can stop what it has started. It is therefore used if the current one cannot be built.
build_process_tool() {
    local log=$PROCESS_TOOL_BUILD/build.log
    PROCESS_TOOL_CHECKED=yes
    process_tool_is_fresh && return
    if ! find_cargo; then
        [ -x "$PROCESS_TOOL" ] || die "$CARGO_MISSING"
        say "note: Rust is missing; using the process manager of an earlier build"
        return
    fi
    say_step build "the process manager of ./dev (once)"
    mkdir -p "$PROCESS_TOOL_BUILD"
    touch "$PROCESS_TOOL_BUILD/built.new" # a later change to a source is not in this build
    if ! (cd "$ROOT" && CARGO_TERM_COLOR=never cargo build --locked --package stack --bin stack \
        --target-dir "$PROCESS_TOOL_BUILD") </dev/null >"$log" 2>&1; then
        [ -x "$PROCESS_TOOL" ] || {
            say_error "the process manager could not be built"
            show_log_tail "$log"
            exit 1
        }
        say "note: the process manager could not be built (log: $log); using an earlier build"
        return
    fi
    mv -f "$PROCESS_TOOL_BUILD/built.new" "$PROCESS_TOOL_BUILD/built"
}

# pid_of NAME: prints the pid if that exact process is alive.
pid_of() { [ -e "$RUN_DIR/$1.pid" ] && process_tool pid "$1"; }
is_alive() { pid_of "$1" >/dev/null; }

# is_ready NAME: whether the process is alive and responds on its port with its protocol.
is_ready() { [ -e "$RUN_DIR/$1.pid" ] && process_tool ready "$1"; }

# was_launched NAME COMMAND…: whether the process is alive and was started with this command.
was_launched() { process_tool launched "$@"; }

# A server must not keep inherited descriptors open (locks, pipes of a waiting parent).
close_inherited_files() {
    local fd
    for fd in /proc/self/fd/*; do
        fd=${fd##*/}
        case $fd in
            0 | 1 | 2 | 255) ;;
            *) { eval "exec $fd>&-"; } 2>/dev/null || : ;;
        esac
    done
}

# spawn NAME COMMAND…: starts the command in its own session, with its output in logs/NAME.log.
spawn() {
    (
        close_inherited_files
        process_tool spawn "$@"
    )
}

# await_ready NAME SECONDS: waits until the process responds; on failure prints the end of its log.
await_ready() {
    process_tool await "$1" "$2" || {
        show_log_tail "$LOG_DIR/$1.log"
        return 1
    }
}

# Prints the names of the processes that this stack has started and not stopped, whether alive or killed.
recorded_names() {
    local file
    for file in "$RUN_DIR"/*.pid; do
        [ -e "$file" ] || continue
        file=${file##*/}
        printf '%s\n' "${file%.pid}"
    done
}

# recorded_of KIND: prints the recorded names of that kind ("gateway").
recorded_of() { recorded_names | grep -xE "$1-[0-9]+" || :; }

# stop_processes NAME…: stops the processes; kills those that take too long.
stop_processes() {
    process_tool stop "$@" || exit 1
    [[ " $* " != *" kafka "* ]] || keep_class_archive
}
