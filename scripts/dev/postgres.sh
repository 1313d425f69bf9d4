# Postgres of a stack: loopback only, no password (anyone on this machine may connect), role and
# database `flashsale`. Postgres refuses to run as root: then the user `postgres` of the Debian package
# owns the data and runs it.
# shellcheck shell=bash

# Prints the folder of the newest server on this machine, or of the version that created the data.
postgres_bin_dir() {
    local version dir
    version=$(cat "$(postgres_home)/cluster/PG_VERSION" 2>/dev/null) || version=
    for dir in "/usr/lib/postgresql/${version:-none}/bin" $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV); do
        if [ -x "$dir/postgres" ] && [ -x "$dir/initdb" ]; then
            printf '%s' "$dir"
            return
        fi
    done
    dir=$(command -v postgres) && dir=$(dirname "$(readlink -f "$dir")") && [ -x "$dir/initdb" ] && printf '%s' "$dir"
}

# as_postgres COMMAND…: runs it as the user that owns the data.
postgres_prefix() {
    if [ "$(id -u)" -eq 0 ]; then
        printf '%s\n' setpriv --reuid=postgres --regid=postgres --init-groups --
    fi
}
as_postgres() {
    local prefix
    mapfile -t prefix < <(postgres_prefix)
    (cd / && "${prefix[@]}" "$@")
}

# Prints the folder that holds the cluster: in the stack's data, or the one stored in postgres-home (see below).
postgres_home() {
    if [ -r "$STACK_DIR/postgres-home" ]; then
        cat "$STACK_DIR/postgres-home"
    else
        printf '%s' "$DATA_DIR/postgres"
    fi
}

# Below a folder such as /root, the user `postgres` cannot reach .dev. The data is then in /var/tmp; the path is
# stored, and `./dev reset` removes it.
make_postgres_home() {
    local home
    home=$(postgres_home)
    if [ "$home" = "$DATA_DIR/postgres" ]; then
        mkdir -p "$home"
        if ! as_postgres test -x "$home"; then
            rmdir "$home"
            home=$(mktemp -d /var/tmp/flashsale-postgres-XXXXXX)
            printf '%s' "$home" >"$STACK_DIR/postgres-home"
        fi
    fi
    mkdir -p "$home"
    [ "$(id -u)" -ne 0 ] || chown postgres:postgres "$home"
}

# Prints the command, one word per line. The settings are in the cluster as postgresql.conf.
postgres_command_line() {
    postgres_prefix
    printf '%s\n' "$(postgres_bin_dir)/postgres" -D "$(postgres_home)/cluster" -c listen_addresses=127.0.0.1 \
        -c "port=$(port_of postgres)" -c unix_socket_directories=
}

start_postgres() {
    local begun_ms bin home port command
    begun_ms=$(now_ms)
    if is_alive postgres; then
        await_ready postgres 20
        return
    fi
    make_postgres_home
    bin=$(postgres_bin_dir)
    home=$(postgres_home)
    port=$(port_of postgres)
    if [ ! -d "$home/cluster" ]; then
        as_postgres rm -rf "$home/cluster.new"
        if ! as_postgres "$bin/initdb" -D "$home/cluster.new" -U postgres --auth=trust -E UTF8 --locale=C.UTF-8 --no-sync \
            </dev/null >"$LOG_DIR/initdb.log" 2>&1; then
            say_error "initdb failed"
            show_log_tail "$LOG_DIR/initdb.log"
            return 1
        fi
        as_postgres mv "$home/cluster.new" "$home/cluster"
    fi
    drop_stale_lock "$home/cluster" || return 1
    as_postgres tee "$home/cluster/postgresql.conf" <"$ROOT/deploy/postgresql.conf" >/dev/null
    mapfile -t command < <(postgres_command_line)
    spawn postgres "${command[@]}"
    await_ready postgres 60
    make_database "$bin" "$port" || {
        show_log_tail "$LOG_DIR/postgres.log"
        return 1
    }
    say_step postgres "ready on 127.0.0.1:$port ($(since_ms "$begun_ms"))"
}

# A killed postmaster leaves its lock file, and Postgres refuses to start while a process with that pid can be
# signalled, even a zombie that init has not reaped. The helper processes exit by themselves. Once no process uses
# the data folder, the file is stale.
drop_stale_lock() {
    local cluster=$1
    [ -e "$cluster/postmaster.pid" ] || return 0
    if ! wait_until 20 no_process_uses "$cluster"; then
        say_error "processes still use $cluster"
        return 1
    fi
    rm -f "$cluster/postmaster.pid"
}

no_process_uses() {
    local link
    for link in /proc/[0-9]*/cwd; do
        [ "$(readlink "$link" 2>/dev/null)" != "$1" ] || return 1
    done
}

make_database() {
    local bin=$1 port=$2
    as_admin() { PGOPTIONS='' "$bin/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres -d postgres -tA "$@" </dev/null; }
    if [ "$(as_admin -c "SELECT 1 FROM pg_roles WHERE rolname = '$POSTGRES_USER'")" != 1 ]; then
        as_admin -c "CREATE ROLE $POSTGRES_USER LOGIN CREATEDB" || return
    fi
    if [ "$(as_admin -c "SELECT 1 FROM pg_database WHERE datname = '$POSTGRES_DATABASE'")" != 1 ]; then
        as_admin -c "CREATE DATABASE $POSTGRES_DATABASE OWNER $POSTGRES_USER" || return
    fi
}

# Removes the data outside of .dev, if any. The name is checked because the folder is deleted.
remove_postgres_home() {
    local home
    home=$(postgres_home)
    if [[ $home == /var/tmp/flashsale-postgres-?????? ]]; then
        rm -rf -- "$home"
    fi
}
