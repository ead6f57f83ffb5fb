"""The words for what a person asks about: start, kill, back-off, mirror …, and which records they mean.

Belongs here: matching. May not be here: causes or sentences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from minikubelet.core import commands as c
from minikubelet.core import events as e
from minikubelet.model.status import ContainerStatus, PodStatus
from minikubelet.replay.replaytale import Entry

Before = PodStatus | None
Match = Callable[[Entry, Before], bool]

_RUNTIME = (
    c.StartSandbox, c.StopSandbox, c.RemoveSandbox, c.StartContainer, c.StopContainer, c.CleanUpPod,
    c.CreateMirror, c.DeleteMirror, c.DeleteApiPod,
)  # fmt: skip

_ENDS = ("DeadlineExceeded", "Evicted", "Terminated", "NodeShutdown")
"""reasons of a failed pod that ran"""


def _of(*kinds: type) -> Match:
    return lambda entry, _: isinstance(entry.body, kinds)


def _restart(entry: Entry, _: Before) -> bool:
    return isinstance(entry.command, c.StartContainer) and entry.command.attempt > 0


def _waiting(status: Before) -> dict[str, str]:
    everything: tuple[ContainerStatus, ...] = ()
    if status is not None:
        everything = (*status.init_container_statuses, *status.container_statuses)
    return {s.name: s.state.waiting.reason for s in everything if s.state.waiting is not None}


def _back_off(entry: Entry, before: Before) -> bool:
    if not isinstance(entry.command, c.PublishStatus):
        return False
    known = _waiting(before)
    now = _waiting(entry.command.status)
    return any("BackOff" in reason and known.get(name) != reason for name, reason in now.items())


def _refusal(entry: Entry, before: Before) -> bool:
    event = entry.event
    if isinstance(event, e.ManifestsJudged):
        return bool(event.rejected)
    failed = isinstance(event, e.ContainerStartFailed | e.SandboxStartFailed | e.CommandFailed)
    return failed or _refused(entry, before)


def _refused(entry: Entry, before: Before) -> bool:
    """Whether the node does not take the pod, which its status tells."""
    command = entry.command
    if not isinstance(command, c.PublishStatus) or command.status.phase != "Failed":
        return False
    reason = command.status.reason
    known = before.reason if before is not None else ""
    return bool(reason) and reason != known and reason not in _ENDS


def _anything(entry: Entry, before: Before) -> bool:
    return isinstance(entry.body, _RUNTIME) or _refused(entry, before)


def _eviction(entry: Entry, _: Before) -> bool:
    command = entry.command
    if isinstance(command, c.PublishStatus):
        return command.status.reason == "Evicted"
    return command is not None and "evict" in command.reason.value.lower()


def _ready(status: Before) -> bool:
    return status is not None and any(x.type == "Ready" and x.status == "True" for x in status.conditions)


def _readiness(entry: Entry, before: Before) -> bool:
    return isinstance(entry.command, c.PublishStatus) and _ready(entry.command.status) != _ready(before)


ACTIONS: Final[dict[str, Match]] = {
    "start": _of(c.StartContainer, c.StartSandbox),
    "restart": _restart,
    "kill": _of(c.StopContainer),
    "stop": _of(c.StopContainer, c.StopSandbox),
    "remove": _of(c.RemoveContainer, c.RemoveSandbox),
    "delete": _of(c.CleanUpPod, c.DeleteApiPod, c.RemoveSandbox),
    "sandbox": _of(c.StartSandbox, c.StopSandbox, c.RemoveSandbox),
    "back-off": _back_off,
    "refusal": _refusal,
    "eviction": _eviction,
    "mirror": _of(c.CreateMirror, c.DeleteMirror),
    "status": _of(c.PublishStatus),
    "probe": _of(e.ContainerProbed),
    "ready": _readiness,
    "anything": _anything,
}
SYNONYMS: Final = {
    "backoff": "back-off",
    "crash": "restart",
    "cleanup": "delete",
    "evict": "eviction",
    "killed": "kill",
    "refuse": "refusal",
    "started": "start",
    "stopped": "stop",
    "unready": "ready",
}


def matching(entries: Sequence[Entry], action: str, container: str) -> list[tuple[Entry, Before]]:
    """The entries that an action means, each with the status that was published before it."""
    match = ACTIONS[action]
    published: dict[str, PodStatus] = {}
    files = _files(entries)
    found = []
    for entry in entries:
        if isinstance(entry.event, e.ManifestsJudged) and not _of_files(entry.event, files):
            continue
        before = published.get(entry.uid)
        about = not container or entry.container == container or _tells_of(entry, before, container)
        if about and match(entry, before):
            found.append((entry, before))
        if isinstance(entry.command, c.PublishStatus):
            published[entry.uid] = entry.command.status
    return found


def broken_files(entries: Sequence[Entry]) -> Iterator[tuple[int, str, str]]:
    """The files that define the pod and are broken in the end: since which event, and what is wrong."""
    files = _files(entries)
    since: dict[tuple[str, str], int] = {}
    for entry in entries:
        if isinstance(entry.event, e.ManifestsJudged):
            wrong = [each for each in entry.event.rejected if each[0] in files]
            since = {each: since.get(each, entry.seq) for each in wrong}
    for (file, what), seq in since.items():
        yield seq, file, what


def _files(entries: Sequence[Entry]) -> set[str]:
    """The manifests that ever defined the pod."""
    return {x.event.origin.partition("#")[0] for x in entries if isinstance(x.event, e.PodSet)}


def _of_files(judged: e.ManifestsJudged, files: set[str]) -> bool:
    """Whether one of these files is broken, in so far as it is known from which the pod comes."""
    return not files or any(file in files for file, _ in judged.rejected)


def _tells_of(entry: Entry, before: Before, container: str) -> bool:
    """Whether a status says something new of a container."""
    command = entry.command
    if not isinstance(command, c.PublishStatus):
        return False
    return _of_container(command.status, container) != _of_container(before, container)


def _of_container(status: Before, name: str) -> ContainerStatus | None:
    if status is None:
        return None
    everything = (*status.init_container_statuses, *status.container_statuses)
    return next((one for one in everything if one.name == name), None)
