#!/usr/bin/env bash
# Succeeds if GET /health/ready on this port returns 200. The health check inside the images, which have bash but no
# curl.   probe.sh PORT
set -euo pipefail
exec 3<>"/dev/tcp/127.0.0.1/$1"
printf 'GET /health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
read -r -t 3 status <&3
[[ $status == "HTTP/1."[01]" 200"* ]]
