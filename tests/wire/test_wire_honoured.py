"""Fields that have no effect yet are named; those that have one are not."""

from typing import Any

import msgspec
import pytest

from minikubelet.model.pod import Pod
from minikubelet.wire.honoured import not_honoured


def named(volume: dict[str, Any] | None = None, **spec: Any) -> tuple[str, ...]:
    volumes = [{"name": "v", **volume}] if volume else []
    body = {"spec": {"containers": [{"name": "c", "image": "i"}], "volumes": volumes, **spec}}
    return not_honoured(msgspec.convert(body, Pod))


@pytest.mark.parametrize(
    "volume",
    [
        {"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {"configMap": {"name": "c", "items": [{"key": "k", "path": "p", "mode": 0o400}], "optional": True}},
        {"secret": {"secretName": "s", "defaultMode": 0o400}},
        {"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"projected": {"sources": [{"serviceAccountToken": {"path": "t", "audience": "a"}}]}},
        {"hostPath": {"path": "/x", "type": "Socket"}},
    ],
)
def test_volumes_that_are_made(volume: dict[str, Any]) -> None:
    assert named(volume) == ()


@pytest.mark.parametrize(
    ("volume", "field"),
    [
        ({"emptyDir": {"sizeLimit": "1Mi"}}, "spec.volumes[].emptyDir.sizeLimit"),
        ({"persistentVolumeClaim": {"claimName": "c"}}, "spec.volumes[].persistentVolumeClaim"),
        ({"nfs": {"server": "s"}}, "spec.volumes[].nfs"),
        (
            {"projected": {"sources": [{"clusterTrustBundle": {"path": "p"}}]}},
            "spec.volumes[].projected.sources[].clusterTrustBundle",
        ),
    ],
)
def test_volumes_that_are_not(volume: dict[str, Any], field: str) -> None:
    assert named(volume) == (field,)


def test_settings_of_the_pod() -> None:
    context = {"fsGroup": 1, "fsGroupChangePolicy": "OnRootMismatch"}
    assert named(securityContext=context, setHostnameAsFQDN=True) == ()
    assert named(runtimeClassName="r") == ("spec.runtimeClassName",)


def test_what_needs_others_to_take_part_is_named() -> None:
    gates: list[dict[str, Any]] = [{"conditionType": "x/y"}]
    assert named(readinessGates=gates, resourceClaims=[{"name": "r"}]) == ("spec.resourceClaims",)
    container = {"name": "c", "image": "i", "resizePolicy": [{"resourceName": "cpu"}]}
    assert named(containers=[container]) == ("spec.containers[].resizePolicy",)


def test_rules_that_restart_all_containers_are_named() -> None:
    rules = [
        {"action": action, "exitCodes": {"operator": "In"}} for action in ("Restart", "RestartAllContainers")
    ]
    mine = {"name": "c", "image": "i", "restartPolicy": "Never"}
    assert named(containers=[{**mine, "restartPolicyRules": rules[:1]}]) == ()
    expected = ("spec.containers[].restartPolicyRules[].action",)
    assert named(containers=[{**mine, "restartPolicyRules": rules}]) == expected


def test_placement_and_overhead_are_honoured() -> None:
    required = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "k", "operator": "Exists"}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    tolerations = [{"operator": "Exists"}]
    placed = named(affinity=affinity, nodeSelector={"a": "b"}, tolerations=tolerations)
    assert placed == named(overhead={"cpu": "1"}) == ()
