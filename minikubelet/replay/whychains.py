"""Chains of causes: from a decision back to the manifest, the API write, the exit code that began it.

Belongs here: which record a record goes back to. May not be here: words, or which decision is asked for.
A decision names the events it follows from; an event goes back to the command it answers.
"""

from __future__ import annotations

from bisect import bisect, bisect_left
from collections import Counter
from collections.abc import Callable, Iterable
from heapq import heappop, heappush

from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.replay.replaytale import Entry, Tale

Kind = tuple[str, str, str]
_FOLLOWED = 2
"""orders of one kind to one container whose causes are followed; earlier ones came about in the same way"""


class Chain:
    """Everything that one entry goes back to, oldest first, itself last.

    `missing` are causes older than the history. Of what was ordered again and again only the last two times
    are followed; `folded` says that there were others.
    """

    def __init__(self, tale: Tale, target: Entry) -> None:
        self.target = target
        self.missing: dict[int, None] = {}
        self.folded = False
        self._tale = tale
        self._orders: Counter[Kind] = Counter()
        found = {target.seq: target}
        waiting = [-target.seq]
        while waiting:
            for cause in self._causes(found[-heappop(waiting)]):
                if cause.seq not in found:
                    found[cause.seq] = cause
                    heappush(waiting, -cause.seq)
        self.entries = sorted(found.values(), key=lambda entry: entry.seq)

    def causes_of(self, entry: Entry) -> Iterable[Entry]:
        """What an event answers: the order behind it; a decision names its causes itself."""
        order = order_behind(self._tale, entry) if entry.event is not None else None
        return () if order is None else (order,)

    def _causes(self, entry: Entry) -> Iterable[Entry]:
        if entry.event is not None:
            return self.causes_of(entry)
        kind = _kind(entry)
        self._orders[kind] += 1
        found = []
        for seq in entry.causes:
            cause = self._tale.entries.get(seq)
            if cause is None:
                self.missing[seq] = None
            elif self._is_anothers(entry) and not isinstance(cause.event, e.PodSet | e.PodWithdrawn):
                continue  # how the pod before came to run is another story
            elif self._orders[kind] >= _FOLLOWED and self._repeats(cause, kind):
                self.folded = True
            else:
                found.append(cause)
        return found

    def _is_anothers(self, entry: Entry) -> bool:
        return entry.uid not in (self.target.uid, "") and self.target.uid != ""

    def _repeats(self, cause: Entry, kind: Kind) -> bool:
        """Whether a cause goes back to an order like this one, or like others that were followed enough."""
        order = order_behind(self._tale, cause)
        while order is not None and order.command is None:
            order = order_behind(self._tale, order)
        return order is not None and (_kind(order) == kind or self._orders[_kind(order)] >= _FOLLOWED)


def _kind(entry: Entry) -> Kind:
    return type(entry.command).__name__, entry.uid, entry.container


def order_behind(tale: Tale, entry: Entry) -> Entry | None:  # noqa: C901, PLR0912 - one arm an event
    """The command that an event answers, or that began what it tells of."""
    event = entry.event
    match event:
        case e.SandboxStarted() | e.SandboxStartFailed():
            return _order(tale, entry, c.StartSandbox, attempt=event.attempt)
        case e.ContainerStarted() | e.ContainerStartFailed():
            return _order(tale, entry, c.StartContainer, container=event.container, attempt=event.attempt)
        case e.ContainerStopped():
            return _order(tale, entry, c.StopContainer, container_id=event.container_id)
        case e.ContainerRemoved():
            return _order(tale, entry, c.RemoveContainer, container_id=event.container_id)
        case e.SandboxStopped():
            return _order(tale, entry, c.StopSandbox, sandbox_id=event.sandbox_id)
        case e.SandboxRemoved():
            return _order(tale, entry, c.RemoveSandbox, sandbox_id=event.sandbox_id)
        case e.PodCleanedUp():
            return _order(tale, entry, c.CleanUpPod)
        case e.TimerFired():
            return _order(tale, entry, c.WakeAt)
        case e.MirrorSeen() | e.MirrorGone():
            return _before(tale, entry, (c.CreateMirror, c.DeleteMirror), lambda _: True)
        case e.ContainerProbed():
            return _started(tale, entry, event.container_id)
        case e.PodObserved():
            return _observed_start(tale, entry, event)
        case e.CommandFailed():
            return _failed(tale, entry, event)
        case _:
            return None


def _order(tale: Tale, entry: Entry, kind: type[c.AnyCommand], **fields: object) -> Entry | None:
    uid = getattr(entry.event, "uid", None)

    def matches(one: Entry) -> bool:
        command = one.command
        return getattr(command, "uid", uid) == (uid or getattr(command, "uid", None)) and all(
            getattr(command, key) == value for key, value in fields.items()
        )

    return _before(tale, entry, (kind,), matches)


def _failed(tale: Tale, entry: Entry, event: e.CommandFailed) -> Entry | None:
    """The command that failed: the newest of its kind in its lane."""

    def matches(one: Entry) -> bool:
        command = one.command
        return (
            isinstance(command, c.RuntimeCommand)
            and command.uid == event.uid
            and c.lane_of(command) == event.lane
        )

    kinds = [kind for kind in tale.seqs_by_kind if kind.__name__ == event.command]
    return _before(tale, entry, kinds, matches)


def _observed_start(tale: Tale, entry: Entry, event: e.PodObserved) -> Entry | None:
    """The start of the newest instance that the runtime showed to have ended."""
    ended = [one for one in event.pod.containers if one.exit_code is not None]
    newest = max(ended, key=lambda one: (one.finished_at, one.attempt), default=None)
    if newest is None:
        return None
    return _started(tale, entry, newest.id) or _before(
        tale,
        entry,
        (c.StartContainer,),
        lambda one: (
            isinstance(one.command, c.StartContainer)
            and (one.command.uid, one.command.container, one.command.attempt)
            == (event.pod.uid, newest.name, newest.attempt)
        ),
    )


def _started(tale: Tale, entry: Entry, container_id: str) -> Entry | None:
    return _before(
        tale,
        entry,
        (e.ContainerStarted,),
        lambda one: getattr(one.event, "container_id", "") == container_id,
    )


def _before(
    tale: Tale, entry: Entry, kinds: Iterable[type], matches: Callable[[Entry], bool]
) -> Entry | None:
    """The last record of these kinds before an entry that matches."""
    found = 0
    for kind in kinds:
        seqs = tale.seqs_by_kind.get(kind, [])
        earlier = reversed(seqs[bisect(seqs, found) : bisect_left(seqs, entry.seq)])
        found = next((seq for seq in earlier if matches(tale.entries[seq])), found)
    return tale.entries.get(found)


def definition_before(tale: Tale, entry: Entry) -> Entry | None:
    """The definition that a PodSet replaces: the last of the slot before it whose pod is another."""
    event = entry.event
    if not isinstance(event, e.PodSet):
        return None

    def other(one: Entry) -> bool:
        return isinstance(one.event, e.PodSet) and one.event.deletion_at is None

    found = _before(tale, entry, (e.PodSet,), other)
    differs = found is not None and isinstance(found.event, e.PodSet) and found.event.pod != event.pod
    return found if differs else None
