#!/usr/bin/env bash
# Installs what the tests need, builds everything and runs all tests: run.sh [release|asan|tsan|fuzz]…
#
# Named builds: only these, for developers. Without a name all of them, and the run fails when a test that
# tests/expected.txt lists was not run. The last line is ctest's closing line. `run.sh --list` prints the names of the
# tests of all builds, as expected.txt has them.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ipcs
jobs=$(nproc)

list=()
[[ ${1:-} == --list ]] && { list=(--list); shift; }
builds=("$@")
expected=()
if ((${#builds[@]} == 0)); then
  builds=(release asan tsan fuzz)
  expected=(--expected "$here/expected.txt")
fi
for build in "${builds[@]}"; do
  [[ -f $top/.cmake/$build.cmake ]] || { echo "$0: no build \"$build\"; there are release, asan, tsan and fuzz" >&2; exit 2; }
done

export CCACHE_DIR=${CCACHE_DIR:-$cache/ccache} CCACHE_BASEDIR=$top CCACHE_NOHASHDIR=1
times=()

# timed NAME COMMAND…: runs the command and notes how long it took. errexit is off inside: a function says `|| return`.
timed() {
  local name=$1 start=$SECONDS code=0
  shift
  printf '\n=== %s\n' "$name"
  "$@" || code=$?
  times+=("$(printf '%-10s %5.1f min' "$name" "$(awk "BEGIN { print ($SECONDS - $start) / 60 }")")")
  return $code
}

directory_of() { [[ $1 == release ]] && echo "$top/build" || echo "$top/build-$1"; }

# build NAME: configures and builds it; of the fuzz build only the fuzzers.
build() {
  local dir
  dir=$(directory_of "$1")
  cmake -C "$top/.cmake/$1.cmake" -S "$top" -B "$dir" -G Ninja -DIPCS_TESTS=ON --log-level=WARNING || return
  if [[ $1 == fuzz ]]; then cmake --build "$dir" -j "$jobs" --target fuzzers; else cmake --build "$dir" -j "$jobs"; fi
}

gather() {
  local suites=() name
  for name in "${builds[@]}"; do suites+=("$name=$(directory_of "$name")"); done
  /usr/bin/python3 "$here/suites.py" "$@" "$top/build/suites" "${suites[@]}"
}

# The tests' temporary files have a directory of their own: a test that is killed leaves its files behind.
run_tests() {
  local log=$top/build/suites/ctest.log code=0
  gather "${expected[@]}" || return
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/ipcs-run-XXXXXX") || return
  chmod 1777 "$scratch" # as /tmp: some tests are other users'
  trap 'rm -rf --one-file-system "$scratch"' EXIT
  TMPDIR=$scratch ctest --test-dir "$top/build/suites" -j "$jobs" --output-on-failure --no-tests=error 2>&1 | tee "$log" || code=$?
  closing=$(grep -E '^[0-9]+% tests passed, [0-9]+ tests failed out of [0-9]+$' "$log" || true)
  if grep -qE '^The following tests did not run:|\*\*\*(Skipped|Not Run)' "$log"; then
    echo "tests were skipped" >&2
    code=1
  fi
  return $code
}

if ((${#list[@]})); then
  gather --list
  exit
fi
timed install "$here/install.sh"
for name in "${builds[@]}"; do timed "$name" build "$name"; done
closing=
code=0
timed tests run_tests || code=$?

printf '\n=== how long it took\n'
printf '%s\n' "${times[@]}"
ccache --show-stats 2>/dev/null | grep -iE '^ *hits' | head -n 1 || true
((code == 0)) || echo "FAILED (log: build/suites/ctest.log)"
echo "${closing:-no test has been run}"
exit "$code"
