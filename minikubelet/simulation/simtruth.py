"""The judge of what the agent tells: no status that was never true, no pod released before its end.

Belongs here: what may be stored at the API server. May not be here: what is done to the engine (`simsafety`).
"""

from __future__ import annotations

from typing import Any

from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.ports.apiport import JsonObject
from minikubelet.simulation.simcoherence import Coherence
from minikubelet.simulation.simengine import Instance, WatchedEngine
from minikubelet.simulation.simprobejudge import ProbeJudge
from minikubelet.simulation.simwanted import Fail
from minikubelet.wire.podmarks import CONFIG_HASH, CONFIG_MIRROR


class Truth:
    """Told of everything that the agent stores; `fail` is told which promise was broken, and how."""

    def __init__(self, engine: WatchedEngine, probes: ProbeJudge, coherence: Coherence, fail: Fail) -> None:
        self._engine = engine
        self._coherence = coherence
        self._probes = probes
        self._fail = fail

    def stored(self, verb: str, pod: JsonObject) -> None:
        """What the agent tells was true once; what it deletes has ended."""
        meta = pod["metadata"]
        marks = meta.get("annotations") or {}
        mirror = marks.get(CONFIG_HASH) if CONFIG_MIRROR in marks else None
        slot = SlotKey(f"{meta['namespace']}/{meta['name']}")
        if verb == "delete" and mirror is None:
            self._released(PodUid(meta["uid"]), slot, pod)
        elif verb == "status":
            uid = PodUid(mirror or meta["uid"])
            self._coherence.told(uid, slot, pod["spec"], pod["status"])
            self._told_truth(uid, slot, pod["status"])

    def _released(self, uid: PodUid, slot: SlotKey, pod: JsonObject) -> None:
        for instance in self._engine.running():
            if instance.uid == uid:
                self._fail("released-early", f"{slot} leaves the API server while {instance.id} runs")
        if not pod["metadata"].get("deletionTimestamp"):
            self._fail("released-unasked", f"{slot} is deleted at the API server, and nobody asked for that")
        for status in (pod.get("status") or {}).get("containerStatuses", ()):
            if "running" in status.get("state", {}):
                self._fail("final-status", f"{slot} leaves the API server shown as running")

    def _told_truth(self, uid: PodUid, slot: SlotKey, status: JsonObject) -> None:
        inits = status.get("initContainerStatuses", ())
        for shown in (*status.get("containerStatuses", ()), *inits):
            self._told_last(uid, slot, shown)
            state: dict[str, Any] = shown.get("state") or {}
            found = shown.get("containerID", "").partition("://")[2]
            if not found:
                if "running" in state:
                    self._fail("untrue-status", f"{slot}: {shown['name']} runs without an id")
                continue
            made = self._engine.history.get(found, [])
            if not any(each.uid == uid for each in made):
                self._fail("untrue-status", f"{slot}: {found} is no container of {uid}")
                continue
            if "running" in state and not any(each.started_at for each in made):
                self._fail("untrue-status", f"{slot}: {found} is told to run and never did")
            if shown.get("restartCount", 0) != made[-1].attempt:
                self._fail("untrue-status", f"{slot}: restartCount is not {made[-1].attempt}")
            self._told_end(slot, made, state.get("terminated"))
            if "running" in state:
                self._probes.told(slot, made[-1], shown)
            elif shown.get("ready") and state and not (shown in inits and _succeeded(state)):
                self._fail("untrue-status", f"{slot}: {found} is told to be ready and not to run")

    def _told_last(self, uid: PodUid, slot: SlotKey, shown: JsonObject) -> None:
        """The end before the one that is told now was one of this container, and it ended so."""
        end = (shown.get("lastState") or {}).get("terminated")
        if end is None or not end.get("containerID"):
            return
        found = end["containerID"].partition("://")[2]
        made = [
            one for one in self._engine.history.get(found, []) if (one.uid, one.name) == (uid, shown["name"])
        ]
        if not made:
            self._fail("untrue-status", f"{slot}: lastState {found} is no {shown['name']} of {uid}")
            return
        if made[-1].attempt > shown.get("restartCount", 0):
            self._fail("untrue-status", f"{slot}: lastState {found} comes after {shown.get('containerID')}")
        self._told_end(slot, made, end)

    def _told_end(self, slot: SlotKey, made: list[Instance], end: dict[str, Any] | None) -> None:
        if end is None or end.get("reason") in ("ContainerStatusUnknown", "StartError"):
            return
        codes = [each.exit_code for each in made if each.ended_at]
        if codes and end.get("exitCode", 0) not in codes:
            self._fail("untrue-status", f"{slot}: {made[-1].id} ended with {codes}, told is {end}")
        if not codes and not any(each.gone for each in made):
            self._fail("untrue-status", f"{slot}: {made[-1].id} is told to have ended and runs")


def _succeeded(state: dict[str, Any]) -> bool:
    """As an init container is ready for good."""
    return "terminated" in state and not state["terminated"]["exitCode"]
