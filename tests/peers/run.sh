#!/usr/bin/env bash
# Runs a Go suite against an ipcsd: run.sh contentsuite|differential|faults|killed|kubo|unpack|audit_on_kubo IPCSD [DIRECTORY for built programs].
# kubo tests the ipcsctl beside it. SUITE_on_kubo: with the backend ipfs-http on a Kubo of its own. SUITE_on_libcxx: with the
# example's backend in memory, built by clang++ with libc++.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
suite=$1 ipcsd=$(realpath "$2") out=$(realpath "${3:-.}")
PATH=$("$here/../go.sh"):$PATH
export PATH GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false"
cd "$here"
export IPCSD=$ipcsd
export KUBO=${KUBO:-${XDG_CACHE_HOME:-$HOME/.cache}/ipcs/peers/kubo-0.43.1/ipfs}
verbose=() own_mounts=()

# start_kubo: a Kubo on free loopback ports for as long as this script runs; its API's address is KUBO_API then.
start_kubo() {
  repo=$(mktemp -d "${TMPDIR:-/tmp}/ipcs-kubo-XXXXXX")
  export IPFS_PATH=$repo/repo IPFS_TELEMETRY=off
  "$KUBO" init --profile=test >/dev/null
  "$KUBO" daemon >"$repo/log" 2>&1 &
  kubo=$!
  trap 'kill "$kubo" && wait "$kubo"; rm -rf "$repo"' EXIT
  for ((i = 0; i < 300; i++)); do
    [[ -f $IPFS_PATH/api ]] && "$KUBO" id >/dev/null 2>&1 && break
    kill -0 "$kubo" || { cat "$repo/log" >&2; return 1; }
    sleep 0.1
  done
  KUBO_API=$(<"$IPFS_PATH/api")
  export KUBO_API
}

if [[ $suite == *_on_kubo ]]; then
  suite=${suite%_on_kubo}
  start_kubo
elif [[ $suite == *_on_libcxx ]]; then
  suite=${suite%_on_libcxx}
  # In a directory of its own: beside it lie other plugins that tests need.
  export BACKEND=memory BACKEND_DIR=$out/libcxx
  install -D "${LIBCXX_PLUGIN:-$(dirname "$ipcsd")/../lib/ipcs/test-plugins/memory-libcxx.so}" "$BACKEND_DIR/memory.so"
fi
case $suite in
  differential)
    go build -o "$out/reference-store" ./cmd/reference-store
    export REFERENCE_STORE=$out/reference-store
    ;;
  # faults and killed log times, counts and what ipcsd says.
  faults)
    export BAD_PLUGINS=${BAD_PLUGINS:-$(dirname "$ipcsd")/../tests/host/plugin/plugins}
    export HANGING_PLUGINS=${HANGING_PLUGINS:-$out/plugins}
    verbose=(-v)
    own_mounts=(unshare --mount) # what it mounts goes with it, however it ends
    ;;
  killed | audit) verbose=(-v) ;;
  unpack) own_mounts=(unshare --mount) ;;
  kubo)
    export IPCSCTL=${IPCSCTL:-$(dirname "$ipcsd")/ipcsctl} CAR_TOOL=${CAR_TOOL:-$(dirname "$ipcsd")/car_tool}
    verbose=(-v)
    ;;
esac
"${own_mounts[@]}" go test -count=1 -timeout 9m "${verbose[@]}" "./$suite"
