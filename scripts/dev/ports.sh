# The port of each process of a stack: the default if it is free, otherwise the next free one. Ports are stored
# in .dev/<stack>/ports ("name port" per line), so that addresses stay the same from one `up` to the next.
# The process manager chooses them.
# shellcheck shell=bash

# port_of NAME: prints the stored port, or the default.
port_of() { remembered_port "$1" || default_port "$1"; }

remembered_port() {
    local name port
    [ -r "$STACK_DIR/ports" ] || return 1
    while read -r name port; do
        if [ "$name" = "$1" ]; then
            printf '%s' "$port"
            return
        fi
    done <"$STACK_DIR/ports"
    return 1
}

default_port() {
    local name=$1 number=1 base
    if [[ $name =~ -([0-9]+)(-admin)?$ ]]; then number=${BASH_REMATCH[1]}; fi
    case $name in
        redis) base=$REDIS_PORT ;;
        redis-cluster) base=$((REDIS_PORT + 1)) ;;
        redis-cluster-bus) base=$((REDIS_PORT + 2)) ;;
        kafka) base=$KAFKA_PORT ;;
        kafka-controller) base=$KAFKA_CONTROLLER_PORT ;;
        postgres) base=$POSTGRES_PORT ;;
        gateway-*-admin) base=$((GATEWAY_ADMIN_PORT + 2 * (number - 1))) ;;
        gateway-*) base=$((GATEWAY_PORT + 2 * (number - 1))) ;;
        chaos-*) base=$((CHAOS_PORT + number - 1)) ;;
        settlement-*) base=$((SETTLEMENT_PORT + number - 1)) ;;
        payments-*) base=$((PAYMENTS_PORT + number - 1)) ;;
        notification-*) base=$((NOTIFICATION_PORT + number - 1)) ;;
        analytics-*) base=$((ANALYTICS_PORT + number - 1)) ;;
        provider) base=$PROVIDER_PORT ;;
        mail) base=$MAIL_PORT ;;
        prometheus) base=$PROMETHEUS_PORT ;;
    esac
    [ "$STACK" = main ] || base=$((base + OTHER_STACKS_PORT_OFFSET))
    printf '%s' "$base"
}

# settle_ports NAME…: chooses and stores a port for each name. Only for processes that are not running. Other stacks and
# tests avoid the ports while this script runs, or the session that it is a part of.
settle_ports() {
    local name defaults=()
    for name in "$@"; do defaults+=("$name=$(default_port "$name")"); done
    process_tool ports "${FLASHSALE_CLAIM_HOLDER:-$$}" "${defaults[@]}" || exit 1
}
