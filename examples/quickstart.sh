#!/usr/bin/env bash
# From a checkout to a container whose image lies in ipcsd: quickstart.sh [--containerd 2] [IMAGE [COMMAND…]].
#
# With --containerd 2 it is a containerd 2 for which ipcsd also unpacks the layers, the one in PATH or the one that
# tests/install.sh builds; without it Debian's containerd, which unpacks by itself.
#
# IMAGE is pulled over https, from a registry on loopback over plain http. Without IMAGE a small image is made from
# busybox-static and served by a private docker-registry on loopback. Everything that is started lives in a directory of
# its own below ${TMPDIR:-/tmp} and is stopped and removed at the end.
set -euo pipefail

top=$(cd "$(dirname "$0")/.." && pwd)
bin=$top/build/bin

fail() { echo "quickstart: $*" >&2; exit 1; }
say() { printf '\n== %s\n' "$*"; }

# find_containerd2: the directory of a containerd 2.
find_containerd2() {
  local built=${XDG_CACHE_HOME:-$HOME/.cache}/ipcs/peers/2.4.2 program
  for program in "$(command -v containerd || true)" "$built/containerd"; do
    [[ -x $program && $("$program" --version) =~ \ v?[2-9]\.[0-9]+\.[0-9] ]] || continue
    dirname "$program"
    return
  done
  fail "no containerd 2 in PATH, nor in $built: tests/install.sh builds it there, with Go; releases are on containerd.io"
}

containerd2=
case ${1-} in
  -h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit
    ;;
  --containerd)
    [[ ${2-} == 2 ]] || fail "--containerd ${2-}: it can be 2 alone; Debian's is used without the option"
    containerd2=$(find_containerd2)
    PATH=$containerd2:$PATH # with its ctr and shim
    shift 2
    ;;
  -*) fail "unknown option $1; usage: quickstart.sh [--containerd 2] [IMAGE [COMMAND…]]" ;;
esac
# full_name NAME: with registry and tag, as containerd wants it.
full_name() {
  local name=$1 first=${1%%/*}
  [[ $name == */* && ($first == *[.:]* || $first == localhost) ]] || { [[ $name == */* ]] || name=library/$name; name=docker.io/$name; }
  [[ ${name##*/} == *[:@]* ]] || name=$name:latest
  echo "$name"
}

# check_name NAME: fails unless it is a full name, before anything is built or started for it.
check_name() {
  local host='([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]+)?' part='[a-z0-9]+([._-]+[a-z0-9]+)*'
  local tag='(:[A-Za-z0-9_][A-Za-z0-9._-]*)?' digest='(@[a-z0-9]+:[0-9a-f]{32,})?'
  [[ $1 =~ ^$host(/$part)+$tag$digest$ ]] || fail "\"$2\" is no name of an image; an example: docker.io/library/alpine:3.20"
}

