#!/usr/bin/env bash
# A small base image with python3 and a shell, made of this machine's own Debian packages: nothing is pulled
# from a container registry.
#
# usage: tools/base-image.sh [IMAGE [PACKAGE...]]     as root, on Debian or Ubuntu; default minikubelet-base:local
#
# apt resolves the packages against an empty system and downloads them from wherever this machine is configured
# to; they are unpacked in the order of their names, and no maintainer script runs. The same packages give the
# same layer, bit for bit. An image of that name is kept as it is: remove it to have it made anew.
set -euo pipefail

image=${1:-minikubelet-base:local}
packages=(python3 busybox-static "${@:2}")
# Needed by maintainer scripts alone, which do not run here.
left_out=' dpkg tar '
architecture=$(dpkg --print-architecture 2>/dev/null || true)

die() { echo "base-image: $*" >&2; exit 1; }

[ -n "$architecture" ] && command -v apt-get >/dev/null || die "this machine has no apt; give the build another base: make image BASE=NAME"
docker image inspect "$image" >/dev/null 2>&1 && exit 0
[ "$(id -u)" -eq 0 ] || die "files in the image belong to root: run me as root"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/archives/partial "$work"/root/{etc,root,tmp,run,proc,sys,dev,var/lib,var/log,var/tmp,usr/{bin,sbin,lib,lib64}}
: >"$work/status"

download() {
  apt-get -o Dir::State::status="$work/status" -o Dir::Cache::archives="$work/archives" -o APT::Sandbox::User=root \
    -o APT::Get::AllowUnauthenticated=false -qq --yes --no-install-recommends --download-only install "${packages[@]}"
}
# Where apt has never been brought up to date it knows no package.
download >"$work/log" 2>&1 || { apt-get update >>"$work/log" 2>&1 && download >>"$work/log" 2>&1; } || {
  tail -n 15 "$work/log" >&2
  die "the packages could not be had: ${packages[*]}"
}

for name in bin sbin lib lib64; do ln -s "usr/$name" "$work/root/$name"; done
for archive in "$work"/archives/*.deb; do
  name=$(basename "$archive")
  case "$left_out" in *" ${name%%_*} "*) continue ;; esac
  dpkg-deb --fsys-tarfile "$archive" | tar -x --keep-directory-symlink -C "$work/root"
done

cd "$work/root"
for applet in $(./usr/bin/busybox --list); do
  [ -e "usr/bin/$applet" ] || ln -s busybox "usr/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n' >etc/passwd
printf 'root:x:0:\nnogroup:x:65534:\n' >etc/group
# Licences stay (usr/share/doc/*/copyright); what nobody reads in a container goes.
find usr/share/doc -type f ! -name copyright -delete
find usr/share/doc -xtype l -delete
rm -rf usr/share/man usr/share/info usr/share/locale usr/share/lintian usr/share/bug usr/share/applications usr/share/pixmaps \
  usr/lib/python3*/{idlelib,lib2to3,turtledemo,pydoc_data,ensurepip} usr/lib/python3*/config-*
chmod 1777 tmp var/tmp
chmod 0700 root

tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c . |
  docker import --change 'CMD ["sh"]' --change 'ENV PATH=/usr/local/bin:/usr/bin:/usr/sbin' - "$image" >/dev/null
echo "base-image: made $image: $(docker image inspect --format '{{.Size}}' "$image" | awk '{printf "%.0f MB", $1 / 1e6}')" >&2
