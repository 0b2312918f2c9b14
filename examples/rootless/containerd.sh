#!/bin/sh
# Runs an unprivileged user's containerd on that user's ipcsd, until it is stopped: containerd.sh [FLAG…]
#
# ipcsd must be serving: it is reached at $XDG_RUNTIME_DIR/ipcs/ipcs.sock. containerd's sockets and state lie in a /run of
# its own, its images and snapshots in ~/.local/share/containerd. enter.sh runs commands beside it.
#
# With IPCS_UNPACK=1 in the environment ipcsd is started here, in containerd's namespaces, ends with it and also unpacks; that
# takes containerd 1.7 or 2.x. ipcsctl finds it at the same place.
set -eu

if [ -z "${IPCS_ROOTLESS_INSIDE:-}" ]; then
  : "${XDG_RUNTIME_DIR:?is not set: log in anew, or see loginctl enable-linger}"
  [ -n "${IPCS_UNPACK:-}" ] || [ -S "$XDG_RUNTIME_DIR/ipcs/ipcs.sock" ] || { echo "$0: nothing serves $XDG_RUNTIME_DIR/ipcs/ipcs.sock: start ipcsd first" >&2; exit 1; }
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

if [ -n "${IPCS_UNPACK:-}" ]; then
  case $(uname -m) in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch=$(uname -m) ;; esac
  cat >>/run/containerd/config.toml <<TOML

[proxy_plugins.ipcs-diff]
  type = "diff"
  address = "/run/containerd/ipcs-diff.sock"
  platforms = ["linux/$arch"]

[plugins."io.containerd.service.v1.diff-service"]
  default = ["ipcs-diff", "walking"]

[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "linux/$arch"
  snapshotter = "overlayfs"
  differ = "ipcs-diff"
TOML
  # Here the user is root, so the user's own places have to be named.
  sockets=$XDG_RUNTIME_DIR/ipcs config=${XDG_CONFIG_HOME:-$HOME/.config}/ipcs/config.toml
  mkdir -p "$sockets"
  [ ! -e "$config" ] || export IPCS_CONFIG="$config"
  setpriv --pdeathsig TERM ipcsd --root "${XDG_DATA_HOME:-$HOME/.local/share}/ipcs" --address "$sockets/ipcs.sock" \
    --control "$sockets/control.sock" --diff-address /run/containerd/ipcs-diff.sock &
  until ipcsctl -a "$sockets/control.sock" status >/dev/null 2>&1; do
    kill -0 $! 2>/dev/null || exit 1
    sleep 0.1
  done
fi
exec containerd --config /run/containerd/config.toml "$@"