image=
if (($#)); then
  image=$(full_name "$1")
  check_name "$image" "$1"
  shift
fi
((EUID == 0)) || fail "run it as root: a container's file system has to be mounted"

say "packages and build"
"$top/examples/install-packages.sh" build quickstart
if [[ ! -f $top/build/build.ninja ]]; then
  cmake -C "$top/.cmake/release.cmake" -S "$top" -B "$top/build" -G Ninja -DIPCS_TESTS=OFF >/dev/null
fi
cmake --build "$top/build" --target ipcsd ipcsctl ipcs-unpack ipcs_plugin_local

base=$(mktemp -d "${TMPDIR:-/tmp}/ipcs-XXXXXX")
((${#base} < 70)) || { rmdir "$base"; base=$(mktemp -d /tmp/ipcs-XXXXXX); } # a socket's path has room for 107 bytes
pids=()

stop_all() {
  local pid point entry
  for entry in /proc/[0-9]*; do # shims leave their parent; they carry containerd's socket in their arguments
    if [[ ${entry#/proc/} != "$$" ]] && { tr '\0' ' ' <"$entry/cmdline"; } 2>/dev/null | grep -q -- "-address $base/containerd.sock"; then
      kill "${entry#/proc/}" 2>/dev/null || true
    fi
  done
  for ((i = ${#pids[@]} - 1; i >= 0; --i)); do
    pid=${pids[i]}
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  while read -r point; do umount -l "$point" || true; done < <(cut -d' ' -f5 /proc/self/mountinfo | grep "^$base/" | sort -r)
  rm -rf "$base"
}
trap stop_all EXIT
trap 'exit 130' INT TERM

# start NAME COMMAND…: in the background, its output in a log.
start() {
  local name=$1
  shift
  "$@" >"$base/$name.log" 2>&1 </dev/null &
  pids+=($!)
}

# wait_for NAME COMMAND…: until the command succeeds; shows the log of NAME when that takes more than 30 s.
wait_for() {
  local name=$1 i
  shift
  for ((i = 0; i < 300; ++i)); do
    "$@" >/dev/null 2>&1 && return
    kill -0 "${pids[-1]}" 2>/dev/null || break
    sleep 0.1
  done
  tail -n 20 "$base/$name.log" >&2
  fail "$name does not answer"
}

say "ipcsd with the local backend"
unpacks=()
[[ ! $containerd2 ]] || unpacks=(--diff-address "$base/diff.sock")
start ipcsd "$bin/ipcsd" --root "$base/ipcs" --address "$base/content.sock" --backend local "${unpacks[@]}"
ipcsctl() { "$bin/ipcsctl" -a "$base/ipcs/control.sock" "$@"; }
wait_for ipcsd ipcsctl status

mkdir "$base/try" "$base/try/"{lower,upper,work,merged}
snapshotter=native
if mount -t overlay overlay -o "lowerdir=$base/try/lower,upperdir=$base/try/upper,workdir=$base/try/work" "$base/try/merged" 2>/dev/null; then
  umount "$base/try/merged"
  snapshotter=overlayfs
fi

say "a private containerd without a content store of its own"
cat >"$base/containerd.toml" <<EOF
version = $([[ $containerd2 ]] && echo 3 || echo 2)
root = "$base/containerd"
state = "$base/state"
disabled_plugins = ["io.containerd.content.v1.content", "io.containerd.internal.v1.opt", "io.containerd.grpc.v1.cri",
  "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.nri.v1.nri"]

[grpc]
  address = "$base/containerd.sock"

[ttrpc]
  address = "$base/containerd.sock.ttrpc"

[proxy_plugins.ipcs]
  type = "content"
  address = "$base/content.sock"
EOF
if [[ $containerd2 ]]; then
  platform=linux/$(dpkg --print-architecture)
  cat >>"$base/containerd.toml" <<EOF

[proxy_plugins.ipcs-diff]
  type = "diff"
  address = "$base/diff.sock"
  platforms = ["$platform"]

[plugins."io.containerd.service.v1.diff-service"]
  default = ["ipcs-diff", "walking"]

[[plugins."io.containerd.transfer.v1.local".unpack_config]]
  platform = "$platform"
  snapshotter = "$snapshotter"
  differ = "ipcs-diff"
EOF
fi
start containerd containerd -c "$base/containerd.toml"
ctr() { command ctr -a "$base/containerd.sock" "$@"; }
wait_for containerd ctr version
ctr plugins ls | grep -E '^TYPE|io.containerd.content|ipcs-diff'

# digest FILE: its OCI digest.
digest() { echo "sha256:$(sha256sum "$1" | cut -d' ' -f1)"; }

# descriptor TYPE FILE: an OCI descriptor of the file.
descriptor() { printf '{"mediaType":"%s","digest":"%s","size":%d}' "$1" "$(digest "$2")" "$(stat -c %s "$2")"; }

# put_blob REPOSITORY-URL FILE: stores a file in the registry under its digest.
put_blob() {
  local location
  location=$(curl -fsS -X POST -o /dev/null -D - "$1/blobs/uploads/" | tr -d '\r' | sed -n 's/^[Ll]ocation: //p')
  curl -fsS -o /dev/null -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$2" \
    "$location$([[ $location == *\?* ]] && echo '&' || echo '?')digest=$(digest "$2")"
}

# make_image URL: makes an image from busybox-static and stores it as the tag "latest" of a repository.
make_image() {
  local dir=$base/image arch oci=application/vnd.oci.image
  arch=$(dpkg --print-architecture)
  case $arch in armhf) arch=arm ;; i386) arch=386 ;; ppc64el) arch=ppc64le ;; esac
  mkdir -p "$dir/root/"{bin,dev,etc,proc,sys,tmp}
  cp /bin/busybox "$dir/root/bin/"
  ln -s busybox "$dir/root/bin/sh"
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$dir/root" -cf "$dir/layer.tar" .
  gzip -nk "$dir/layer.tar"
  printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["/bin/sh","-c","%s"]},"rootfs":{"type":"layers","diff_ids":["%s"]}}' \
    "$arch" "echo Hello from a container whose image lies in ipcsd.; busybox | busybox head -n 1" "$(digest "$dir/layer.tar")" >"$dir/config"
  printf '{"schemaVersion":2,"mediaType":"%s","config":%s,"layers":[%s]}' "$oci.manifest.v1+json" \
    "$(descriptor $oci.config.v1+json "$dir/config")" "$(descriptor $oci.layer.v1.tar+gzip "$dir/layer.tar.gz")" >"$dir/manifest"
  put_blob "$1" "$dir/config"
  put_blob "$1" "$dir/layer.tar.gz"
  curl -fsS -o /dev/null -X PUT -H "Content-Type: $oci.manifest.v1+json" --data-binary "@$dir/manifest" "$1/manifests/latest"
}

# serve_image: starts a registry on a free port and stores the image there; sets `image`.
serve_image() {
  local port attempt
  for attempt in {1..20}; do
    port=$((20000 + RANDOM % 12000))
    (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break # nobody answers: free
  done
  cat >"$base/registry.yml" <<EOF
version: 0.1
log: {level: warn}
http: {addr: "127.0.0.1:$port"}
storage: {filesystem: {rootdirectory: "$base/registry"}}
EOF
  start registry docker-registry serve "$base/registry.yml"
  wait_for registry curl -fsS "http://127.0.0.1:$port/v2/"
  make_image "http://127.0.0.1:$port/v2/quickstart"
  image=127.0.0.1:$port/quickstart:latest
}

if [[ ! $image ]]; then
  say "an image from busybox-static in a private registry"
  serve_image
fi

say "pull $image, unpack with $snapshotter"
plain=()
[[ $image =~ ^(127\.[0-9.]+|localhost|\[::1\])[:/] ]] && plain=(--plain-http)
if ! ctr images pull "${plain[@]}" --snapshotter "$snapshotter" "$image" >"$base/pull.log" 2>&1; then
  reason=$(sed -n 's/^ctr: //p' "$base/pull.log" | tail -n 1) # the rest is progress
  [[ $reason ]] || reason=$(tail -n 1 "$base/pull.log")
  fail "$image can't be pulled: $reason"
fi
tail -n 1 "$base/pull.log"

say "run a container"
ctr run --rm --cgroup "" --runc-root "$base/runc" --snapshotter "$snapshotter" "$image" quickstart "$@"

say "where the bytes lie"
ipcsctl status
echo
ipcsctl content ls
echo
ipcsctl df
echo
find "$base/ipcs/local/blobs" -type f -printf '%10s  %p\n'
