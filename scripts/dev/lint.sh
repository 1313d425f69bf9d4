# ./dev lint: one formatter and one linter per language. Tools from npm and PyPI are pinned by the lock files in
# scripts/lint/ and installed once into .dev/cache; shellcheck, shfmt and luacheck are Debian packages.
# shellcheck shell=bash

LINT_LANGUAGES=(rust javascript lua sql python shell)

cmd_lint() {
    local argument language languages=() failed=()
    LINT_FIX=
    for argument in "$@"; do
        if [ "$argument" = --fix ]; then
            LINT_FIX=yes
        elif [[ " ${LINT_LANGUAGES[*]} " == *" $argument "* ]]; then
            languages+=("$argument")
        else
            die "./dev lint does not know '$argument' (see ./dev help lint)"
        fi
    done
    [ "${#languages[@]}" -gt 0 ] || languages=("${LINT_LANGUAGES[@]}")
    require_packages lint
    install_lint_tools || exit 1
    cd "$ROOT"
    for language in "${languages[@]}"; do
        say_step "$language" checking
        "lint_$language" || failed+=("$language")
    done
    [ "${#failed[@]}" -eq 0 ] || die "these languages have errors: ${failed[*]} (./dev lint --fix repairs what it can)"
}

# tracked PATTERN…: prints the files of the repository that match. New files count, ignored ones do not.
tracked() { git ls-files --cached --others --exclude-standard -- "$@"; }

lint_rust() {
    find_cargo || die "$CARGO_MISSING"
    if [ -n "$LINT_FIX" ]; then cargo fmt --all; else cargo fmt --all --check; fi
}

lint_javascript() {
    local biome=$LINT_NODE/node_modules/.bin/biome status=0
    "$biome" format ${LINT_FIX:+--write} || status=1
    "$biome" lint --error-on-warnings ${LINT_FIX:+--write} || status=1
    return "$status"
}

lint_lua() {
    local files status=0
    mapfile -t files < <(tracked '*.lua')
    (cd "$LINT_NODE" && node "$ROOT/scripts/lint/stylua.mjs" ${LINT_FIX:+--fix} "${files[@]/#/$ROOT/}") || status=1
    luacheck --quiet --no-color .luacheckrc "${files[@]}" || status=1
    return "$status"
}

# Released migrations are never edited, so they are not reformatted either.
lint_sql() {
    local files command=lint
    mapfile -t files < <(tracked '*.sql' ':!settlement/migrations')
    [ -z "$LINT_FIX" ] || command=fix
    "$LINT_PYTHON/bin/sqlfluff" "$command" --disable-progress-bar "${files[@]}"
}

lint_python() {
    local status=0 ruff=$LINT_PYTHON/bin/ruff
    if [ -n "$LINT_FIX" ]; then "$ruff" format --quiet || status=1; else "$ruff" format --quiet --diff || status=1; fi
    "$ruff" check --quiet ${LINT_FIX:+--fix} || status=1
    return "$status"
}

lint_shell() {
    local files status=0
    mapfile -t files < <(tracked dev .ci/run '*.sh')
    if [ -n "$LINT_FIX" ]; then shfmt -i 4 -ci -w "${files[@]}"; else shfmt -i 4 -ci -d "${files[@]}"; fi || status=1
    shellcheck "${files[@]}" || status=1
    return "$status"
}

# The names of the folders contain a checksum of the lock files, so that changed versions are installed.
install_lint_tools() {
    local log=$LOG_DIR/lint-tools.log fd
    LINT_NODE=$CACHE_DIR/lint/node-$(cat "$ROOT"/scripts/lint/{package.json,package-lock.json,.npmrc} | cksum | cut -d' ' -f1)
    LINT_PYTHON=$CACHE_DIR/lint/python-$(cksum <"$ROOT/scripts/lint/requirements.txt" | cut -d' ' -f1)
    mkdir -p "$CACHE_DIR/lint" "$LOG_DIR"
    exec {fd}>"$CACHE_DIR/lint/lock"
    flock -w 600 "$fd" || {
        say_error "another ./dev has been installing these tools for more than 600 s"
        return 1
    }
    if [ ! -e "$LINT_NODE/done" ]; then
        say_step tools "installing the formatters and linters from npm (once)"
        install_lint_node >"$log" 2>&1 || {
            show_log_tail "$log"
            return 1
        }
    fi
    if [ ! -e "$LINT_PYTHON/done" ]; then
        say_step tools "installing the formatters and linters from PyPI (once)"
        install_lint_python >"$log" 2>&1 || {
            show_log_tail "$log"
            return 1
        }
    fi
    exec {fd}>&-
}

install_lint_node() {
    rm -rf "$LINT_NODE" && mkdir -p "$LINT_NODE" || return
    cp "$ROOT"/scripts/lint/{package.json,package-lock.json,.npmrc} "$LINT_NODE/" || return
    (cd "$LINT_NODE" && npm ci --ignore-scripts --no-progress) && touch "$LINT_NODE/done"
}

install_lint_python() {
    rm -rf "$LINT_PYTHON" && python3 -m venv "$LINT_PYTHON" || return
    "$LINT_PYTHON/bin/pip" install --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
        -r "$ROOT/scripts/lint/requirements.txt" && touch "$LINT_PYTHON/done"
}
