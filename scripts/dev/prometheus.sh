# The Prometheus of a stack: grafana/prometheus.yml and its rules, as in docker-compose.yml, with the programs of the
# stack as targets.
# shellcheck shell=bash

prometheus_home() { printf '%s/prometheus' "$STACK_DIR"; }

# Prints the command, one word per line. It runs with low priority, because the observed programs come first.
prometheus_command_line() {
    printf '%s\n' nice -n 5 prometheus "--config.file=$(prometheus_home)/prometheus.yml" \
        "--storage.tsdb.path=$DATA_DIR/prometheus" --storage.tsdb.retention.time=7d \
        --storage.tsdb.retention.size=512MB "--web.listen-address=127.0.0.1:$(port_of prometheus)"
}

# Prometheus resolves rules and targets relative to its settings, hence these links.
lay_out_prometheus() {
    local home
    home=$(prometheus_home)
    mkdir -p "$home/targets" "$DATA_DIR/prometheus"
    ln -sfn "$ROOT/grafana/prometheus.yml" "$home/prometheus.yml"
    ln -sfn "$ROOT/grafana/rules" "$home/rules"
    prometheus_targets >"$home/targets/stack.new"
    mv -f "$home/targets/stack.new" "$home/targets/stack.yml" # atomically, because it is read whenever it changes
}

# Prints a target for each program that the stack has started, with the name that ./dev status shows.
prometheus_targets() {
    local name listener
    printf '# Written by ./dev up.\n'
    for name in $(recorded_names); do
        case $name in
            gateway-*) listener=$name-admin ;;
            settlement-* | payments-* | notification-* | analytics-* | provider) listener=$name ;;
            *) continue ;;
        esac
        printf -- '- targets: ["%s"]\n  labels: { job: %s, instance: %s }\n' \
            "$(address_of "$listener")" "${name%-[0-9]*}" "$name"
    done
}

start_prometheus() {
    local begun_ms command pid
    begun_ms=$(now_ms)
    lay_out_prometheus
    mapfile -t command < <(prometheus_command_line)
    if is_alive prometheus && ! was_launched prometheus "${command[@]}"; then stop_processes prometheus; fi
    if pid=$(pid_of prometheus); then
        kill -s HUP "$pid" # the rules may have changed
        await_ready prometheus 20
        return
    fi
    settle_ports prometheus
    mapfile -t command < <(prometheus_command_line)
    spawn prometheus "${command[@]}"
    await_ready prometheus 30
    say_step prometheus "ready on 127.0.0.1:$(port_of prometheus) ($(since_ms "$begun_ms"))"
}
