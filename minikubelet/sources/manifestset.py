"""From the contents of manifest files to the pods they ask for: which file holds which pod, and verdicts.

Belongs here: pure functions over what has been read. May not be here: reading, watching, or a clock: the
time of a first sight comes in as text. The order is that of file names, and nothing depends on how often a
folder is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from minikubelet.model.ids import PodUid, SlotKey, Source, slot_key, split_slot
from minikubelet.model.pod import Pod
from minikubelet.ports.sourceport import (
    FileStatus,
    FileVerdict,
    PodOffered,
    PodRetracted,
    SourceFact,
    VerdictsChanged,
)
from minikubelet.wire.podmarks import CONFIG_SEEN


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


Entry: TypeAlias = Loaded | Same | Unreadable | Ignored


class Listing(msgspec.Struct, frozen=True):
    """One look at the folder. With a `problem` it could not be listed, and nothing is known of its files."""

    entries: tuple[Entry, ...] = ()
    problem: str = ""


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
    """All that is known of the folder. `first_seen` has times of uids known from earlier lives."""

    folder: str
    files: Mapping[str, HeldFile] = msgspec.field(default_factory=dict)
    desired: Mapping[SlotKey, Desired] = msgspec.field(default_factory=dict)
    verdicts: tuple[FileVerdict, ...] | None = None
    first_seen: Mapping[PodUid, str] = msgspec.field(default_factory=dict)


def advance(
    state: ManifestState, listing: Listing, *, now: str
) -> tuple[ManifestState, tuple[SourceFact, ...]]:
    """Take one look at the folder in; `now` is the time as `config.seen` spells it.

    Facts come with each new pod before the one it replaces is retracted, and verdicts last, so that nothing
    is cleaned up before what is wanted is known.
    """
    files = state.files if listing.problem else _hold(state.files, listing.entries)
    owners = _owners(state, files)
    desired = {slot: _wanted(state, slot, *found, now=now) for slot, found in sorted(owners.items())}
    verdicts = _verdicts(state.folder, files, desired, listing.problem)
    facts: list[SourceFact] = list(_changes(state.desired, desired))
    if verdicts != state.verdicts:
        facts.append(VerdictsChanged(verdicts=verdicts))
    return replace(state, files=files, desired=desired, verdicts=verdicts), tuple(facts)


def _hold(before: Mapping[str, HeldFile], entries: Iterable[Entry]) -> dict[str, HeldFile]:
    held: dict[str, HeldFile] = {}
    for entry in sorted(entries, key=lambda each: each.name):
        old = before.get(entry.name)
        match entry:
            case Same():
                if old is not None:
                    held[entry.name] = old
            case Loaded():
                held[entry.name] = _judge(entry, old)
            case Unreadable():
                pods = old.pods if old else ()
                held[entry.name] = HeldFile(
                    entry.name,
                    FileStatus.UNREADABLE,
                    pods=pods,
                    kept=tuple(pod.slot for pod, _ in pods),
                    messages=(entry.message,),
                )
            case Ignored():
                held[entry.name] = HeldFile(entry.name, FileStatus.IGNORED, messages=(entry.message,))
    return held


def _judge(entry: Loaded, old: HeldFile | None) -> HeldFile:
    """Good documents count at once; while any is broken, pods of the file that it lost are kept."""
    good: dict[SlotKey, ReadPod] = {}
    errors = list(entry.reading.errors)
    warnings = list(entry.reading.warnings)
    for pod in entry.reading.pods:
        if pod.slot in good:
            warnings.append(
                f"document {pod.document + 1}: {pod.slot} is defined earlier in this file already"
            )
        else:
            good[pod.slot] = pod
    if not good and not errors:
        errors.append("there is no pod in this file; to remove a pod, delete its file")
    kept: tuple[tuple[ReadPod, str], ...] = ()
    if errors and old is not None:
        kept = tuple(each for each in old.pods if each[0].slot not in good)
    return HeldFile(
        entry.name,
        FileStatus.REJECTED if errors else FileStatus.ACCEPTED,
        hash=entry.hash,
        pods=(*((pod, entry.hash) for pod in good.values()), *kept),
        kept=tuple(pod.slot for pod, _ in kept),
        messages=(*errors, *warnings),
        foreign=entry.reading.foreign,
    )


def _owners(
    state: ManifestState, files: Mapping[str, HeldFile]
) -> dict[SlotKey, tuple[HeldFile, ReadPod, str]]:
    """Which file holds each pod's name: the one that holds it already, else the first in order."""
    owners: dict[SlotKey, tuple[HeldFile, ReadPod, str]] = {}
    for name in sorted(files):
        for pod, content in files[name].pods:
            holder = state.desired.get(pod.slot)
            if pod.slot not in owners or (holder is not None and holder.file == name):
                owners[pod.slot] = (files[name], pod, content)
    return owners


