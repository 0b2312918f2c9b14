#!/usr/bin/env bash
# Installs the Debian packages of the named groups that are missing: build, quickstart, tests.
set -euo pipefail

build=(
  build-essential cmake ninja-build pkg-config protobuf-compiler protobuf-compiler-grpc libgrpc++-dev libprotobuf-dev libre2-dev
  libsqlite3-dev libssl-dev libboost-dev libboost-filesystem-dev libcli11-dev libfmt-dev libspdlog-dev
  libtomlplusplus-dev nlohmann-json3-dev prometheus-cpp-dev libcivetweb-dev libpoco-dev libarchive-dev libzstd-dev
  zlib1g-dev libisal-dev
)
quickstart=(containerd runc docker-registry busybox-static curl tar gzip mount)
tests=(
  catch2 librapidcheck-dev ccache clang-16 libclang-rt-16-dev clang-14 libc++-14-dev libc++abi-14-dev sqlite3
  python3 python3-venv ca-certificates file mmdebstrap rootlesskit systemd uidmap zsh fish
)
services=(containerd docker-registry) # packages that start a service when they are installed

wanted=()
for group in "$@"; do
  case $group in
    build) wanted+=("${build[@]}") ;;
    quickstart) wanted+=("${quickstart[@]}") ;;
    tests) wanted+=("${tests[@]}") ;;
    *) echo "$0: no group \"$group\"; there are build, quickstart and tests" >&2; exit 2 ;;
  esac
done

is_installed() { [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]; }

missing=()
for package in "${wanted[@]}"; do
  is_installed "$package" || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || { echo "$0: run as root, or install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi

# The machine's own containerd and registry, if any, stay as they are; new ones are neither started nor enabled.
new_services=()
for package in "${services[@]}"; do
  [[ " ${missing[*]} " == *" $package "* ]] && new_services+=("$package")
done
guard=/usr/sbin/policy-rc.d
if ((${#new_services[@]})) && [[ ! -e $guard ]]; then
  trap '"${as_root[@]}" rm -f "$guard"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" install -m 755 /dev/stdin "$guard"
fi

echo "installing ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null
if command -v systemctl >/dev/null; then
  for package in "${new_services[@]}"; do
    "${as_root[@]}" systemctl disable --quiet "$package" 2>/dev/null || true # there may be no unit of that name
  done
fi
