"""Owners of volumes: a pod's fsGroup, and the user whom a token belongs to.

Belongs here: what upstream's pkg/volume/volume_linux.go gives a volume's files. May not be here: which
volumes there are; hostPath never changes hands.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

import msgspec

from minikubelet.model.pod import Pod

_READ_WRITE: Final = 0o660
_READ: Final = 0o440
_ENTER: Final = 0o110


class Ownership(msgspec.Struct, frozen=True):
    """The group that a pod's volumes belong to; None leaves them as they are."""

    group: int | None = None

    def give(self, path: Path, *, read_only: bool) -> None:
        """Give a directory and all in it to the group; raises OSError where the agent may not."""
        if self.group is None:
            return
        for where, directories, files in os.walk(path, topdown=False, onerror=_raise):
            for name in (*directories, *files):
                self._give_one(os.path.join(where, name), read_only=read_only)  # noqa: PTH118 - os.walk's own
        self._give_one(str(path), read_only=read_only)

    def _give_one(self, path: str, *, read_only: bool) -> None:
        mode = os.lstat(path).st_mode
        os.chown(path, -1, -1 if self.group is None else self.group, follow_symlinks=False)
        if stat.S_ISLNK(mode):
            return
        more = _READ if read_only else _READ_WRITE
        if stat.S_ISDIR(mode):
            more |= stat.S_ISGID | _ENTER
        os.chmod(path, stat.S_IMODE(mode) | more)  # noqa: PTH101 - as above


def _raise(error: OSError) -> None:
    raise error


def ownership(pod: Pod) -> Ownership:
    """What the pod's security context says."""
    context = pod.spec.security_context
    return Ownership(context.fs_group if context is not None else None)


def token_user(pod: Pod) -> int | None:
    """The user of all containers, if they have the same: who alone has to read a token."""
    context = pod.spec.security_context
    whole = context.run_as_user if context is not None else None
    users = {
        whole if c.security_context is None or c.security_context.run_as_user is None
        else c.security_context.run_as_user
        for c in (*pod.spec.init_containers, *pod.spec.containers)
    }  # fmt: skip
    return users.pop() if len(users) == 1 else None
