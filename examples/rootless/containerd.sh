#!/bin/sh
# Runs an unprivileged user's containerd on that user's ipcsd, until it is stopped: containerd.sh [FLAG…]
#
# ipcsd must be serving: it is reached at $XDG_RUNTIME_DIR/ipcs/ipcs.sock. containerd's sockets and state lie in a /run of
# its own, its images and snapshots in ~/.local/share/containerd. enter.sh runs commands beside it.
set -eu

if [ -z "${IPCS_ROOTLESS_INSIDE:-}" ]; then
  : "${XDG_RUNTIME_DIR:?is not set: log in anew, or see loginctl enable-linger}"
  [ -S "$XDG_RUNTIME_DIR/ipcs/ipcs.sock" ] || { echo "$0: nothing serves $XDG_RUNTIME_DIR/ipcs/ipcs.sock: start ipcsd first" >&2; exit 1; }
  # --copy-up gives a writable /run in which everything of the machine's is still found, the user's sockets among it.
  export IPCS_ROOTLESS_INSIDE=1
  exec rootlesskit --net=host --copy-up=/run --propagation=rslave --state-dir="$XDG_RUNTIME_DIR/containerd-rootless" "$0" "$@"
fi
unset IPCS_ROOTLESS_INSIDE

# The machine's own, if there are any: links in the copy, so that nothing but the link goes.
for name in containerd runc xtables.lock; do
  [ ! -L "/run/$name" ] || rm "/run/$name"
done
mkdir -p /run/containerd

data=${XDG_DATA_HOME:-$HOME/.local/share}/containerd
mkdir -p "$data"
cat >/run/containerd/config.toml <<TOML
version = 2
root = "$data"
state = "/run/containerd"
disabled_plugins = ["io.containerd.content.v1.content", "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri",
  "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]

[grpc]
  address = "/run/containerd/containerd.sock"

[proxy_plugins.ipcs]
  type = "content"
  address = "$XDG_RUNTIME_DIR/ipcs/ipcs.sock"
TOML
exec containerd --config /run/containerd/config.toml "$@"
