"""Bugs planted into the agent, each a small patch, to see that the judges can fail.

Belongs here: one function for each bug; it patches the real code through `monkeypatch`. Each was or could
have been a slip of somebody's; `BUGS` and `RARE` name them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest
from msgspec.structs import replace

from minikubelet.core import apply, draft, lifecycle, look, plan, plan_stop, plan_sync, step
from minikubelet.core.backoff import CRASH_INITIAL, SECOND
from minikubelet.core.behaviours import Behaviours
from minikubelet.core.events import AgentStarted, PodObserved
from minikubelet.core.restarts import restart_policy
from minikubelet.core.state import ContainerRecord, Generation, Slot, Stage
from minikubelet.journal.diskjournal import DiskJournal
from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.ports.sourceport import FileStatus
from minikubelet.reporting import slotbox
from minikubelet.runtimes.simulated.simulatedengine import SimulatedEngine
from minikubelet.runtimes.simulated.simulatedruntime import SimulatedRuntime
from minikubelet.shell.effects import Effects
from minikubelet.shell.inbox import Inbox
from minikubelet.shell.loop import Loop
from minikubelet.shell.observer import Observer
from minikubelet.shell.timers import Timers
from minikubelet.shell.vault import Vault
from minikubelet.simulation.simapi import SimApi
from minikubelet.simulation.simdisk import LifeDisk
from minikubelet.sources import filesource, manifestadvance
from minikubelet.sources.apisource import ApiSource

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def nothing(*_args: Any, **_options: Any) -> None:
    """Do nothing."""


async def nothing_yet(*_args: Any, **_options: Any) -> None:
    """Do nothing, after a while."""


def commit_waits_for_nobody(patch: Patch) -> None:
    patch.setattr(DiskJournal, "commit", nothing_yet)


def sync_is_skipped(patch: Patch) -> None:
    patch.setattr(LifeDisk, "fdatasync", nothing)


def effects_before_commit(patch: Patch) -> None:
    """The loop hands commands out while it writes them down."""
    decide = Loop._decide

    def hasty(self: Loop, event: Any) -> list[Any]:
        commands = decide(self, event)
        for command in commands:
            self._dispatch(command, self._clock.now())
        return []

    patch.setattr(Loop, "_decide", hasty)


def time_is_read_twice(patch: Patch) -> None:
    """What is decided at one moment is written down with another."""
    decide = Loop._decide

    def later(self: Loop, event: Any) -> list[Any]:
        clock = self._clock

        class Ahead:
            def now(self) -> int:
                return clock.now() + 2 * SECOND

        reducer, before = self.reducer, self.reducer.decide
        setattr(reducer, "decide", lambda seq, _at, event: before(seq, Ahead().now(), event))  # noqa: B010 - mypy lets no method be assigned
        try:
            return decide(self, event)
        finally:
            setattr(reducer, "decide", before)  # noqa: B010 - mypy lets no method be assigned

    patch.setattr(Loop, "_decide", later)


def back_off_is_forgotten_at_once(patch: Patch) -> None:
    patch.setattr(lifecycle, "delay_after_run", lambda delay, ran_for: 0 if ran_for > SECOND else delay)


def back_off_does_not_grow(patch: Patch) -> None:
    patch.setattr(lifecycle, "next_crash_delay", lambda _delay: CRASH_INITIAL)


def relist_is_skipped(patch: Patch) -> None:
    """Events are trusted: after the first list, nobody looks at everything again."""
    everything = Observer._look_at_all

    async def once(self: Observer) -> None:
        if self._listed:
            self._all = False
            return
        await everything(self)

    patch.setattr(Observer, "_look_at_all", once)


def order_of_looks_is_trusted(patch: Patch) -> None:
    """A look that began long ago counts as if it had begun now."""
    observe = look.observe
    newest = 1 << 60

    def trusting(slot: Slot, event: PodObserved, now: Any) -> Slot:
        seen = observe(replace(slot, looked=0), replace(event, after=newest), now)
        return replace(seen, looked=0)

    patch.setattr(apply, "observe", trusting)


def what_looks_as_before_is_not_told(patch: Patch) -> None:
    """As if a pod could only change in a way that is seen: nothing comes and goes between two looks."""

    def told_so(self: Observer, _slot: Any, pod: Any) -> bool:
        return bool(self._shown.get(pod.uid, (None, 0))[0] == pod)

    patch.setattr(Observer, "_still_known", told_so)
    patch.setattr(Observer, "look", nothing)


def decided_before_the_runtime_was_listed(patch: Patch) -> None:
    step_node = step.step_node

    def hasty(node: Any, event: Any, now: Any) -> Any:
        made = step_node(node, event, now)
        return replace(made, listed=True) if isinstance(event, AgentStarted) else made

    def forgetful(gen: Generation) -> Generation:
        return replace(new_life(gen), sandbox=None, sandbox_attempt=gen.sandbox_attempt + 1)

    new_life = step._new_life_of
    patch.setattr("minikubelet.core.reducer.step_node", hasty)
    patch.setattr(step, "_new_life_of", forgetful)


def removed_before_sources_are_seen(patch: Patch) -> None:
    patch.setattr(plan, "_synced", lambda _gen, _node: True)


def grace_is_ignored(patch: Patch) -> None:
    patch.setattr(plan_stop, "_grace_left", lambda *_: 0)


def grace_is_ignored_on_update(patch: Patch) -> None:
    patch.setattr(lifecycle, "grace_of", lambda _gen: 0)


def last_good_manifest_is_dropped(patch: Patch) -> None:
    judge = manifestadvance._judge

    def strict(entry: Any, old: Any) -> Any:
        return judge(entry, None) if old is None or entry.reading.errors else judge(entry, old)

    patch.setattr(manifestadvance, "_judge", strict)


def unreadable_is_gone(patch: Patch) -> None:
    hold = manifestadvance._hold

    def strict(before: Any, listing: Any, *, complete: bool) -> Any:
        held = hold(before, listing, complete=complete)
        return {k: v for k, v in held.items() if v.status is not FileStatus.UNREADABLE}

    patch.setattr(manifestadvance, "_hold", strict)


def missing_folder_is_empty(patch: Patch) -> None:
    advance = manifestadvance.advance
    patch.setattr(
        filesource,
        "advance",
        lambda state, listing, *, now: advance(state, replace(listing, problem=""), now=now),
    )


def next_generation_does_not_wait(patch: Patch) -> None:
    patch.setattr(plan, "waits_for", lambda *_: None)


def restart_policy_is_ignored(patch: Patch) -> None:
    patch.setattr(plan_sync, "will_restart", lambda _gen, _record, _behaviours: True)
    patch.setattr(plan_sync, "finished", lambda _gen, _behaviours: False)


def failures_are_not_restarted(patch: Patch) -> None:
    def again(gen: Generation, record: ContainerRecord, _behaviours: Behaviours) -> bool:
        return record.again or restart_policy(gen) == "Always"

    patch.setattr(plan_sync, "will_restart", again)


def released_with_containers(patch: Patch) -> None:
    """An API pod is let go as soon as its end begins."""
    release = plan._release

    def hasty(slot: Slot, made: Any) -> Slot:
        before = slot
        for gen in slot.generations:
            if gen.ending is not None and gen.offered:
                slot = slot.put(replace(gen, stage=Stage.CLEANED))
        done = release(slot, made)
        for gen in before.generations:
            found = done.find(gen.uid)
            if found is not None:
                done = done.put(replace(found, stage=gen.stage))
        return done

    patch.setattr(plan, "_release", hasty)


def final_status_comes_last(patch: Patch) -> None:
    next_call = slotbox.SlotBox.next_call

    def hasty(self: slotbox.SlotBox) -> Any:
        for uid in self.releases:
            return slotbox.ReleasePod(uid)
        return next_call(self)

    patch.setattr(slotbox.SlotBox, "next_call", hasty)


def deletion_names_no_uid(patch: Patch) -> None:
    """Whoever has the name by then is released in the place of who had it before."""
    delete = SimApi.delete
    patch.setattr(SimApi, "delete", lambda self, key, grace, _uid: delete(self, key, grace, None))


def status_names_no_uid(patch: Patch) -> None:
    """Whoever has the name now is told the status of who had it before."""
    send = SimApi.patch_status

    def careless(self: SimApi, key: SlotKey, told: Any) -> Any:
        now = self.get(key)["metadata"]["uid"]
        return send(self, key, {**told, "metadata": {**told["metadata"], "uid": now}})

    patch.setattr(SimApi, "patch_status", careless)


def mirrors_are_never_outdated(patch: Patch) -> None:
    patch.setattr(plan, "_existing_mirror", lambda slot, *_args, **_options: slot)


def mirrors_are_not_made_again(patch: Patch) -> None:
    patch.setattr(apply, "_mirror_gone", lambda slot, _event, _now: slot)


def dead_sandboxes_stay(patch: Patch) -> None:
    patch.setattr(plan_sync, "remove_sandbox", lambda gen, *_args: gen)


def nothing_is_tried_again(patch: Patch) -> None:
    held_back = draft.Draft.held_back
    patch.setattr(
        draft.Draft,
        "held_back",
        lambda self, gen, lane: lane in gen.retries or held_back(self, gen, lane),
    )


def timers_never_fire(patch: Patch) -> None:
    patch.setattr(Timers, "arm", nothing)


def failed_starts_had_no_effect(patch: Patch) -> None:
    class Every:
        def __contains__(self, _reason: object) -> bool:
            return True

    patch.setattr(apply, "NEVER_MADE", Every())


def definition_is_forgotten_too_early(patch: Patch) -> None:
    patch.setattr(Vault, "offered", lambda _self, _uid: False)


def definitions_are_kept_for_ever(patch: Patch) -> None:
    patch.setattr(Vault, "offered", lambda _self, _uid: True)


def status_is_not_told_again_after_a_restart(patch: Patch) -> None:
    new_life = step._new_life_of
    patch.setattr(step, "_new_life_of", lambda gen: replace(new_life(gen), told=gen.told))


def commands_of_an_earlier_life_are_awaited(patch: Patch) -> None:
    new_life = step._new_life_of
    patch.setattr(step, "_new_life_of", lambda gen: replace(new_life(gen), pending=gen.pending))


def foreign_containers_are_ours(patch: Patch) -> None:
    def every(self: SimulatedEngine, node: str, uid: PodUid | None) -> Sequence[Any]:
        others = [] if node == "stranger" else pods(self, "stranger", uid)
        return [*pods(self, node, uid), *others]

    pods = SimulatedEngine.pods
    patch.setattr(SimulatedEngine, "pods", every)
    patch.setattr(SimulatedRuntime, "_owns", lambda _self, _sandbox: True)


def a_changed_container_is_left_alone(patch: Patch) -> None:
    patch.setattr(plan_sync, "_changed", lambda _gen, _record: False)


def withdrawals_are_lost(patch: Patch) -> None:
    """A pod that the watch says is gone is forgotten by the source, and nobody is told."""
    patch.setattr(ApiSource, "_drop", lambda _self, _uid: ())


def newer_definitions_do_not_replace_older_ones(patch: Patch) -> None:
    """The inbox keeps the first unread definition of a slot, and drops the newer one."""
    patch.setattr(Inbox, "_replace", lambda self, event: (event.source, event.slot) in self._specs)


def a_clean_up_is_never_reported(patch: Patch) -> None:
    carry_out = Effects._clean_up

    async def silent(self: Effects, command: Any) -> Any:
        done = await carry_out(self, command)
        return replace(done, uid=PodUid("nobody"))

    patch.setattr(Effects, "_clean_up", silent)


BUGS: Final[tuple[Callable[[Patch], None], ...]] = (
    commit_waits_for_nobody,
    sync_is_skipped,
    effects_before_commit,
    time_is_read_twice,
    back_off_is_forgotten_at_once,
    back_off_does_not_grow,
    relist_is_skipped,
    order_of_looks_is_trusted,
    what_looks_as_before_is_not_told,
    decided_before_the_runtime_was_listed,
    removed_before_sources_are_seen,
    grace_is_ignored,
    grace_is_ignored_on_update,
    last_good_manifest_is_dropped,
    unreadable_is_gone,
    missing_folder_is_empty,
    next_generation_does_not_wait,
    restart_policy_is_ignored,
    failures_are_not_restarted,
    released_with_containers,
    final_status_comes_last,
    status_names_no_uid,
    mirrors_are_never_outdated,
    mirrors_are_not_made_again,
    dead_sandboxes_stay,
    nothing_is_tried_again,
    timers_never_fire,
    definitions_are_kept_for_ever,
    status_is_not_told_again_after_a_restart,
    commands_of_an_earlier_life_are_awaited,
    foreign_containers_are_ours,
    a_changed_container_is_left_alone,
    withdrawals_are_lost,
    a_clean_up_is_never_reported,
    definition_is_forgotten_too_early,
    newer_definitions_do_not_replace_older_ones,
)

RARE: Final[tuple[Callable[[Patch], None], ...]] = (
    failed_starts_had_no_effect,
    deletion_names_no_uid,
)
"""Found in fewer than one of a hundred seeds: too rare for the suite."""
