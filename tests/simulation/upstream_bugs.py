"""What went wrong in upstream's kubelet, planted here: one patch for each regression, as in `planted`.

Belongs here: what each issue says the kubelet did. May not be here: the scenarios, which are tests.
"""

from __future__ import annotations

from typing import Any, Final

from minikubelet.core import draft, merge, plan
from minikubelet.core.state import Generation, Slot
from minikubelet.model.ids import Source
from minikubelet.reporting.slotbox import SlotBox
from minikubelet.shell.recovery import recover
from minikubelet.simulation import simlife
from tests.simulation.planted import (
    Patch,
    Plant,
    next_generation_does_not_wait,
    order_of_looks_is_trusted,
    relist_is_skipped,
)
from tests.simulation.planted_probes import start_up_is_asked_again_after_a_restart
from tests.simulation.planted_slips import an_old_look_outweighs_an_answer, backups_are_manifests


def old_pods_stay_until_all_sources_are_seen(patch: Patch) -> None:
    """What ran before is no business of the new definition's, and is ended once the API server was listed."""
    unclaimed = plan._unclaimed

    def late(slot: Slot, gen: Generation, node: Any, now: Any) -> Generation:
        return unclaimed(slot, gen, node, now) if node.all_synced else gen

    patch.setattr(plan, "_unclaimed", late)
    set_pod = merge._set

    def beside(slot: Slot, event: Any, now: Any) -> Slot:
        made = set_pod(slot, event, now)
        for gen in made.generations:
            before = slot.find(gen.uid)
            if gen.uid != event.uid and before is not None and not before.offered:
                made = made.put(before)
        return made

    patch.setattr(merge, "_set", beside)
    next_generation_does_not_wait(patch)


def an_end_that_failed_is_not_tried_again(patch: Patch) -> None:
    """An error of the engine is the last word of a pod that ends and that no source holds any more."""
    held_back = draft.Draft.held_back

    def deaf(self: draft.Draft, gen: Generation, lane: str) -> bool:
        return (gen.ending is not None and not gen.offered and lane in gen.retries) or held_back(
            self, gen, lane
        )

    patch.setattr(draft.Draft, "held_back", deaf)


def a_damaged_state_keeps_the_agent_from_starting(patch: Patch) -> None:
    def strict(opened: Any) -> Any:
        if opened.survey.damage:
            raise ValueError(
                f"could not restore the state: {opened.survey.damage[0]}; delete it, and start again"
            )
        return recover(opened)

    patch.setattr(simlife, "recover", strict)


def a_pod_waits_for_the_deletion_of_its_mirror(patch: Patch) -> None:
    waits_for = plan.waits_for

    def patient(slot: Slot, gen: Generation, node: Any) -> Generation | None:
        outdated = slot.mirror is not None and slot.mirror.hash != plan.config_hash(gen)
        return gen if gen.source is Source.FILE and outdated else waits_for(slot, gen, node)

    patch.setattr(plan, "waits_for", patient)


def a_mirror_made_again_is_told_nothing(patch: Patch) -> None:
    """What was told the mirror before counts as told."""

    def has(self: SlotBox, uid: Any, _object_uid: Any, status: Any) -> bool:
        return uid in self.sent and self.sent[uid].status == status

    patch.setattr(SlotBox, "_has", has)


def an_edit_while_the_pod_ends_is_lost(patch: Patch) -> None:
    patch.setattr(merge, "comes_back", lambda _gen: False)


UPSTREAM: Final[dict[str, Plant]] = {
    "112814": old_pods_stay_until_all_sources_are_seen,
    "113145": an_end_that_failed_is_not_tried_again,
    "121003": an_old_look_outweighs_an_answer,
    "121796": relist_is_skipped,
    "129355": order_of_looks_is_trusted,
    "84783": a_damaged_state_keeps_the_agent_from_starting,
    "135711": a_damaged_state_keeps_the_agent_from_starting,
    "139502": a_pod_waits_for_the_deletion_of_its_mirror,
    "137309": a_mirror_made_again_is_told_nothing,
    "134908": an_edit_while_the_pod_ends_is_lost,
    "133579": start_up_is_asked_again_after_a_restart,
    "136962": backups_are_manifests,
}
"""By the number of the issue, or pull request, at kubernetes/kubernetes."""
