#!/usr/bin/env bash
# Prints the directory of a Go that is new enough: the machine's own, or the one that install.sh put into the cache.
set -euo pipefail

needed=1.26.6
cached=${XDG_CACHE_HOME:-$HOME/.cache}/ipcs/go/bin
for go in "$(command -v go || true)" "$cached/go"; do
  [[ -x $go ]] || continue
  version=$(GOTOOLCHAIN=local "$go" env GOVERSION)
  if printf '%s\n' "$needed" "${version#go}" | sort -VC; then
    dirname "$go"
    exit
  fi
done
echo "$0: no Go $needed or newer in PATH or $cached; tests/install.sh installs it" >&2
exit 1
