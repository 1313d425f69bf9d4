# ./dev up: starts all processes of a stack that are not running.
# shellcheck shell=bash

INSTANCES_MAX=9

cmd_up() {
    local gateways='' settlements='' services_only='' build_only='' core='' arguments=("$@")
    while [ $# -gt 0 ]; do
        case $1 in
            --gateways=* | --settlements=*)
                set -- "${1%%=*}" "${1#*=}" "${@:2}"
                continue
                ;;
            --gateways)
                gateways=$(instances "$@")
                shift 2
                ;;
            --settlements)
                settlements=$(instances "$@")
                shift 2
                ;;
            --services-only)
                services_only=yes
                shift
                ;;
            --build-only)
                build_only=yes
                shift
                ;;
            --core)
                core=yes
                shift
                ;;
            *) die "unknown option of ./dev up: $1 (see ./dev help up)" ;;
        esac
    done
    as_worker up "${arguments[@]}"
    if [ -n "$services_only" ]; then
        require_packages services
        lock_stack
        up_services
    elif [ -n "$build_only" ]; then
        require_packages programs
        lock_stack
        if [ -n "${WITH_PROGRAM:-}" ]; then build_binaries "$WITH_PROGRAM"; else build_binaries "${PROGRAMS[@]}"; fi
        unlock_stack
        return
    else
        require_packages programs
        lock_stack
        if [ -n "$core" ]; then up_services build_core; else up_services build_servers start_mail; fi
        remember_delivery
        up_programs settlement "${settlements:-$(wanted settlement)}" "$settlements"
        up_programs gateway "${gateways:-$(wanted gateway)}" "$gateways"
        if [ -z "$core" ]; then
            up_downstream
            start_prometheus || exit 1
        fi
    fi
    unlock_stack
    if [ -z "${QUIET:-}" ]; then cmd_status; fi
}

instances() {
    [[ ${2:-} =~ ^[0-9]+$ ]] && [ "$2" -ge 1 ] && [ "$2" -le "$INSTANCES_MAX" ] || die "$1 takes a number from 1 to $INSTANCES_MAX"
    printf '%s' "$2"
}

# Prints the number requested last time, including processes that were killed since.
wanted() {
    local highest
    highest=$(recorded_of "$1" | tail -n 1)
    printf '%s' "${highest:+${highest##*-}}" | grep . || printf 1
}

# up_services [STEP…]: starts the services in parallel, together with other long steps.
up_services() {
    local unsettled=() steps=(start_redis start_postgres start_kafka "$@")
    process_tool adopt
    is_alive redis || unsettled+=(redis)
    is_alive postgres || unsettled+=(postgres)
    is_alive kafka || unsettled+=(kafka kafka-controller)
    [[ " $* " != *" start_mail "* ]] || is_alive mail || unsettled+=(mail)
    if [ -n "${WITH_REDIS_CLUSTER:-}" ]; then
        steps+=(start_redis_cluster)
        is_alive redis-cluster || unsettled+=(redis-cluster redis-cluster-bus)
    fi
    [ "${#unsettled[@]}" -eq 0 ] || settle_ports "${unsettled[@]}"
    in_parallel "${steps[@]}"
}

# Runs the steps in parallel. Quick ones should come first, because this is the order of waiting. The first failure
# stops the builds and downloads of the other steps.
in_parallel() {
    local step pid pids=()
    for step in "$@"; do
        "$step" &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do
        if ! wait "$pid"; then
            # Bash would report each killed step.
            { process_tool kill-steps $$ && wait "${pids[@]}" || :; } 2>/dev/null
            say "Processes that did start are still running: ./dev down stops them."
            exit 1
        fi
    done
}

# up_programs KIND COUNT EXPLICIT: starts COUNT programs; an explicit count also stops those above it.
up_programs() {
    local kind=$1 count=$2 explicit=$3 names=() surplus=() name number
    for ((number = 1; number <= count; number++)); do names+=("$kind-$number"); done
    if [ -n "$explicit" ]; then
        for name in $(recorded_of "$kind"); do
            [ "${name##*-}" -le "$count" ] || surplus+=("$name")
        done
        [ "${#surplus[@]}" -eq 0 ] || stop_processes "${surplus[@]}"
    fi
    start_programs "$kind" "${names[@]}" || exit 1
}
