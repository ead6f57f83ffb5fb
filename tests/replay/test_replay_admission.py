"""Why a pod that the node refuses, or does not take yet, does not start."""

from minikubelet.core.events import NodeSeen
from minikubelet.core.nodefacts import Taint
from minikubelet.model.ids import Source
from minikubelet.replay.sentences import of_event
from minikubelet.replay.whyguards import of_start
from minikubelet.replay.whyscene import Scene
from tests.core.core_world import SLOT, World, static_pod


def guards(world: World) -> list[str]:
    scene = Scene(world.reducer.slots[SLOT], world.reducer.node, world.now)
    return list(of_start(scene, world.generation(), ["web"]))


def test_a_refusal_is_given_with_the_nodes_reason() -> None:
    world = World(Source.API, api=True, node={"max_pods": 1})
    world.offer(static_pod(name="first", uid="b"), Source.API)
    world.offer(static_pod(), Source.API)
    (told,) = guards(world)
    assert told.startswith("the node has refused the pod: OutOfpods: ")


def test_labels_may_be_on_their_way() -> None:
    world = World(Source.API, api=True, node={"max_pods": 1})
    world.offer(static_pod(node_selector={"zone": "a"}), Source.API)
    assert any("may be on their way" in told for told in guards(world))


def test_what_the_node_object_shows_is_a_sentence() -> None:
    seen = NodeSeen(labels=(("a", "b"),), taints=(Taint("gone", "NoExecute"),))
    assert of_event(seen) == "the API server's Node has 1 labels and 1 taints"
