"""The judge of a status in itself: what Kubernetes promises of phase, conditions and addresses.

Belongs here: rules that a single status must keep, and that a later one must keep towards it, by upstream's
pkg/kubelet/kubelet_pods.go (getPhase) and status/generate.go. May not be here: whether it is true of what
runs (`simtruth`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.ports.apiport import JsonObject
from minikubelet.simulation.simengine import WatchedEngine
from minikubelet.simulation.simloop import SECOND
from minikubelet.simulation.simwanted import NEVER, Book, Fail

OVER: Final = ("Succeeded", "Failed")
LATE: Final = 10 * SECOND


class Coherence:
    """Told of each status that is stored; `fail` is told what cannot be."""

    def __init__(self, engine: WatchedEngine, book: Book, fail: Fail) -> None:
        self._engine = engine
        self._book = book
        self._fail = fail
        self._over: dict[PodUid, tuple[str, int]] = {}
        self.forgotten_at = NEVER
        """when the disk last kept back what the agent knew"""
        self.jumped = False

    def told(self, uid: PodUid, slot: SlotKey, spec: JsonObject, status: JsonObject) -> None:
        """Judge a status by itself and by the one before."""
        whole = self.forgotten_at == NEVER
        wrongs = [*contradictions(spec, status, whole=whole), *self._addresses(uid, status)]
        wrongs += self._end(uid, status)
        if not self.jumped:
            wrongs += misdated(status)
        for wrong in wrongs:
            self._fail("incoherent-status", f"{slot} {uid}: {wrong}")

    def _addresses(self, uid: PodUid, status: JsonObject) -> Iterator[str]:
        for ip in (status.get("podIP"), *(each["ip"] for each in status.get("podIPs", ()))):
            if ip and ip not in self._engine.addresses.get(uid, ()):
                yield f"{ip} was never an address of it"

    def _end(self, uid: PodUid, status: JsonObject) -> Iterator[str]:
        """A pod that has come to its end stays there and runs no more, unless it came anew.

        Where the disk forgot that it came anew, what runs is found in one that has ended.
        """
        now, phase = self._engine.real.now(), status.get("phase")
        before, at = self._over.get(uid, ("", 0))
        running = [each["name"] for each in _all(status) if "running" in each["state"]]
        if phase in OVER and running and self.forgotten_at == NEVER:
            yield f"it is {phase}, and {running} run"
        ends = [each["state"].get("terminated") for each in status.get("containerStatuses", ())]
        well = bool(ends) and all(end is not None and not end["exitCode"] for end in ends)
        if phase == "Failed" and well and not status.get("reason") and self.forgotten_at == NEVER:
            yield "it has Failed, and all of its containers succeeded"
        wanted = self._book.pods.get(uid)
        # What was told last of its former life may have been on its way for a while.
        since = max(wanted.unwanted_at, wanted.cleaned_at, self.forgotten_at) if wanted is not None else now
        anew = since >= at - LATE
        if before and before != phase and not anew:
            yield f"it is told to be {phase} and has been {before}"
        if phase not in OVER:
            self._over.pop(uid, None)
        elif before != phase:
            self._over[uid] = (str(phase), now)


def _all(status: JsonObject) -> list[JsonObject]:
    return [*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())]


def contradictions(spec: JsonObject, status: JsonObject, *, whole: bool = True) -> Iterator[str]:
    """What cannot all be so in one status of a pod with this spec; `whole` if nothing of it was forgotten.

    What runs of a pod that came anew after its end, which the disk forgot, is stopped, and its phase stays.
    """
    phase = status.get("phase")
    conditions = {each["type"]: each["status"] for each in status.get("conditions", ())}
    mains: list[JsonObject] = list(status.get("containerStatuses", ()))
    inits: list[JsonObject] = list(status.get("initContainerStatuses", ()))
    if phase == "Failed" and not mains:
        return  # refused: nothing of it is told but that
    if sorted(each["name"] for each in mains) != sorted(each["name"] for each in spec["containers"]):
        yield f"it tells of containers {[each['name'] for each in mains]}"
    yield from _phase(phase, mains, inits, whole=whole)
    yield from _readiness(phase, conditions, mains, inits, spec)
    yield from _initialized(phase, conditions, mains, inits, spec)
    if conditions.get("PodScheduled") != "True":
        yield "a pod on a node is not told to be scheduled"
    for each in (*mains, *inits):
        yield from _states(each)


def _phase(phase: Any, mains: list[JsonObject], inits: list[JsonObject], *, whole: bool) -> Iterator[str]:
    ends = [each["state"].get("terminated") for each in mains]
    fresh = [each["name"] for each in mains if "waiting" in each["state"] and not _ended_before(each)]
    if phase == "Succeeded" and whole and any(end is None or end["exitCode"] for end in ends):
        yield f"it has Succeeded, and its containers have not: {ends}"
    if phase == "Running" and fresh:
        yield f"it is Running, and {fresh} have not begun"
    if phase == "Pending" and not fresh and not inits:
        yield "it is Pending, and each of its containers has begun"
    if phase not in (*OVER, "Running", "Pending"):
        yield f"there is no phase {phase}"


def _readiness(
    phase: Any,
    conditions: dict[str, str],
    mains: list[JsonObject],
    inits: list[JsonObject],
    spec: JsonObject,
) -> Iterator[str]:
    sidecars = [c["name"] for c in spec.get("initContainers", ()) if c.get("restartPolicy") == "Always"]
    counted = [*mains, *(each for each in inits if each["name"] in sidecars)]
    unready = [each["name"] for each in counted if not each["ready"]]
    ready = phase not in OVER and not unready
    for kind in ("ContainersReady",) if spec.get("readinessGates") else ("ContainersReady", "Ready"):
        if conditions.get(kind) != str(ready):
            yield f"{kind} is {conditions.get(kind)}; it is {phase}, not ready are {unready}"
    for each in counted:
        if each["ready"] and "running" not in each["state"]:
            yield f"{each['name']} is ready and does not run"
        if each["ready"] and not each.get("started"):
            yield f"{each['name']} is ready and has not started"


def _initialized(
    phase: Any,
    conditions: dict[str, str],
    mains: list[JsonObject],
    inits: list[JsonObject],
    spec: JsonObject,
) -> Iterator[str]:
    sidecars = [c["name"] for c in spec.get("initContainers", ()) if c.get("restartPolicy") == "Always"]
    begun = any(each.get("containerID") for each in mains)
    open_ones = [
        each["name"]
        for each in inits
        if not (each.get("started") if each["name"] in sidecars else _succeeded(each))
    ]
    told = conditions.get("Initialized")
    if begun and told != "True":
        yield f"Initialized is {told}, and a main container has begun"
    if told == "True" and open_ones and not begun and phase != "Succeeded":
        yield f"Initialized is True, and {open_ones} are not done"


def _succeeded(shown: JsonObject) -> bool:
    end = shown["state"].get("terminated")
    return end is not None and not end["exitCode"]


def _ended_before(shown: JsonObject) -> bool:
    return "terminated" in (shown.get("lastState") or {})


def _states(shown: JsonObject) -> Iterator[str]:
    states = list(shown["state"])
    if len(states) != 1:
        yield f"{shown['name']} is {states} at once"
    waiting = shown["state"].get("waiting", {})
    if waiting.get("reason") == "CrashLoopBackOff" and not _ended_before(shown):
        yield f"{shown['name']} is in CrashLoopBackOff and its last end is not told"


def misdated(status: JsonObject) -> Iterator[str]:
    """What ended before it began, which may be where somebody set the clock."""
    for shown in _all(status):
        for end in (shown["state"].get("terminated"), (shown.get("lastState") or {}).get("terminated")):
            if end and end.get("startedAt") and end.get("finishedAt", "") < end["startedAt"]:
                yield f"{shown['name']} ended at {end.get('finishedAt')}, before it began"
