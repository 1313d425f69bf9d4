# The port of each process of a stack: the default if it is free, otherwise the next free one. Ports are stored
# in .dev/<stack>/ports ("name port" per line), so that addresses stay the same from one `up` to the next.
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

# Whether any process listens on the port (state 0A is LISTEN).
port_is_taken() {
    local hex
    printf -v hex '%04X' "$1"
    grep -qsE "^ *[0-9]+: [0-9A-F]+:$hex [0-9A-F]+:[0-9A-F]{4} 0A " \
        /proc/net/tcp /proc/net/tcp6
}

# Two stacks of one user that start in the same second would both find a port free. Each choice is therefore
# recorded in a shared folder, and respected for as long as a start may take.
CLAIM_SECONDS=60
claims_dir() { printf '%s/flashsale-ports-%s' "${TMPDIR:-/tmp}" "$(id -u)"; }

# settle_ports NAME…: chooses and stores a port for each name. Only for processes that are not running.
settle_ports() {
    local claims name port claims_fd
    claims=$(claims_dir)
    mkdir -p "$claims"
    exec {claims_fd}>"$claims/lock"
    flock -w 30 "$claims_fd" || die "another ./dev has held $claims/lock for more than 30 s"
    forget_old_claims "$claims"
    for name in "$@"; do
        port=$(port_of "$name")
        while port_is_taken "$port" || claimed_elsewhere "$claims/$port" || port_of_another "$name" "$port"; do
            port=$((port + 1))
            [ "$port" -lt 32768 ] || die "no free port for $name above $(default_port "$name")"
        done
        printf '%s\n' "$STACK_DIR" >"$claims/$port"
        if [ "$port" != "$(default_port "$name")" ] && [ "$port" != "$(remembered_port "$name" || :)" ]; then
            say_step "$name" "port $(default_port "$name") is taken: using $port"
        fi
        remember_port "$name" "$port"
    done
    exec {claims_fd}>&-
}

claimed_elsewhere() { [ -e "$1" ] && [ "$(cat "$1")" != "$STACK_DIR" ]; }

forget_old_claims() {
    local file age_s
    for file in "$1"/[0-9]*; do
        [ -e "$file" ] || continue
        age_s=$((EPOCHSECONDS - $(stat -c %Y "$file")))
        [ "$age_s" -lt "$CLAIM_SECONDS" ] || rm -f "$file"
    done
}

# Releases the claims of a stack that is reset.
forget_claims() {
    local file
    for file in "$(claims_dir)"/[0-9]*; do
        if [ -e "$file" ] && [ "$(cat "$file")" = "$STACK_DIR" ]; then rm -f "$file"; fi
    done
}

port_of_another() {
    local name port
    [ -r "$STACK_DIR/ports" ] || return 1
    while read -r name port; do
        if [ "$port" = "$2" ] && [ "$name" != "$1" ]; then return 0; fi
    done <"$STACK_DIR/ports"
    return 1
}

remember_port() {
    local ports=$STACK_DIR/ports
    {
        if [ -r "$ports" ]; then grep -v "^$1 " "$ports" || :; fi
        printf '%s %s\n' "$1" "$2"
    } >"$ports.new"
    mv -f "$ports.new" "$ports"
}
