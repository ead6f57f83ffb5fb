"""What a container's supervisor is told, and the files both sides share.

Belongs here: names of files and the format between driver and supervisor. The supervisor imports this,
so nothing may be imported here that costs memory: no json, no dataclasses, no typing.
"""

# ruff: noqa: PTH104
# pathlib is larger than all the rest of a supervisor.
from __future__ import annotations

import os

SPEC = "spec"
"""Arguments and environment, secrets perhaps: 0600, and gone as soon as the supervisor has read it."""
CONTROL = "control"
"""A FIFO that the supervisor alone reads: commands come through it, and its end is the supervisor's end."""
STATE = "state.json"
ROOT = "root"
NO_MOUNTS = "no_mounts"
STAGE = "stage"
UPPER = "upper"
WORK = "work"

MARKER = "MINIKUBELET_CONTAINER"
"""Environment variable of every process of a container: the container's directory."""

Spec = dict[str, list[str]]
"""argv, env, mount_from, mount_to, mount_mode, image, cwd, root, log, uid, gid, groups, drop, flags, oom"""


def encode_spec(spec: Spec) -> bytes:
    """`key=value` fields, each ended by NUL, which neither arguments, environment nor paths can hold."""
    fields = [f"{key}={value}" for key, values in spec.items() for value in values]
    return b"".join(os.fsencode(field) + b"\0" for field in fields)


def decode_spec(data: bytes) -> Spec:
    """The reverse of `encode_spec`; a key without values is not there."""
    spec: Spec = {}
    for field in data.split(b"\0")[:-1]:
        key, _, value = os.fsdecode(field).partition("=")
        spec.setdefault(key, []).append(value)
    return spec


def one(spec: Spec, key: str) -> str:
    """The single value of a key, empty if it is not there."""
    values = spec.get(key)
    return values[0] if values else ""


def write_atomically(path: str, data: bytes) -> None:
    """Replace a file by one of 0600, so that a reader sees the old or the new, never half.

    Not flushed to the disk: what a crash of the machine takes counts as killed with it.
    """
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
    os.rename(path + ".new", path)
