"""A tale: the records of one pod and of the node, decoded, with what a question about them needs.

Belongs here: loading and looking up. May not be here: causes (`whychains`) or words (`sentences`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from minikubelet.core import events as e
from minikubelet.core.commands import AnyCommand
from minikubelet.core.events import AnyEvent
from minikubelet.core.state import Slot
from minikubelet.journal.journalreader import JournalReader
from minikubelet.ports.journalport import RecordKind
from minikubelet.replay.podnaming import choose, fits, readings, resolve
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.replay.replayhistory import brief_of, harmful, open_journal, state_of
from minikubelet.wire.records import UnknownRecord, decode_command, decode_event

ASIDE: Final = "what the agent could not use of it, it has set aside in"


class Entry(msgspec.Struct, frozen=True):
    """A record with its body decoded; exactly one of `event` and `command` is there."""

    seq: int
    at: int
    causes: tuple[int, ...] = ()
    event: AnyEvent | None = None
    command: AnyCommand | None = None

    @property
    def body(self) -> AnyEvent | AnyCommand:
        """The event or the command."""
        found = self.event if self.event is not None else self.command
        if found is None:
            raise ValueError(f"record {self.seq} is neither an event nor a command")
        return found

    @property
    def uid(self) -> str:
        """The uid of the pod it is about, if it says one."""
        return str(getattr(self.body, "uid", "") or getattr(getattr(self.body, "pod", None), "uid", ""))

    @property
    def container(self) -> str:
        """The container it is about, if it says one."""
        return str(getattr(self.body, "container", ""))


class Tale(msgspec.Struct, frozen=True, dict=True):
    """All that a history tells of one slot: entries by seq (with the node's), and the state it began with."""

    slot: str
    container: str
    entries: dict[int, Entry]
    first_seq: int
    last_at: int
    before: Slot | None

    @cached_property
    def seqs_by_kind(self) -> dict[type, list[int]]:
        """The seqs of the records of each kind, in order."""
        found: dict[type, list[int]] = {}
        for seq, entry in self.entries.items():
            found.setdefault(type(entry.body), []).append(seq)
        return found


def journal_of(options: argparse.Namespace) -> JournalReader:
    """The journal that the options name, or the agent's own; raises ReplayError."""
    return open_journal(path_of(options))


def path_of(options: argparse.Namespace) -> Path:
    """JOURNAL, `--journal`, the one below `--root-dir`, or the agent's own; raises ReplayError."""
    stray, subject = getattr(options, "stray", None), getattr(options, "subject", None)
    if "" in (subject, options.journal, options.root_dir):
        raise ReplayError("the path of the journal is empty; name one, or leave it out for this node's agent")
    if stray:
        raise ReplayError(f"{stray[0]!r} is one word too many; a journal is named as --journal {stray[0]}")
    if subject and (options.journal or options.root_dir):
        raise ReplayError(f"two journals are named: leave out {subject}, or the option")
    if options.root_dir:
        return Path(options.root_dir) / "journal"
    given = subject or options.journal or getattr(options, "default_journal", None)
    if given is None:
        raise ReplayError("which journal? pass --journal PATH: a journal's directory or an export (.mkx)")
    return Path(given)


def tell_damage(reader: JournalReader) -> None:
    """Say on stderr what harm was found while reading."""
    found = harmful(reader)
    for sentence in found:
        sys.stderr.write(f"damage: {sentence}\n")
    if found and (aside := reader.aside()) is not None:
        sys.stderr.write(f"{ASIDE} {aside}\n")


def nodes_of(reader: JournalReader) -> list[str]:
    """The names of the nodes that wrote it."""
    return list(dict.fromkeys(header.node for header in reader.headers()))


def slots_of(reader: JournalReader) -> list[str]:
    """Every pod that occurs, in its records or in the state it begins with."""
    begun = (slot.key for slot in first_state(reader))
    told = (brief_of(record.body).slot for record in reader.records())
    return [slot for slot in dict.fromkeys((*begun, *told)) if slot]


def meant_by(name: str, seen: Iterable[str], reader: JournalReader) -> tuple[str, str]:
    """The slot and the container that are meant, of those seen or else of the whole history.

    Raises ReplayError, and tells of damage, where there is none.
    """
    nodes = nodes_of(reader)
    try:
        return resolve(name, seen, nodes)
    except ReplayError:
        pass  # A pod that is gone is in no snapshot: then all of the history is read.
    try:
        return resolve(name, slots_of(reader), nodes)
    except ReplayError as error:
        raise with_broken(error, reader, name) from None


def load(reader: JournalReader, name: str) -> Tale:
    """The tale of the pod that `name` means; raises ReplayError where there is none."""
    nodes = nodes_of(reader)
    wanted = readings(name)
    state = first_state(reader)
    slots: dict[str, None] = {slot.key: None for slot in state}
    kept: list[Entry] = []
    first, last = 0, 0
    for record in reader.records():
        first, last = first or record.seq, record.at
        slot = brief_of(record.body).slot
        if slot not in slots and slot:
            slots[slot] = None
        if not slot or any(fits(one, slot, nodes) for one in wanted):
            kept.append(_decoded(record.seq, record.at, record.kind, record.causes, record.body))
    try:
        meant, container = resolve(name, slots, nodes)
    except ReplayError as error:
        raise with_broken(error, reader, name) from None
    entries = {e.seq: e for e in kept if getattr(e.body, "slot", meant) == meant}
    tale = Tale(meant, container, entries, first, last, next((s for s in state if s.key == meant), None))
    return msgspec.structs.replace(tale, container=_container(tale)) if container else tale


def with_broken(error: ReplayError, reader: JournalReader, name: str) -> ReplayError:
    """The error about a pod that does not occur, with the broken manifest that may be meant to make it.

    What could not be read, and may have held it, is said before.
    """
    tell_damage(reader)
    judged = [r for r in reader.records() if brief_of(r.body).kind == e.ManifestsJudged.__name__]
    event = decode_event(judged[-1].body) if judged else None
    if isinstance(event, e.ManifestsJudged):
        for file, what in (*event.rejected, *event.foreign, *event.shadowed):
            if file.partition(".")[0].lower() in name.lower().split("/"):
                return ReplayError(f"{file} makes no pod: {what}")
    return error


def _container(tale: Tale) -> str:
    return choose(tale.container, containers_of(tale), "container")


def containers_of(tale: Tale) -> list[str]:
    """Every container of the pod that occurs, in the order of their first mention."""
    names: dict[str, None] = {}
    for generation in tale.before.generations if tale.before else ():
        names |= dict.fromkeys(generation.containers)
    for entry in tale.entries.values():
        pod = getattr(entry.body, "pod", None)
        if pod is not None and hasattr(pod, "spec"):
            names |= dict.fromkeys(one.name for one in pod.spec.every_container)
        elif pod is not None:
            names |= dict.fromkeys(one.name for one in pod.containers)
        elif entry.container:
            names[entry.container] = None
    return list(names)


def first_state(reader: JournalReader, begin: int = 0) -> Iterable[Slot]:
    """The pods of the state with which a history begins, or its part with record `begin`."""
    with closing(reader.segments(begin)) as parts:
        part = next(parts, None)
    try:
        return state_of(part.snapshot).slots if part is not None and part.snapshot is not None else ()
    except UnknownRecord:
        return ()


def _decoded(seq: int, at: int, kind: RecordKind, causes: tuple[int, ...], body: msgspec.Raw) -> Entry:
    try:
        if kind is RecordKind.EVENT:
            return Entry(seq, at, causes, event=decode_event(body))
        return Entry(seq, at, causes, command=decode_command(body))
    except UnknownRecord as error:
        raise ReplayError(f"record {seq}: {error}; use the version that recorded it") from None


def latest(entries: Iterable[Entry], matches: Callable[[Entry], bool]) -> Entry | None:
    """The last entry that matches."""
    return next((entry for entry in reversed(list(entries)) if matches(entry)), None)
