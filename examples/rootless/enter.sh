#!/bin/sh
# Runs a command, e.g. ctr, where the containerd of containerd.sh lives: enter.sh COMMAND…
set -eu
state=${XDG_RUNTIME_DIR:?is not set}/containerd-rootless
[ -r "$state/child_pid" ] || { echo "$0: no containerd runs here: start containerd.sh first" >&2; exit 1; }
exec nsenter --user --preserve-credentials --mount --target "$(cat "$state/child_pid")" "$@"
