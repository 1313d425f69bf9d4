# ./dev status and ./dev env: which processes run, and their addresses.
# shellcheck shell=bash

cmd_status() {
    case ${1:-} in
        '') status_table ;;
        --json) status_json ;;
        *) die "unknown option of ./dev status: $1 (see ./dev help status)" ;;
    esac
}

address_of() { printf '127.0.0.1:%s' "$(port_of "$1")"; }

status_table() {
    local name pid ready state admin
    if [ -z "$(recorded_names)" ]; then
        say "stack '$STACK': nothing is running (./dev up starts it)"
        return
    fi
    printf '%-14s %-8s %-22s %-22s %s\n' "stack '$STACK'" PID ADDRESS ADMIN STATE
    while read -r name pid ready; do
        state=ready
        [ "$ready" = true ] || state='not ready'
        [ "$pid" != - ] || state='not running'
        admin=
        [[ $name != gateway-* ]] || admin=$(address_of "$name-admin")
        printf '%-14s %-8s %-22s %-22s %s\n' "$name" "$pid" "$(address_of "$name")" "$admin" "$state"
    done < <(process_tool list)
}

status_json() {
    local name pid ready separator=''
    printf '{"processes":['
    while read -r name pid ready; do
        [ "$pid" != - ] || pid=null
        printf '%s\n  {"name":"%s","pid":%s,"address":"%s",' "$separator" "$name" "$pid" "$(address_of "$name")"
        [[ $name != gateway-* ]] || printf '"admin_address":"%s",' "$(address_of "$name-admin")"
        printf '"ready":%s}' "$ready"
        separator=,
    done < <([ -z "$(recorded_names)" ] || process_tool list)
    printf '\n]}\n'
}

cmd_env() {
    [ $# -eq 0 ] || die "./dev env takes no arguments"
    [ -r "$STACK_DIR/ports" ] || die "stack '$STACK' has never been started and has no addresses yet: ./dev up"
    stack_environment | sed 's/^/export /'
}

# Prints NAME=value per line: the address of the first of each kind, and of all gateways.
stack_environment() {
    printf 'GATEWAY_URL=http://%s\n' "$(address_of gateway-1)"
    printf 'GATEWAY_URLS=%s\n' "$(gateway_urls)"
    printf 'ADMIN_URL=http://%s\n' "$(address_of gateway-1-admin)"
    [ "$GATEWAY_DEV_AUTH" != true ] || printf 'ADMIN_TOKEN=dev-admin\n'
    printf 'SETTLEMENT_URL=http://%s\n' "$(address_of settlement-1)"
    printf 'PAYMENTS_URL=http://%s\n' "$(address_of payments-1)"
    printf 'NOTIFICATION_URL=http://%s\n' "$(address_of notification-1)"
    printf 'ANALYTICS_URL=http://%s\n' "$(address_of analytics-1)"
    printf 'PROVIDER_URL=http://%s\n' "$(address_of provider)"
    printf 'PROMETHEUS_URL=http://%s\n' "$(address_of prometheus)"
    common_settings
    printf 'PAYMENT_WEBHOOK_SECRET=%s\n' "$(payment_webhook_secret)"
    if remembered_port redis-cluster >/dev/null; then
        printf 'REDIS_CLUSTER_URL=redis://%s\n' "$(address_of redis-cluster)"
    fi
}

gateway_urls() {
    local name urls=""
    for name in $(recorded_of gateway); do urls+="${urls:+,}http://$(address_of "$name")"; done
    printf "%s" "${urls:-http://$(address_of gateway-1)}"
}
