#!/usr/bin/env bash
# Builds the agent's image.
#
# usage: tools/image.sh [IMAGE]            default MINIKUBELET_IMAGE or minikubelet:local; BASE=NAME takes that
#                                          base and makes none
#        tools/image.sh --remove [IMAGE]   takes away image, base, stages of builds and build/, but what is in use
#
# Wheels come by pip as it is configured on this machine, for the Python that the base has; the build itself
# needs no network. Works with the classic builder of Docker 20.10 and with later ones.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

remove=
[ "${1:-}" != --remove ] || { remove=yes; shift; }
image=${1:-${MINIKUBELET_IMAGE:-minikubelet:local}}
base=${BASE:-minikubelet-base:local}
context=build/image
pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
say() { echo "image: $*" >&2; }
die() { say "$*"; exit 1; }

# The third is what the Docker driver holds sandboxes with; it makes another when it needs one.
remove_all() {
  local name
  for name in "$image" "$base" minikubelet/pause:1; do
    [ "$name" != "${BASE:-}" ] || continue # somebody else's
    docker image inspect "$name" >/dev/null 2>&1 || continue
    docker image rm "$name" >/dev/null 2>&1 || say "$name is in use, and stays"
  done
  docker image prune --force --filter label=org.opencontainers.image.title=minikubelet >/dev/null
  rm -rf build/image build/wheels build/lock
  [ ! -d build ] || rmdir --ignore-fail-on-non-empty build
}

[ -z "$remove" ] || { remove_all; exit; }

[ -x .venv/bin/python ] || die "no .venv here; run: make .venv/ready"
[ -n "${BASE:-}" ] || tools/base-image.sh "$base"
version=$(docker run --rm --network none --entrypoint python3 "$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])') ||
  die "$base cannot run python3; name a base that has it: make image BASE=NAME"

# What is depended on is fetched once for each Python and each state of pyproject.toml.
wheels=build/wheels/$version-$(sha256sum pyproject.toml | cut -c1-12)
own=build/wheels/own
mkdir -p build
exec 9>build/lock
flock -w 600 9 || die "another build has held build/lock for ten minutes"
rm -rf "$context" "$own"
mkdir -p "$context" "$own"
backend=build/wheels/backend
[ -e "$backend/complete" ] || { pip download --dest "$backend" "hatchling>=1.24" && touch "$backend/complete"; }
pip wheel --no-deps --no-index --find-links "$backend" --wheel-dir "$own" .
if ! [ -e "$wheels/complete" ]; then
  rm -rf "$wheels"
  pip download --only-binary=:all: --python-version "$version" --dest "$wheels" "$(echo "$own"/minikubelet-*.whl)[logind,grpc]" pip
  rm -f "$wheels"/minikubelet-*.whl
  touch "$wheels/complete"
fi
mkdir "$context/wheels"
cp "$wheels"/*.whl "$own"/*.whl "$context/wheels"
cp Containerfile "$context/Containerfile"

# Files of the repository have no dates of their own: one date for all, so that the builder's cache holds.
find "$context" -exec touch -h -d @0 {} +
docker build --quiet --force-rm --file "$context/Containerfile" --tag "$image" \
  --build-arg BASE="$base" \
  --build-arg VERSION="$(.venv/bin/python -c 'import minikubelet; print(minikubelet.__version__)')" \
  --build-arg REVISION="$(git rev-parse HEAD 2>/dev/null || echo unknown)" "$context" >/dev/null
size() { docker image inspect --format '{{.Size}}' "$1"; }
say "made $image: $(($(size "$image") / 1000000)) MB, $((($(size "$image") - $(size "$base")) / 1000000)) MB over $base"
