"""AppArmor: which profile holds, and pods that ask for it are refused where the host has none."""

from collections.abc import Mapping

import pytest
from msgspec.structs import replace

from minikubelet.core.apparmor import ANNOTATION, profile_of
from minikubelet.model.ids import Source
from minikubelet.model.pod import AppArmorProfile, Pod, PodSecurityContext, SecurityContext
from tests.core.core_world import World, container, static_pod

DEFAULT = AppArmorProfile(type="RuntimeDefault")
LOCAL = AppArmorProfile(type="Localhost", localhost_profile="mine")
FREE = AppArmorProfile(type="Unconfined")


def profiled(
    own: AppArmorProfile | None = None,
    whole: AppArmorProfile | None = None,
    notes: Mapping[str, str] | None = None,
) -> Pod:
    main = container(security_context=SecurityContext(app_armor_profile=own) if own else None)
    pod = static_pod(main, security_context=PodSecurityContext(app_armor_profile=whole) if whole else None)
    kept = {
        **pod.metadata.annotations,
        **{f"{ANNOTATION}{name}": text for name, text in (notes or {}).items()},
    }
    return replace(pod, metadata=replace(pod.metadata, annotations=kept))


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (profiled(), None),
        (profiled(whole=LOCAL), LOCAL),
        (profiled(own=FREE, whole=LOCAL), FREE),
        (profiled(notes={"web": "runtime/default"}), DEFAULT),
        (profiled(notes={"web": "localhost/mine"}), LOCAL),
        (profiled(notes={"web": "unconfined"}, whole=DEFAULT), FREE),
        (profiled(notes={"web": "localhost/mine"}, own=DEFAULT), DEFAULT),
        (profiled(notes={"web": "localhost/"}), None),
        (profiled(notes={"other": "localhost/mine"}), None),
    ],
)
def test_the_containers_field_goes_before_the_annotation_and_that_before_the_pods(
    pod: Pod, expected: AppArmorProfile | None
) -> None:
    assert profile_of(pod, pod.spec.containers[0]) == expected


def reason(pod: Pod, *, lacks: bool) -> tuple[str, str]:
    world = World(Source.API, api=True, node={"max_pods": 9, "lacks_apparmor": lacks})
    world.offer(pod, Source.API)
    world.run_until_idle()
    return world.status().reason, world.status().message


@pytest.mark.parametrize(
    "pod",
    [
        profiled(own=DEFAULT),
        profiled(whole=LOCAL),
        profiled(own=FREE, whole=DEFAULT),
        profiled(notes={"web": "runtime/default"}),
    ],
)
def test_a_pod_that_wants_a_profile_is_refused_where_there_is_no_apparmor(pod: Pod) -> None:
    message = "Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host"
    assert reason(pod, lacks=True) == ("AppArmor", message)
    assert reason(pod, lacks=False) == ("", "")


@pytest.mark.parametrize("pod", [profiled(), profiled(own=FREE, whole=FREE, notes={"web": "unconfined"})])
def test_a_pod_without_a_profile_runs_where_there_is_no_apparmor(pod: Pod) -> None:
    assert reason(pod, lacks=True) == ("", "")
