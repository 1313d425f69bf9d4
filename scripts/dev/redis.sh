# Redis of a stack, and (for tests) a Redis Cluster of a single node, which refuses keys outside a slot.
# shellcheck shell=bash

# Prints the command, one word per line.
redis_command_line() {
    printf '%s\n' redis-server "$ROOT/deploy/redis.conf" --bind 127.0.0.1 --protected-mode yes \
        --port "$(port_of redis)" --dir "$DATA_DIR/redis" --daemonize no
}

start_redis() {
    local begun_ms command
    begun_ms=$(now_ms)
    if is_alive redis; then
        await_ready redis 20
        return
    fi
    mkdir -p "$DATA_DIR/redis"
    mapfile -t command < <(redis_command_line)
    spawn redis "${command[@]}"
    await_ready redis 60 # a large append-only file takes a while to load
    say_step redis "ready on 127.0.0.1:$(port_of redis) ($(since_ms "$begun_ms"))"
}

start_redis_cluster() {
    local begun_ms
    begun_ms=$(now_ms)
    if is_alive redis-cluster; then
        await_ready redis-cluster 20
        return
    fi
    mkdir -p "$DATA_DIR/redis-cluster"
    spawn redis-cluster redis-server "$ROOT/deploy/redis.conf" --bind 127.0.0.1 --protected-mode yes \
        --port "$(port_of redis-cluster)" --dir "$DATA_DIR/redis-cluster" --daemonize no \
        --cluster-enabled yes --cluster-port "$(port_of redis-cluster-bus)" --cluster-announce-ip 127.0.0.1 \
        --cluster-node-timeout 2000
    if ! wait_until 20 redis_replies redis-cluster PING '+PONG'; then
        await_ready redis-cluster 1
    fi
    # Fails harmlessly if a restarted node already has its slots.
    redis_replies redis-cluster 'CLUSTER ADDSLOTSRANGE 0 16383' '+OK' || :
    await_ready redis-cluster 20
    say_step redis-cluster "ready on 127.0.0.1:$(port_of redis-cluster) ($(since_ms "$begun_ms"))"
}

# redis_replies NAME COMMAND REPLY: whether the first line of the reply starts with REPLY.
redis_replies() {
    (
        local reply
        exec 3<>"/dev/tcp/127.0.0.1/$(port_of "$1")" || exit 1
        printf '%s\r\n' "$2" >&3
        read -r -t 2 reply <&3 && [[ $reply == "$3"* ]]
    ) 2>/dev/null
}
