#!/usr/bin/env bash
# Runs a Go suite against an ipcsd: run.sh contentsuite|differential|faults|killed|kubo IPCSD [DIRECTORY for built programs].
# kubo tests the ipcsctl beside it.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
suite=$1 ipcsd=$(realpath "$2") out=$(realpath "${3:-.}")
PATH=$("$here/../go.sh"):$PATH
export PATH GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false"
cd "$here"
export IPCSD=$ipcsd
verbose=() own_mounts=()
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
  killed) verbose=(-v) ;;
  kubo)
    export IPCSCTL=${IPCSCTL:-$(dirname "$ipcsd")/ipcsctl} CAR_TOOL=${CAR_TOOL:-$(dirname "$ipcsd")/car_tool}
    export KUBO=${KUBO:-${XDG_CACHE_HOME:-$HOME/.cache}/ipcs/peers/kubo-0.43.1/ipfs}
    verbose=(-v)
    ;;
esac
exec "${own_mounts[@]}" go test -count=1 -timeout 9m "${verbose[@]}" "./$suite"
