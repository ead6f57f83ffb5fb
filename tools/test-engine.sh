#!/usr/bin/env bash
# Makes a fresh Debian 12 machine fit for the tests that are marked `docker`, `kubectl`, `registry`, `dbus`, `rootless`,
# `browser` and `emulator`.
#
# usage: tools/test-engine.sh [packages|start|images|all]      (all is the default)
#   packages  installs what is missing: a Docker engine, static busybox, iptables, kubectl, a registry, dbus-daemon,
#             Chromium, QEMU, rootlesskit, and a user without rights for the engine of a test
#   start     starts dockerd if no engine answers, and waits until it does
#   images    builds busybox:1.36 and busybox:latest from Debian's busybox (nothing is pulled)
#
# Each step looks first and is silent when nothing is to be done. An engine that already answers is
# used as it is: DOCKER_HOST is honoured. MINIKUBELET_ENGINE_DIR moves the data of an engine started here.
set -euo pipefail

engine_dir=${MINIKUBELET_ENGINE_DIR:-/var/lib/minikubelet-test-engine}
images=(busybox:1.36 busybox:latest)
rootless_user=minikubelet-rootless
emulator=qemu-aarch64-static # for programs of the other processor
[ "$(uname -m)" != aarch64 ] || emulator=qemu-x86_64-static

say() { echo "test-engine: $*" >&2; }
die() { say "$*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
answers() { timeout 20 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

# Registries and mirrors are slow at times: a step that fails is tried again, at most four times.
retry() {
  local try
  for try in 1 2 3 4; do
    if timeout 240 "$@" >"$scratch/retry.log" 2>&1 9>&-; then return 0; fi
    say "attempt $try of 4 failed: $*"
    sleep $((try * 3))
  done
  tail -n 25 "$scratch/retry.log" >&2
  die "gave up on: $*"
}

need_root() { [ "$(id -u)" -eq 0 ] || die "$1 needs root; run this script as root, or do it by hand"; }

packages() {
  local missing=()
  have docker || missing+=(docker.io)
  if ! have dockerd && ! { have docker && answers; }; then missing+=(docker.io iptables); fi
  [ -x "$(busybox_path)" ] || missing+=(busybox-static)
  have kubectl || missing+=(kubernetes-client)
  have docker-registry || missing+=(docker-registry)
  have dbus-daemon || missing+=(dbus-daemon)
  have chromium || have chromium-browser || have google-chrome || missing+=(chromium)
  have "$emulator" || missing+=(qemu-user-static)
  have rootlesskit || missing+=(rootlesskit)
  have newuidmap || missing+=(uidmap)
  [ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
  getent passwd "$rootless_user" >/dev/null && return 0
  need_root "making the user $rootless_user"
  useradd --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$rootless_user"
}

install() {
  need_root "installing $*"
  have apt-get || die "this machine has no apt-get: install $* by hand and run me again"
  say "installing $*"
  retry apt-get update
  retry env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"
}

start() {
  have docker || die "no docker on PATH; run: $0 packages"
  answers && return 0
  [ -z "${DOCKER_HOST:-}" ] || die "DOCKER_HOST=$DOCKER_HOST is set but no engine answers there"
  need_root "starting dockerd"
  have dockerd || die "no engine answers and there is no dockerd on PATH; run: $0 packages"
  chmod 0710 "$engine_dir"
  forget_dead_engine
  say "starting dockerd, log in $engine_dir/dockerd.log"
  setsid nohup dockerd --data-root "$engine_dir/data" </dev/null >"$engine_dir/dockerd.log" 2>&1 9>&- &
  wait_for_engine $!
}

# A pid file whose process is gone, or is something else by now, keeps dockerd from starting.
forget_dead_engine() {
  local pidfile=/var/run/docker.pid
  [ -f "$pidfile" ] || return 0
  [ "$(cat "/proc/$(cat "$pidfile")/comm" 2>/dev/null || true)" = dockerd ] || rm -f "$pidfile"
}

wait_for_engine() {
  local tick
  for tick in $(seq 1 240); do
    answers && return 0
    kill -0 "$1" 2>/dev/null || break
    sleep 0.5
  done
  grep -E 'level=(fatal|error)|^failed' "$engine_dir/dockerd.log" | tail -n 5 >&2 || true
  tail -n 20 "$engine_dir/dockerd.log" >&2
  die "dockerd does not answer after $tick tries; the end of its log is above"
}

# The static one by its path: a machine may have a dynamic busybox on PATH, of no use in an empty root.
busybox_path() { echo "${MINIKUBELET_BUSYBOX:-/bin/busybox}"; }

is_static() { ! ldd "$1" >/dev/null 2>&1; }

images() {
  local image missing=()
  for image in "${images[@]}"; do
    docker image inspect "$image" >/dev/null 2>&1 || missing+=("$image")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  busybox_root "$scratch/root"
  for image in "${missing[@]}"; do
    say "building $image"
    tar -C "$scratch/root" -c . | docker import -c 'CMD ["sh"]' - "$image" >/dev/null
  done
}

# A root directory with busybox and a link per applet, and the few files that programs look for.
busybox_root() {
  local box applet
  box=$(busybox_path)
  [ -x "$box" ] || die "no busybox at $box; run: $0 packages"
  is_static "$box" || die "$box is not statically linked: install busybox-static, or set MINIKUBELET_BUSYBOX"
  mkdir -p "$1"/{bin,etc,root,tmp,var,home,usr/bin}
  chmod 1777 "$1/tmp"
  cp "$box" "$1/bin/busybox"
  for applet in $("$box" --list); do
    [ "$applet" = busybox ] || ln -sf busybox "$1/bin/$applet"
  done
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/home:/bin/false\n' >"$1/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$1/etc/group"
}

main() {
  case "${1:-all}" in
    packages | start | images) "$1" ;;
    all)
      packages
      start
      images
      ;;
    *) die "usage: $0 [packages|start|images|all]" ;;
  esac
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# One at a time: two callers that both find no engine must not start two. Only root can start one.
if [ "$(id -u)" -eq 0 ]; then
  mkdir -p "$engine_dir"
  exec 9>"$engine_dir/lock"
  flock -w 600 9 || die "another run of this script has held $engine_dir/lock for ten minutes"
fi
main "$@"
