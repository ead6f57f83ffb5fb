"""Volumes of a container: bound in a mount namespace of its own where that is allowed, else symlinks.

Belongs here: mounts and the container's root, seen from the child before exec. Nothing is ever created
on the host outside the container's own directory: a mount point that the host lacks is made on a tmpfs
that shows the rest of its parent directory, in this namespace only.
"""

# ruff: noqa: PTH102, PTH103, PTH110, PTH114, PTH115, PTH116, PTH120, PTH123, PTH211
# pathlib is larger than all the rest of a supervisor.
from __future__ import annotations

import os
import stat

from minikubelet.runtimes.process import shimlibc, shimspec

MOST_ENTRIES = 256
"""A directory with more entries is not rebuilt to hold a mount point."""
HOST_PARTS = ("/proc", "/dev", "/sys", "/etc/resolv.conf", "/etc/hosts")
"""What an image used as a root gets of the host, which it shares with it anyway."""
_KEPT_FLAGS = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC

Mount = tuple[str, str, str]
"""host path, container path, `ro` or `rw`"""
Layers = dict[str, bool]
"""What is mounted where, and whether mount points may be made in it; the innermost counts."""


def arrange(directory: str, spec: shimspec.Spec) -> list[str]:
    """Make all mounts appear, enter the image if there is one; warnings. OSError: cannot be done."""
    mounts = list(
        zip(spec.get("mount_from", []), spec.get("mount_to", []), spec.get("mount_mode", []), strict=True)
    )
    mounts.sort(key=lambda mount: mount[1].count("/"))
    image, root = shimspec.one(spec, "image"), shimspec.one(spec, "root")
    if not image and (not mounts or shimspec.NO_MOUNTS in spec.get("flags", ())):
        return _link_all(root, mounts)
    try:
        own_namespace()
    except OSError as error:
        if image:
            raise
        return [f"no mount namespace ({error.strerror}), volumes are symlinks", *_link_all(root, mounts)]
    if image:
        _enter_image(directory, spec, mounts)
        return []
    return _bind_all(directory, root, mounts)


def own_namespace() -> None:
    """A private mount namespace; without root in a user namespace that keeps who we are."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        shimlibc.call("unshare", shimlibc.CLONE_NEWNS)
    else:
        shimlibc.call("unshare", shimlibc.CLONE_NEWUSER | shimlibc.CLONE_NEWNS)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{uid} {uid} 1")
        _write("/proc/self/gid_map", f"{gid} {gid} 1")
    shimlibc.mount("none", "/", "", shimlibc.MS_REC | shimlibc.MS_SLAVE)


def _bind_all(directory: str, root: str, mounts: list[Mount]) -> list[str]:
    warnings = []
    layers: Layers = {"/": False}
    for source, target, mode in mounts:
        try:
            _make_point(directory, source, target, layers)
            bind(source, target, mode)
            layers[target] = True
            link = target
        except OSError as error:
            warnings.append(f"mount {target} is only the symlink {root}{target}: {error.strerror}")
            link = source
        warnings += _link(root, target, link)
    return warnings


def bind(source: str, target: str, mode: str) -> None:
    """Bind a file or directory; `ro` refuses writes through the target."""
    shimlibc.mount(source, target, "", shimlibc.MS_BIND | shimlibc.MS_REC)
    if mode == "ro":
        # Flags that the source's mount has may not be taken away from a copy of it.
        kept = os.statvfs(target).f_flag & _KEPT_FLAGS
        flags = shimlibc.MS_BIND | shimlibc.MS_REMOUNT | shimlibc.MS_RDONLY | kept
        shimlibc.mount("none", target, "", flags)


def _make_point(directory: str, source: str, target: str, layers: Layers) -> None:
    """Make a mount point if it is not there: in place where that is the container's own, else on a tmpfs."""
    if os.path.lexists(target):
        return
    parent = os.path.dirname(target)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    inner = max((each for each in layers if f"{parent}/".startswith(each.rstrip("/") + "/")), key=len)
    if not layers[inner]:
        _rebuild(f"{directory}/{shimspec.STAGE}", parent)
    _touch(target, like=source)


