"""Bugs planted where failures are taken for answers, and in what an outage or a crash takes along.

Belongs here: one function for each bug, as in `planted`; it patches the real code through `monkeypatch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest
from msgspec.structs import replace

from minikubelet.apiclient.apierrors import ApiUnreachable
from minikubelet.core import lifecycle, look, plan, plan_stop, plan_sync
from minikubelet.core.commands import StopContainer
from minikubelet.core.events import ContainerStopped
from minikubelet.core.state import Generation, record_of
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.reporting.outbox import ApiOutbox
from minikubelet.reporting.podcalls import Answer, Outcome
from minikubelet.reporting.slotbox import SlotBox
from minikubelet.shell.effects import Effects
from minikubelet.shell.loop import Loop
from minikubelet.shell.recovery import recover
from minikubelet.simulation import simfolder, simlife
from minikubelet.simulation.simruntime import LifeRuntime
from minikubelet.sources.apisource import ApiSource
from minikubelet.wire import records
from tests.simulation.planted import Patch, Plant


def a_list_that_failed_is_empty(patch: Patch) -> None:
    """An engine that does not answer has no pods."""
    list_pods = LifeRuntime.list_pods

    async def hopeful(self: LifeRuntime, uid: Any = None) -> Sequence[Any]:
        try:
            return await list_pods(self, uid)
        except RuntimeFault:
            return ()

    patch.setattr(LifeRuntime, "list_pods", hopeful)


def a_stop_that_failed_has_stopped(patch: Patch) -> None:
    fault = Effects._fault

    def hopeful(self: Effects, command: Any, said: RuntimeFault) -> Any:
        if not isinstance(command, StopContainer):
            return fault(self, command, said)
        named = {key: getattr(command, key) for key in ("slot", "uid", "container", "container_id")}
        return ContainerStopped(**named, exit_code=137, reason="Error")

    patch.setattr(Effects, "_fault", hopeful)


def a_second_deletion_begins_the_grace_anew(patch: Patch) -> None:
    ending = lifecycle.ending

    def anew(gen: Generation, reason: Any, **options: Any) -> Generation:
        return ending(replace(gen, ending=None), reason, **options)

    patch.setattr(lifecycle, "ending", anew)


def containers_do_not_wait_for_init(patch: Patch) -> None:
    init = plan_sync._init
    patch.setattr(plan_sync, "_init", lambda *args: (init(*args)[0], True))


def sidecars_end_with_all_others(patch: Patch) -> None:
    patch.setattr(plan_stop, "is_sidecar", lambda _container: False)


def an_old_look_outweighs_an_answer(patch: Patch) -> None:
    """What was seen before a container was started counts as if it had been seen after."""
    patch.setattr(look, "record_of", lambda gen, name: replace(record_of(gen, name), as_of=0))


def a_mirror_outlives_its_pod(patch: Patch) -> None:
    patch.setattr(plan, "_orphaned", lambda *_: False)


def a_broken_file_holds_nothing_back(patch: Patch) -> None:
    """What ran in an earlier life is removed though the file that may define it is broken now."""
    unclaimed = plan._unclaimed
    patch.setattr(
        plan,
        "_unclaimed",
        lambda slot, gen, node, now: unclaimed(slot, gen, replace(node, rejected=0), now),
    )


def a_list_drops_nothing(patch: Patch) -> None:
    """Pods that went while the watch was down are not noticed: only the watch says that one is gone."""
    replace_all = ApiSource._replace

    def forgetful(self: ApiSource, items: Any) -> Any:
        with pytest.MonkeyPatch.context() as within:
            within.setattr(ApiSource, "_drop", lambda _self, _uid: ())
            return replace_all(self, items)

    patch.setattr(ApiSource, "_replace", forgetful)


def backups_are_manifests(patch: Patch) -> None:
    patch.setattr(simfolder, "is_backup", lambda _name: False)


def what_is_told_in_an_outage_is_lost(patch: Patch) -> None:
    call = ApiOutbox._call

    async def once(self: ApiOutbox, slot: Any, told: Any) -> Answer:
        try:
            return await call(self, slot, told)
        except ApiUnreachable:
            return Answer(Outcome.GONE)

    patch.setattr(ApiOutbox, "_call", once)


def any_mirror_is_told_any_status(patch: Patch) -> None:
    """The mirror of the pod before an edit is told how the one after it fares."""

    def careless(self: SlotBox) -> Any:
        if self.mirror is not None:
            for uid in self.static:
                self.static[uid] = self.mirror[1]
        return status_of(self)

    status_of = SlotBox._status_of_mirror
    patch.setattr(SlotBox, "_status_of_mirror", careless)


def records_behind_the_snapshot_are_not_read(patch: Patch) -> None:
    def hasty(opened: Any) -> Any:
        for _ in opened.records:
            pass
        return recover(replace(opened, records=()))

    patch.setattr(simlife, "recover", hasty)


def snapshots_are_a_turn_old(patch: Patch) -> None:
    """The state at a segment's head is that from before the last batch of events."""
    turn = Loop.turn

    async def late(self: Loop, events: Any) -> None:
        vars(self)["before"] = self.reducer.snapshot()
        await turn(self, events)

    async def snapshot(self: Loop) -> None:
        self._since_snapshot = 0
        old = vars(self).get("before", self.reducer.snapshot())
        body = records.encode_snapshot(replace(old, seq=self.reducer.seq))
        await self._journal.begin_segment(body, self._journal.next_seq - 1)

    patch.setattr(Loop, "turn", late)
    patch.setattr(Loop, "snapshot", snapshot)


SLIPS: Final[tuple[Plant, ...]] = (
    a_list_that_failed_is_empty,
    a_stop_that_failed_has_stopped,
    a_second_deletion_begins_the_grace_anew,
    containers_do_not_wait_for_init,
    sidecars_end_with_all_others,
    an_old_look_outweighs_an_answer,
    a_mirror_outlives_its_pod,
    a_broken_file_holds_nothing_back,
    a_list_drops_nothing,
    backups_are_manifests,
    what_is_told_in_an_outage_is_lost,
    any_mirror_is_told_any_status,
    records_behind_the_snapshot_are_not_read,
    snapshots_are_a_turn_old,
)
