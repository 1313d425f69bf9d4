# The processes of a stack: starting them detached, identifying them later, stopping them.
#
# A process is identified in two ways: by run/NAME.pid (pid and start time, so that a reused pid is never
# mistaken for it), and by its environment (FLASHSALE_STARTED_BY=<stack folder>, FLASHSALE_PROCESS=<name>),
# which finds it even if this script died between starting it and writing the file.
# shellcheck shell=bash

# Prints field 22 of /proc/PID/stat, counted after the last ')' because a name may contain blanks and brackets.
start_time_of() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    # shellcheck disable=SC2086 # word splitting is intended
    set -- $stat
    [ "$1" != Z ] || return 1
    printf '%s' "${20}"
}

# pid_of NAME: prints the pid if that exact process is alive.
pid_of() {
    local pid start
    [ -r "$RUN_DIR/$1.pid" ] || return 1
    read -r pid start <"$RUN_DIR/$1.pid" || return 1
    [ "$(start_time_of "$pid")" = "$start" ] || return 1
    printf '%s' "$pid"
}

is_alive() { pid_of "$1" >/dev/null; }

remember_process() {
    local name=$1 pid=$2 start
    start=$(start_time_of "$pid") || return 1
    printf '%s %s\n' "$pid" "$start" >"$RUN_DIR/$name.pid.new"
    mv -f "$RUN_DIR/$name.pid.new" "$RUN_DIR/$name.pid"
}

parent_of() { sed -E 's/.*\) . ([0-9]+) .*/\1/' "/proc/$1/stat" 2>/dev/null; }

# Prints the pids of this script and its ancestors as " pid pid ". The script must never kill them.
own_ancestors() {
    local pid=$$ pids=" "
    while [ -n "$pid" ] && [ "$pid" -gt 1 ]; do
        pids+="$pid "
        pid=$(parent_of "$pid") || pid=
    done
    printf '%s' "$pids"
}

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

LOG_BYTES_MAX=$((64 * 1024 * 1024)) # a longer log is rotated at the next start

# spawn NAME COMMAND…: starts the command in its own session, with its output in logs/NAME.log.
spawn() {
    local name=$1 log=$LOG_DIR/$1.log
    shift
    if [ -f "$log" ] && [ "$(stat -c %s "$log")" -gt "$LOG_BYTES_MAX" ]; then
        mv -f "$log" "$log.1"
    fi
    launch_text "$@" >"$RUN_DIR/$name.launch"
    (
        close_inherited_files
        cd "$STACK_DIR"
        unset FLASHSALE_WORKER
        export FLASHSALE_STARTED_BY=$STACK_DIR FLASHSALE_PROCESS=$name
        exec setsid "$@" </dev/null >>"$log" 2>&1
    ) &
    remember_process "$name" $! || : # if it has already exited, await_ready reports it
}

# The command that a process was started with. If it differs later, the process must be restarted.
launch_text() { printf '%s\n' "$@"; }

same_launch() {
    local name=$1
    shift
    [ -r "$RUN_DIR/$name.launch" ] && [ "$(launch_text "$@")" = "$(cat "$RUN_DIR/$name.launch")" ]
}

# await_ready NAME SECONDS: waits until the process responds; on failure prints the end of its log.
await_ready() {
    local name=$1 limit_s=$2 deadline_ms
    deadline_ms=$(($(now_ms) + limit_s * 1000))
    until is_ready "$name"; do
        if ! is_alive "$name"; then
            say_error "$name exited while starting"
            show_log_tail "$LOG_DIR/$name.log"
            return 1
        fi
        if [ "$(now_ms)" -ge "$deadline_ms" ]; then
            say_error "$name was not ready within $limit_s s"
            show_log_tail "$LOG_DIR/$name.log"
            return 1
        fi
        sleep 0.05
    done
}

# is_ready NAME: whether the process is alive and responds on its port with its protocol.
is_ready() {
    is_alive "$1" || return 1
    case $1 in
        redis | redis-cluster) redis_answers "$1" ;;
        postgres) postgres_answers ;;
        kafka) kafka_answers ;;
        gateway-*) http_ready "$(port_of "$1-admin")" ;;
        mail) mail_answers ;;
        prometheus) http_ready "$(port_of prometheus)" /-/ready ;;
        settlement-* | payments-* | notification-* | analytics-* | provider) http_ready "$(port_of "$1")" ;;
    esac
}

