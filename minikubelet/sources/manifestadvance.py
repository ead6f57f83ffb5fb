"""From the contents of manifest files to the pods they ask for: which file holds which pod, and verdicts.

Belongs here: pure functions over what has been read. May not be here: reading, watching, or a clock: the
time of a first sight comes in as text. The order is that of file names, and nothing depends on how often a
folder is looked at, nor on whether a look was at all of it: a partial one costs what changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import assert_never

from msgspec.structs import replace

from minikubelet.model.ids import PodUid, SlotKey, Source, split_slot
from minikubelet.ports.sourceport import (
    FileStatus,
    FileVerdict,
    PodOffered,
    PodRetracted,
    SourceFact,
    VerdictsChanged,
)
from minikubelet.sources.manifestset import (
    Desired,
    Entry,
    Gone,
    HeldFile,
    Ignored,
    Listing,
    Loaded,
    ManifestState,
    ReadPod,
    Same,
    Unreadable,
    shown,
)
from minikubelet.wire.podmarks import CONFIG_SEEN

_UNREAD = "is not read yet: it is still being written, or big"
"""of a file, until all have been read once: it may define any pod that an earlier life of the agent ran"""


def advance(
    state: ManifestState, listing: Listing, *, now: str
) -> tuple[ManifestState, tuple[SourceFact, ...]]:
    """Take one look at the folder in; `now` is the time as `config.seen` spells it.

    Facts come with each new pod before the one it replaces is retracted, and verdicts last, so that nothing
    is cleaned up before what is wanted is known.
    """
    files = state.files if listing.problem else _hold(state.files, listing, complete=state.complete)
    touched = _touched(state.files, files, listing)
    slots = {pod.slot: None for name in touched for held in (state.files, files) for pod in _pods(held, name)}
    defining = _defining(files, touched)
    holders, desired = dict(state.holders), dict(state.desired)
    for slot in sorted(slots):
        kept = [name for name in holders.get(slot, ()) if name not in touched]
        names = tuple(sorted((*kept, *defining.get(slot, ()))))
        owner = _owner(state, slot, files, names)
        if owner is None:
            holders.pop(slot, None)
            desired.pop(slot, None)
        else:
            holders[slot] = names
            desired[slot] = _wanted(state, slot, *_definition(files[owner], slot), now=now)
    facts: list[SourceFact] = list(_changes(state.desired, desired, sorted(slots)))
    doubtful = dict.fromkeys((*touched, *(name for slot in slots for name in holders.get(slot, ()))))
    judged = _judge_files(state.judged, files, desired, doubtful)
    verdicts = state.verdicts
    if verdicts is None or judged is not state.judged or listing.problem or _had_problem(state):
        verdicts = _verdicts(state.folder, judged, desired, listing.problem)
    if verdicts != state.verdicts:
        facts.append(VerdictsChanged(verdicts=verdicts))
    state = replace(
        state, files=files, holders=holders, desired=desired, judged=judged, verdicts=verdicts,
        complete=state.complete or _all_read(files, listing),
    )  # fmt: skip
    return state, tuple(facts)


def _all_read(files: Mapping[str, HeldFile], listing: Listing) -> bool:
    whole = not listing.problem and not listing.partial
    return whole and not any(file.messages == (_UNREAD,) for file in files.values())


def _hold(before: Mapping[str, HeldFile], listing: Listing, *, complete: bool) -> dict[str, HeldFile]:
    held = dict(before) if listing.partial else {}
    for entry in listing.entries:
        found = _held(entry, before.get(entry.name))
        if found is None and isinstance(entry, Same) and not complete:
            found = HeldFile(entry.name, FileStatus.UNREADABLE, messages=(_UNREAD,))
        if found is not None:
            held[entry.name] = found
        else:
            held.pop(entry.name, None)
    return held


def _held(entry: Entry, old: HeldFile | None) -> HeldFile | None:
    match entry:
        case Same():
            return old
        case Gone():
            return None
        case Loaded():
            return _judge(entry, old)
        case Unreadable():
            pods = old.pods if old else ()
            return HeldFile(
                entry.name,
                FileStatus.UNREADABLE,
                pods=pods,
                kept=tuple(pod.slot for pod, _ in pods),
                messages=(entry.message,),
            )
        case Ignored():
            return HeldFile(entry.name, FileStatus.IGNORED, messages=(entry.message,))
        case _ as never:
            assert_never(never)


def _touched(
    before: Mapping[str, HeldFile], after: Mapping[str, HeldFile], listing: Listing
) -> dict[str, None]:
    """The names of files of which something else is known than before, in order."""
    names: Iterable[str] = {**before, **after}
    if listing.partial:
        names = [entry.name for entry in listing.entries]
    return dict.fromkeys(sorted(name for name in names if before.get(name) is not after.get(name)))


def _pods(files: Mapping[str, HeldFile], name: str) -> tuple[ReadPod, ...]:
    return tuple([pod for pod, _ in files[name].pods]) if name in files else ()


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


def _defining(files: Mapping[str, HeldFile], touched: Iterable[str]) -> dict[SlotKey, list[str]]:
    """The pods of these files, each with the names of those of them that define it."""
    found: dict[SlotKey, list[str]] = {}
    for name in touched:
        for pod in _pods(files, name):
            found.setdefault(pod.slot, []).append(name)
    return found


def _owner(
    state: ManifestState, slot: SlotKey, files: Mapping[str, HeldFile], names: tuple[str, ...]
) -> str | None:
    """Which file holds a pod's name: the one that holds it already, else the first in order.

    In a new life that is the one whose pod is known from an earlier one: a restart hands no name on.
    """
    holder = state.desired.get(slot)
    if holder is not None and holder.file in names:
        return holder.file
    rivals = names if holder is None and len(names) > 1 else ()
    ran = (name for name in rivals if _ran(state, files[name], slot))
    return next(chain(ran, names), None)


def _ran(state: ManifestState, file: HeldFile, slot: SlotKey) -> bool:
    _, read, _ = _definition(file, slot)
    return PodUid(read.pod.metadata.uid) in state.first_seen


def _definition(file: HeldFile, slot: SlotKey) -> tuple[HeldFile, ReadPod, str]:
    return next((file, pod, content) for pod, content in file.pods if pod.slot == slot)


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
    before: Mapping[SlotKey, Desired], after: Mapping[SlotKey, Desired], slots: Iterable[SlotKey]
) -> Iterable[PodOffered | PodRetracted]:
    for slot in slots:
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


def _judge_files(
    before: Mapping[str, FileVerdict],
    files: Mapping[str, HeldFile],
    desired: Mapping[SlotKey, Desired],
    doubtful: Iterable[str],
) -> Mapping[str, FileVerdict]:
    """The verdicts, those of doubtful files anew; the same mapping where none is another."""
    changes = {name: _verdict(files[name], desired) if name in files else None for name in doubtful}
    if all(before.get(name) == verdict for name, verdict in changes.items()):
        return before
    return {name: verdict for name, verdict in {**before, **changes}.items() if verdict is not None}


def _had_problem(state: ManifestState) -> bool:
    """Whether the last look could not list the folder."""
    return state.verdicts is not None and len(state.verdicts) != len(state.judged)


def _verdicts(
    folder: str, judged: Mapping[str, FileVerdict], desired: Mapping[SlotKey, Desired], problem: str
) -> tuple[FileVerdict, ...]:
    found = [judged[name] for name in sorted(judged)]
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
