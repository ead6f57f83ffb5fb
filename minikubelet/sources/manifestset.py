"""What a look at the manifest folder finds, and all that is known of the folder after it.

Belongs here: these values. May not be here: how one look leads from state to state (`manifestadvance`), and
reading, watching, or a clock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from minikubelet.model.ids import PodUid, SlotKey, slot_key
from minikubelet.model.pod import Pod
from minikubelet.ports.sourceport import FileStatus, FileVerdict


class ReadPod(msgspec.Struct, frozen=True):
    """A pod of a file, and which document of it (from 0) defines it."""

    pod: Pod
    document: int = 0

    @property
    def slot(self) -> SlotKey:
        """The pod's place."""
        return slot_key(self.pod.metadata.namespace, self.pod.metadata.name)


class FileReading(msgspec.Struct, frozen=True):
    """What a file's content says: its good pods, what is wrong, and what is merely doubtful.

    `foreign`: the errors are only about documents of other kinds, none of which can be a broken pod.
    """

    pods: tuple[ReadPod, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    foreign: bool = False


class Loaded(msgspec.Struct, frozen=True):
    """A file with new content."""

    name: str
    hash: str
    reading: FileReading


class Same(msgspec.Struct, frozen=True):
    """A file that is there and about which nothing new is known: unchanged, or still being written."""

    name: str


class Unreadable(msgspec.Struct, frozen=True):
    """A file that is there but cannot be read now."""

    name: str
    message: str


class Ignored(msgspec.Struct, frozen=True):
    """An entry of the folder that is no manifest."""

    name: str
    message: str


class Gone(msgspec.Struct, frozen=True):
    """A name of a partial listing that is not there any more."""

    name: str


Entry: TypeAlias = Loaded | Same | Unreadable | Ignored | Gone


class Listing(msgspec.Struct, frozen=True):
    """One look at the folder. With a `problem` it could not be listed, and nothing is known of its files.

    A `partial` one tells of some names only: of all others, nothing has changed.
    """

    entries: tuple[Entry, ...] = ()
    problem: str = ""
    partial: bool = False


class HeldFile(msgspec.Struct, frozen=True):
    """What is in force of one file: good pods of its content, and kept ones of an earlier content."""

    name: str
    status: FileStatus
    hash: str = ""
    pods: tuple[tuple[ReadPod, str], ...] = ()
    """each with the hash of the content that defined it"""
    kept: tuple[SlotKey, ...] = ()
    messages: tuple[str, ...] = ()
    foreign: bool = False


class Desired(msgspec.Struct, frozen=True):
    """A pod that is wanted, and the file that holds its name."""

    file: str
    pod: Pod
    origin: str

    @property
    def uid(self) -> PodUid:
        """The pod's identity."""
        return PodUid(self.pod.metadata.uid)


class ManifestState(msgspec.Struct, frozen=True):
    """All that is known of the folder. `first_seen` has times of uids known from earlier lives.

    `holders` are the names of the files that define each pod, in order; `judged` are the files' verdicts.
    `complete`: at one look, all files that were there had been read.
    """

    folder: str
    files: Mapping[str, HeldFile] = msgspec.field(default_factory=dict)
    holders: Mapping[SlotKey, tuple[str, ...]] = msgspec.field(default_factory=dict)
    judged: Mapping[str, FileVerdict] = msgspec.field(default_factory=dict)
    desired: Mapping[SlotKey, Desired] = msgspec.field(default_factory=dict)
    verdicts: tuple[FileVerdict, ...] | None = None
    first_seen: Mapping[PodUid, str] = msgspec.field(default_factory=dict)
    complete: bool = False


def shown(name: str) -> str:
    """Spell a file name so that it can be printed and encoded: odd bytes and control characters escaped."""
    if name.isascii() and name.isprintable():
        return name
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
