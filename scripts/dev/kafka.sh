# Kafka of a stack: one node that is both broker and controller (KRaft), from the published jars.
# Maven resolves the pinned deploy/kafka/pom.xml once into .dev/cache/, for all stacks of this checkout.
# shellcheck shell=bash

KAFKA_HOME=$CACHE_DIR/kafka-$KAFKA_VERSION

pom_sum() { cksum <"$ROOT/deploy/kafka/pom.xml"; }
kafka_is_cached() { [ "$(cat "$KAFKA_HOME/pom.sum" 2>/dev/null)" = "$(pom_sum)" ]; }

# Downloads atomically: into a temporary folder that is then renamed.
fetch_kafka() {
    local begun_ms log fd new=$KAFKA_HOME.new maven shown_ms
    kafka_is_cached && return
    begun_ms=$(now_ms)
    mkdir -p "$CACHE_DIR"
    exec {fd}>"$CACHE_DIR/kafka.lock"
    flock -w 600 "$fd" || {
        say_error "another ./dev has been downloading Kafka for more than 600 s"
        return 1
    }
    if ! kafka_is_cached; then
        log=$LOG_DIR/maven.log
        say_step kafka "downloading Kafka $KAFKA_VERSION (about 45 MB, once)"
        rm -rf "$new" && mkdir -p "$new"
        mvn -B -f "$ROOT/deploy/kafka/pom.xml" dependency:copy-dependencies \
            -DoutputDirectory="$new/libs" -DincludeScope=runtime </dev/null >"$log" 2>&1 &
        maven=$!
        shown_ms=$(now_ms)
        while kill -0 "$maven" 2>/dev/null; do
            sleep 0.2
            if [ $(($(now_ms) - shown_ms)) -ge 5000 ]; then
                say_step kafka "$(grep -c '^.INFO. Downloaded ' "$log" || :) files downloaded ($(since_ms "$begun_ms"))"
                shown_ms=$(now_ms)
            fi
        done
        if ! wait "$maven"; then
            say_error "Kafka's jars could not be downloaded"
            show_log_tail "$log"
            return 1
        fi
        pom_sum >"$new/pom.sum"
        rm -rf "$KAFKA_HOME" && mv "$new" "$KAFKA_HOME"
        say_step kafka "downloaded ($(since_ms "$begun_ms"))"
    fi
    exec {fd}>&-
}

start_kafka() {
    local begun_ms java_options
    fetch_kafka
    begun_ms=$(now_ms)
    if is_alive kafka; then
        await_ready kafka 30
        return
    fi
    server_properties >"$STACK_DIR/server.properties"
    format_kafka || {
        say_error "Kafka's storage could not be formatted"
        show_log_tail "$LOG_DIR/kafka-format.log"
        return 1
    }
    mapfile -t java_options < <(kafka_java_options)
    spawn kafka java "${java_options[@]}" kafka.Kafka "$STACK_DIR/server.properties"
    await_ready kafka 60
    say_step kafka "ready on 127.0.0.1:$(port_of kafka) ($(since_ms "$begun_ms"))"
}

# Prints the shared settings, then this stack's own.
server_properties() {
    local broker controller
    broker=127.0.0.1:$(port_of kafka)
    controller=127.0.0.1:$(port_of kafka-controller)
    {
        cat "$ROOT/deploy/kafka/server.properties"
        printf '%s\n' "listeners=PLAINTEXT://$broker,CONTROLLER://$controller" \
            "advertised.listeners=PLAINTEXT://$broker" \
            "controller.quorum.voters=1@$controller" \
            "log.dirs=$DATA_DIR/kafka"
        proxied_listeners "$broker" "$controller"
    }
}

# Adds the listeners behind a proxy, given as "NAME PORT PROXY_PORT" per line in kafka-listeners. Later lines of a
# properties file override earlier ones.
proxied_listeners() {
    local name port proxy listeners="PLAINTEXT://$1,CONTROLLER://$2" advertised="PLAINTEXT://$1"
    local protocols=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
    [ -r "$STACK_DIR/kafka-listeners" ] || return 0
    while read -r name port proxy; do
        listeners+=",$name://127.0.0.1:$port"
        advertised+=",$name://127.0.0.1:$proxy"
        protocols+=",$name:PLAINTEXT"
    done <"$STACK_DIR/kafka-listeners"
    # The proxy connects upstream while it accepts. One connection that waits for the full accept queue of a stopped
    # broker would therefore block all later ones for up to two minutes.
    printf '%s\n' socket.listen.backlog.size=2000 "listeners=$listeners" "advertised.listeners=$advertised" "listener.security.protocol.map=$protocols"
}

# Runs once per stack. The marker is written last, so that an incomplete folder is formatted again.
format_kafka() {
    local cluster_id
    [ ! -e "$DATA_DIR/kafka.formatted" ] || return 0
    rm -rf "$DATA_DIR/kafka"
    cluster_id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | cut -c1-22)
    java -Xms64m -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData \
        "-Dlog4j2.configurationFile=$ROOT/deploy/kafka/log4j2.properties" -cp "$KAFKA_HOME/libs/*" \
        kafka.tools.StorageTool format -t "$cluster_id" -c "$STACK_DIR/server.properties" \
        </dev/null >"$LOG_DIR/kafka-format.log" 2>&1 || return
    printf '%s\n' "$cluster_id" >"$DATA_DIR/kafka.formatted"
}

# Prints the broker's JVM flags, one per line. With a class data sharing archive it starts in half the time. The
# first broker that exits cleanly writes the archive. An archive is valid for one JVM and exactly these flags; the
# JVM ignores one that does not match.
kafka_java_options() {
    local archive
    # shellcheck disable=SC2086 # word splitting is intended: two options
    printf '%s\n' $KAFKA_HEAP_OPTS -XX:+UseSerialGC -XX:-UsePerfData
    archive=$(class_archive)
    if [ -s "$archive" ]; then
        printf '%s\n' "-XX:SharedArchiveFile=$archive" -Xshare:auto
    else
        printf '%s\n' "-XX:ArchiveClassesAtExit=$DATA_DIR/kafka-classes.jsa"
    fi
    printf '%s\n' -Xlog:cds=off -Xlog:cds+dynamic=off "-Dlog4j2.configurationFile=$ROOT/deploy/kafka/log4j2.properties" \
        -cp "$KAFKA_HOME/libs/*"
}

class_archive() { printf '%s/classes-%s.jsa' "$KAFKA_HOME" "$(java -version 2>&1 | cksum | cut -d' ' -f1)"; }

# Called after Kafka has exited.
keep_class_archive() {
    local made=$DATA_DIR/kafka-classes.jsa archive
    [ -s "$made" ] && [ -d "$KAFKA_HOME" ] || return 0
    archive=$(class_archive)
    mv -f "$made" "$archive.$STACK" && mv -f "$archive.$STACK" "$archive"
}