def _wanted(
    state: ManifestState, slot: SlotKey, file: HeldFile, read: ReadPod, content: str, *, now: str
) -> Desired:
    uid = PodUid(read.pod.metadata.uid)
    origin = f"{shown(file.name)}#{read.document} {content}"
    before = state.desired.get(slot)
    if before is not None and (before.uid, before.origin, before.file) == (uid, origin, file.name):
        return before  # the same document of the same content: with hundreds of files, most of them
    if before is not None and before.uid == uid:
        seen = before.pod.metadata.annotations[CONFIG_SEEN]
    else:
        seen = state.first_seen.get(uid, now)
    metadata = replace(read.pod.metadata, annotations={**read.pod.metadata.annotations, CONFIG_SEEN: seen})
    return Desired(
        file=file.name,
        pod=replace(read.pod, metadata=metadata),
        origin=origin,
    )


def _changes(
    before: Mapping[SlotKey, Desired], after: Mapping[SlotKey, Desired]
) -> Iterable[PodOffered | PodRetracted]:
    for slot in sorted({**before, **after}):
        old, new = before.get(slot), after.get(slot)
        if new is not None and new is not old and not _only_file_differs(old, new):
            yield PodOffered(source=Source.FILE, pod=new.pod, origin=new.origin)
        if old is not None and (new is None or new.uid != old.uid):
            namespace, name = split_slot(slot)
            yield PodRetracted(
                source=Source.FILE, namespace=namespace, name=name, uid=old.uid, origin=old.origin
            )


def _only_file_differs(old: Desired | None, new: Desired) -> bool:
    return old is not None and old.pod == new.pod and old.origin == new.origin


def _verdicts(
    folder: str, files: Mapping[str, HeldFile], desired: Mapping[SlotKey, Desired], problem: str
) -> tuple[FileVerdict, ...]:
    found = [_verdict(files[name], desired) for name in sorted(files)]
    if problem:
        kept = tuple(sorted(desired))
        found.insert(
            0,
            FileVerdict(file=shown(folder), status=FileStatus.UNREADABLE, messages=(problem,), kept=kept),
        )
    return tuple(found)


def _verdict(file: HeldFile, desired: Mapping[SlotKey, Desired]) -> FileVerdict:
    slots = tuple(pod.slot for pod, _ in file.pods)
    lost = [slot for slot in slots if desired[slot].file != file.name]
    status = file.status
    if lost and len(lost) == len(slots) and status is FileStatus.ACCEPTED:
        status = FileStatus.SHADOWED
    shadows = (
        f"{slot} is held by {shown(desired[slot].file)}; this definition has no effect" for slot in lost
    )
    return FileVerdict(
        file=shown(file.name),
        status=status,
        hash=file.hash,
        pods=slots,
        messages=(*file.messages, *shadows),
        kept=tuple(slot for slot in file.kept if slot not in lost),
        foreign=file.foreign,
    )


def shown(name: str) -> str:
    """Spell a file name so that it can be printed and encoded: odd bytes and control characters escaped."""
    if name.isascii() and name.isprintable():
        return name
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
