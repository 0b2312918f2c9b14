#!/usr/bin/env bash
# Runs a Go suite against an ipcsd: run.sh contentsuite|differential IPCSD [DIRECTORY for built programs].
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
suite=$1 ipcsd=$(realpath "$2") out=$(realpath "${3:-.}")
PATH=$("$here/../go.sh"):$PATH
export PATH GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false"
cd "$here"
go build -o "$out/reference-store" ./cmd/reference-store
IPCSD=$ipcsd REFERENCE_STORE=$out/reference-store exec go test -count=1 -timeout 9m "./$suite"