# http_ready PORT [PATH]: whether GET /health/ready returns 200. Plain bash, because a minimal system has no curl.
http_ready() {
    (
        local status
        exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
        printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "${2:-/health/ready}" >&3
        read -r -t 2 status <&3 && [[ $status == "HTTP/1."[01]" 200"* ]]
    ) 2>/dev/null
}

# Prints the pids with this stack's mark in their environment, one per line, except those whose parent has it too.
marked_pids() {
    local files file pid parent pids=" " spared
    spared=$(own_ancestors)
    files=$(grep -lzsxF "FLASHSALE_STARTED_BY=$STACK_DIR" /proc/[0-9]*/environ 2>/dev/null) || :
    for file in $files; do
        pid=${file#/proc/}
        pid=${pid%/environ}
        [[ $spared == *" $pid "* ]] || pids+="$pid "
    done
    for pid in $pids; do
        start_time_of "$pid" >/dev/null || continue
        parent=$(parent_of "$pid") || continue
        [[ $pids == *" $parent "* ]] || printf '%s\n' "$pid"
    done
}

process_name_of() {
    local pid=$1 entry
    while IFS= read -r -d '' entry; do
        [[ $entry != FLASHSALE_PROCESS=* ]] || printf '%s' "${entry#*=}"
    done 2>/dev/null <"/proc/$pid/environ" || : # it may have exited meanwhile
}

# Writes the pid file of a process that was started but not recorded (the script died in between).
adopt_strays() {
    local pid name
    for pid in $(marked_pids); do
        name=$(process_name_of "$pid")
        if [ -n "$name" ] && ! is_alive "$name"; then
            remember_process "$name" "$pid" || :
        fi
    done
}

# Prints the names of the processes that this stack has started and not stopped, whether alive or killed.
recorded_names() {
    local file
    for file in "$RUN_DIR"/*.pid; do
        [ -e "$file" ] || continue
        file=${file##*/}
        printf '%s\n' "${file%.pid}"
    done | sorted_names
}

# recorded_of KIND: prints the recorded names of that kind ("gateway").
recorded_of() { recorded_names | grep -xE "$1-[0-9]+" || :; }

# The signal that stops each kind, and the grace period before SIGKILL.
stop_signal_of() {
    case $1 in
        postgres) echo INT ;; # "fast": does not wait for clients
        *) echo TERM ;;
    esac
}
stop_limit_s_of() {
    case $1 in
        gateway-* | settlement-*) echo 12 ;;                  # they drain within 10 s
        payments-* | notification-* | analytics-*) echo 15 ;; # they finish an event, leave the group, flush messages
        kafka) echo 20 ;;
        *) echo 15 ;;
    esac
}

# stop_processes NAME…: signals all, then waits for each; sends SIGKILL after the grace period.
stop_processes() {
    local name pid begun_ms limit_ms signalled=()
    begun_ms=$(now_ms)
    for name in "$@"; do
        if pid=$(pid_of "$name"); then
            kill -s "$(stop_signal_of "$name")" "$pid" 2>/dev/null || :
            kill -s CONT "$pid" 2>/dev/null || : # a stopped process cannot handle the signal
            signalled+=("$name")
        else
            forget_process "$name"
        fi
    done
    for name in "${signalled[@]}"; do
        limit_ms=$(($(stop_limit_s_of "$name") * 1000 - ($(now_ms) - begun_ms)))
        if wait_until $(((limit_ms + 999) / 1000)) is_gone "$name"; then
            say_step "$name" "stopped ($(since_ms "$begun_ms"))"
        else
            if pid=$(pid_of "$name"); then kill -s KILL "$pid" 2>/dev/null || :; fi
            wait_until 5 is_gone "$name" || die "$name (pid $pid) could not be killed"
            say_step "$name" "killed after $(stop_limit_s_of "$name") s"
        fi
        [ "$name" != kafka ] || keep_class_archive
        forget_process "$name"
    done
}

is_gone() { ! is_alive "$1"; }
forget_process() { rm -f "$RUN_DIR/$1.pid" "$RUN_DIR/$1.launch"; }
