# The Rust toolchain of rust-toolchain.toml. Sourced by ./dev and .ci/run after ROOT is set.
# shellcheck shell=bash

pinned_toolchain() { sed -n 's/^channel = "\(.*\)"$/\1/p' "$ROOT/rust-toolchain.toml"; }

# Where rustup lacks the pinned toolchain but its stable toolchain is the same version, selects stable, so that nothing
# is downloaded. A cargo that does not come from rustup ignores the pin.
use_pinned_toolchain() {
    local version
    version=$(pinned_toolchain)
    [ -z "${RUSTUP_TOOLCHAIN:-}" ] && command -v rustup >/dev/null || return 0
    ! rustup toolchain list 2>/dev/null | grep -q "^$version" || return 0
    if [[ $(RUSTUP_TOOLCHAIN=stable rustc --version 2>/dev/null) == "rustc $version "* ]]; then
        export RUSTUP_TOOLCHAIN=stable
    fi
}