def _rebuild(stage: str, path: str) -> None:
    """Put a tmpfs in a directory's place that shows the same entries, and can hold more."""
    with os.scandir(path) as listing:
        entries = sorted(listing, key=lambda entry: entry.name)
    if len(entries) > MOST_ENTRIES:
        raise OSError(0, f"{path} has too many entries to be rebuilt")
    shimlibc.mount("minikubelet", stage, "tmpfs", 0, "mode=755,size=1m")
    for entry in entries:
        new = f"{stage}/{entry.name}"
        if entry.is_symlink():
            os.symlink(os.readlink(entry.path), new)
            continue
        os.mkdir(new) if entry.is_dir(follow_symlinks=False) else os.mknod(new)
        try:
            shimlibc.mount(entry.path, new, "", shimlibc.MS_BIND | shimlibc.MS_REC)
        except OSError:
            continue  # what may not be bound is left empty
    os.chdir(stage)
    shimlibc.mount(".", path, "", shimlibc.MS_MOVE)
    if path == "/":
        os.chroot(".")
    os.chdir("/")


def _enter_image(directory: str, spec: shimspec.Spec, mounts: list[Mount]) -> None:
    """Make the image's directory the root, with a writable layer of the container's own above it."""
    image, root = shimspec.one(spec, "image"), shimspec.one(spec, "root")
    upper, work = f"{directory}/{shimspec.UPPER}", f"{directory}/{shimspec.WORK}"
    layers: Layers = {root: True}
    try:
        options = f"lowerdir={_escaped(image)},upperdir={_escaped(upper)},workdir={_escaped(work)}"
        shimlibc.mount("overlay", root, "overlay", 0, options)
    except OSError:
        shimlibc.mount(image, root, "", shimlibc.MS_BIND | shimlibc.MS_REC)
        layers = {root: False}  # no overlay here: it is the image itself
    for part in HOST_PARTS:
        if os.path.exists(part):
            _mount_inside(directory, root, (part, part, "rw"), layers)
            layers[root + part] = False
    for mount in mounts:
        _mount_inside(directory, root, mount, layers)
    if "read_only_root" in spec.get("flags", ()):
        shimlibc.mount("none", root, "", shimlibc.MS_BIND | shimlibc.MS_REMOUNT | shimlibc.MS_RDONLY)
    os.chdir(root)
    os.chroot(".")
    os.chdir("/")


def _mount_inside(directory: str, root: str, mount: Mount, layers: Layers) -> None:
    source, target, mode = mount
    point = _inside(root, target)
    _make_point(directory, source, point, layers)
    bind(source, point, mode)
    layers[point] = True


def _inside(root: str, target: str) -> str:
    """A path below root, symlinks on the way resolved as the container would."""
    here = root
    for part in target.strip("/").split("/"):
        here += "/" + part
        if os.path.islink(here):
            link = os.readlink(here)
            above = "/" if link.startswith("/") else here[len(root) :].rpartition("/")[0]
            here = root + os.path.normpath(f"/{above}/{link}").replace("//", "/")
    return here


def _link_all(root: str, mounts: list[Mount]) -> list[str]:
    warnings = []
    for source, target, mode in mounts:
        warnings += _link(root, target, source)
        if mode == "ro":
            warnings.append(f"mount {target} is a symlink and not read-only")
    return warnings


def _link(root: str, target: str, to: str) -> list[str]:
    """Make `<root><target>` lead to the volume, for programs that use paths relative to where they start."""
    *parents, last = target.strip("/").split("/")
    here = root
    for part in parents:
        here += "/" + part
        if os.path.islink(here):
            return [] if to == target else [f"mount {target} lies in another volume and has no symlink"]
        os.makedirs(here, exist_ok=True)
    if not os.path.lexists(f"{here}/{last}"):
        os.symlink(to, f"{here}/{last}")
    return []


def _touch(path: str, *, like: str) -> None:
    """An empty directory or file, as the other path is one; parents as needed."""
    if stat.S_ISDIR(os.stat(like).st_mode):
        os.makedirs(path, exist_ok=True)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o644))


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
