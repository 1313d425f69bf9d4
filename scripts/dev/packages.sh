# The required packages. On Debian missing packages are installed (as root or with sudo). On other systems, or
# without these privileges, the user gets a list of what to install.
# shellcheck shell=bash

JAVA_MAJOR_MIN=17 # Kafka 4's brokers need it
CARGO_MISSING="cargo is missing: install Rust 1.88 or newer (for instance with rustup), then run this again"

# require_packages services|programs|tests|lint: installs what the services need; for `programs` also what building and
# running them needs; for `tests` also what only the tests need; for `lint` only what ./dev lint needs.
require_packages() {
    local missing=() what=()
    case $1 in
        services) need_for_services ;;
        programs)
            need_for_services
            need_for_programs
            ;;
        tests)
            need_for_services
            need_for_programs
            need_for_tests
            ;;
        lint) need_for_lint ;;
    esac
    if [ "${#missing[@]}" -gt 0 ]; then
        install_or_list
    fi
    if [ "$1" = programs ] || [ "$1" = tests ]; then
        find_cargo || die "$CARGO_MISSING"
    fi
}

# Each of these adds to `missing` (Debian package names) and `what` (generic names).
need_for_services() {
    command -v gcc >/dev/null && [ -e /usr/include/stdio.h ] || # the process manager is linked with it
        { missing+=(gcc libc6-dev) what+=("a C compiler with its headers"); }
    command -v redis-server >/dev/null && command -v redis-cli >/dev/null ||
        { missing+=(redis-server) what+=("Redis 7 (redis-server, redis-cli)"); }
    postgres_bin_dir >/dev/null && command -v psql >/dev/null ||
        { missing+=(postgresql) what+=("PostgreSQL 15 or newer (server and psql)"); }
    java_is_new_enough ||
        { missing+=(default-jre-headless) what+=("a Java runtime, $JAVA_MAJOR_MIN or newer"); }
    kafka_is_cached || command -v mvn >/dev/null ||
        { missing+=(maven) what+=("Apache Maven"); }
}

need_for_programs() {
    command -v aiosmtpd >/dev/null || { missing+=(python3-aiosmtpd) what+=("aiosmtpd (an SMTP server in Python)"); }
    command -v prometheus >/dev/null && command -v promtool >/dev/null ||
        { missing+=(prometheus) what+=("Prometheus 2.42 or newer (prometheus, promtool)"); }
    # librdkafka's configure requires a C++ compiler, although no C++ is compiled here.
    command -v c++ >/dev/null || { missing+=(g++) what+=("a C++ compiler (c++)"); }
    command -v make >/dev/null || { missing+=(make) what+=("make"); }
    command -v pkg-config >/dev/null || { missing+=(pkg-config) what+=("pkg-config"); }
}

need_for_tests() {
    command -v shellcheck >/dev/null || { missing+=(shellcheck) what+=("ShellCheck"); }
    # The test of the documentation runs its commands, most of which use curl.
    command -v curl >/dev/null || { missing+=(curl) what+=("curl"); }
    # The pages are tested in a browser, also in Korean.
    command -v node >/dev/null || { missing+=(nodejs) what+=("Node.js 18 or newer"); }
    command -v npm >/dev/null || { missing+=(npm) what+=("npm"); }
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
        { missing+=(chromium) what+=("Chromium"); }
    command -v fc-list >/dev/null || { missing+=(fontconfig) what+=("fontconfig (fc-list)"); }
    fc-list :lang=ko 2>/dev/null | grep -q . || { missing+=(fonts-nanum) what+=("a Korean font"); }
    # A program from PyPI tests the API, in its own virtual environment.
    python3 -c 'import ensurepip, venv' 2>/dev/null || { missing+=(python3-venv) what+=("Python 3.11 or newer with venv"); }
}

need_for_lint() {
    command -v shellcheck >/dev/null || { missing+=(shellcheck) what+=("ShellCheck"); }
    command -v shfmt >/dev/null || { missing+=(shfmt) what+=("shfmt"); }
    command -v luacheck >/dev/null || { missing+=(lua-check) what+=("luacheck"); }
    # Biome and StyLua come from npm, Ruff and sqlfluff from PyPI.
    command -v node >/dev/null || { missing+=(nodejs) what+=("Node.js 18 or newer"); }
    command -v npm >/dev/null || { missing+=(npm) what+=("npm"); }
    python3 -c 'import ensurepip, venv' 2>/dev/null || { missing+=(python3-venv) what+=("Python 3.11 or newer with venv"); }
}

find_cargo() {
    if ! command -v cargo >/dev/null; then
        [ -x "${CARGO_HOME:-$HOME/.cargo}/bin/cargo" ] || return 1
        PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    fi
    use_pinned_toolchain
}

java_is_new_enough() {
    local text
    text=$(java -version 2>&1) || return 1
    [[ $text =~ version\ \"([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge "$JAVA_MAJOR_MIN" ]
}

# Uses `missing` (Debian package names) and `what` (generic names) of require_packages.
install_or_list() {
    local as_root=() log=$STACK_DIR/logs/packages.log name
    if ! command -v apt-get >/dev/null; then
        say_error "these packages are missing:"
        for name in "${what[@]}"; do say "  - $name"; done
        say "Install them with your system's package manager, then run this again. No service needs to be started."
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
            as_root=(sudo)
        else
            say_error "packages are missing, and installing them requires root or sudo. Run as root:"
            say "  apt-get install --no-install-recommends ${missing[*]}"
            exit 1
        fi
    fi
    say "installing missing packages: ${missing[*]}"
    mkdir -p "${log%/*}"
    if ! "${as_root[@]}" bash "$ROOT/scripts/dev/install-packages.sh" "${missing[@]}" </dev/null 2>&1 |
        tee "$log" | grep --line-buffered -E '^(Unpacking|Setting up) ' | sed -u -E 's/^/  /; s/ \.\.\.$//' >&2; then
        say_error "the packages could not be installed"
        show_log_tail "$log"
        exit 1
    fi
    hash -r
    if [ -d /run/systemd/system ]; then
        say "  The services of these packages were not started. To keep them disabled after a reboot:"
        say "  systemctl disable redis-server postgresql prometheus"
    fi
}
