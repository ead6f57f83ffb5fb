"""What keeps a pod on the node at a moment, read from the state.

Belongs here: one sentence for each guard of a deletion. May not be here: those of starts and readiness
(`whyguards`).
"""

from __future__ import annotations

from collections.abc import Iterator

from minikubelet.core.commands import NEXT_SANDBOX
from minikubelet.core.state import Generation, Stage
from minikubelet.model.ids import Source
from minikubelet.replay.sentences import is_folder, of_origin
from minikubelet.replay.whyguards import of_node
from minikubelet.replay.whyscene import FROM, Scene, next_try, times, what_is_left


def of_deletion(scene: Scene, gen: Generation) -> Iterator[str]:
    """What keeps a pod on the node."""
    yield from of_node(scene)
    if gen.offered and (gen.ending is None or not gen.ending.remove):
        origin = f" ({of_origin(gen.origin)})" if gen.origin else ""
        yield f"{FROM[gen.source]} still holds it{origin}"
        return
    if gen.ending is None or not gen.ending.remove:
        yield from _unclaimed(scene, gen)
        return
    if gen.stage is Stage.CLEANED:
        yield "nothing is left on the node; it waits for the API server to let the object go"
        return
    left = what_is_left(gen, scene)
    if left:
        yield f"it is ending{left}"
    for lane, retry in gen.retries.items():
        if lane == NEXT_SANDBOX:
            continue
        yield f"{lane}: failed {times(retry.tries)}: {retry.message}{next_try(retry.until, scene.now)}"


def _unclaimed(scene: Scene, gen: Generation) -> Iterator[str]:
    node = scene.node
    waiting = [s for s in node.sources if s not in node.synced and gen.source in (None, s)]
    for source in waiting:
        yield f"{FROM[source]} has not been listed yet: whether it still holds the pod is not known"
    if node.rejected and gen.source in (None, Source.FILE):
        folder = next(filter(is_folder, scene.rejected), "")
        names = f" ({', '.join(scene.rejected)})" if scene.rejected else ""
        if folder:
            yield f"the folder {folder} cannot be used, and the pod may stand in it"
        else:
            broken = f"{node.rejected} broken manifest(s){names}"
            yield f"{broken} hold cleanup back: the pod may stand in one of them"
