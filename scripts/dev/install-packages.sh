#!/usr/bin/env bash
# Installs Debian packages as root without starting their services. Called by ./dev:
#   install-packages.sh PACKAGE…
set -euo pipefail

exec 9>/run/flashsale-packages.lock
flock -w 600 9

# Debian runs /usr/sbin/policy-rc.d before it starts or restarts a service; exit code 101 forbids it. Ours forbids it
# only for our own apt-get (identified by the variable), so that a copy left behind by a crash has no effect.
policy=/usr/sbin/policy-rc.d
mark='made by the flash sale ./dev'
if [ -e "$policy" ] && ! grep -q "$mark" "$policy"; then
    if FLASHSALE_INSTALLS=1 "$policy" redis-server start; then
        echo "E: $policy of this system lets packages start their services; install these by hand: $*" >&2
        exit 1
    fi
else
    trap 'rm -f "$policy"' EXIT
    # shellcheck disable=SC2016 # expanded by the shell that runs it
    printf '#!/bin/sh\n# %s; safe to delete\n[ -z "$FLASHSALE_INSTALLS" ] || exit 101\nexit 0\n' "$mark" >"$policy"
    chmod 755 "$policy"
fi

export FLASHSALE_INSTALLS=1 DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update || echo "W: package lists could not be refreshed; using the existing ones" >&2
apt-get -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install -y --no-install-recommends "$@"
