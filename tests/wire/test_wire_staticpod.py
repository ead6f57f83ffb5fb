"""Static pods: identity, defaults, hashes, mirror pods, and pods from an API server."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from typing import Any

import msgspec
import pytest

from minikubelet.model.pod import Pod
from minikubelet.wire.containerhash import container_hash
from minikubelet.wire.defaults import default_pull_policy, with_defaults
from minikubelet.wire.pod_codec import UnreadablePod, decode_pod, encode_pod, static_hash, to_mirror
from minikubelet.wire.staticpod import to_static_pod
from tests.wire.wire_world import accepted, changed, small_pod

C = "spec.containers.0"


def test_a_static_pod_is_marked_as_upstream_marks_it() -> None:
    """Name, uid, annotations, node, toleration and priority of the contract; `config.seen` is not ours."""
    pod = accepted(small_pod())
    meta, spec = pod.metadata, pod.spec
    assert (meta.name, meta.namespace, spec.node_name) == ("web-node-1", "kube-system", "Node-1")
    assert meta.annotations == {
        "kubernetes.io/config.source": "file",
        "kubernetes.io/config.hash": meta.uid,
    }
    assert [(one.operator, one.effect, one.key) for one in spec.tolerations] == [("Exists", "NoExecute", "")]
    assert (spec.priority_class_name, spec.priority) == ("system-node-critical", 2_000_001_000)


def test_the_uid_follows_from_node_and_content_only() -> None:
    """An edit is a new pod; another file's name, order of keys, spelling or second reading is not."""
    uid = accepted(small_pod()).metadata.uid
    assert len(uid) == 32
    assert int(uid, 16) >= 0
    assert accepted(dict(reversed(small_pod().items()))).metadata.uid == uid
    assert accepted(changed("metadata.namespace", "kube-system")).metadata.uid == uid
    assert accepted(changed("metadata.uid", "other")).metadata.uid == uid
    others = [
        accepted(small_pod(), node_name="other").metadata.uid,
        accepted(changed("metadata.namespace", "default")).metadata.uid,
        accepted(changed("metadata.labels.app", "web2")).metadata.uid,
        accepted(changed(f"{C}.image", "busybox:1.37")).metadata.uid,
        accepted(changed(f"{C}.env", [{"name": "A", "value": "1"}])).metadata.uid,
    ]
    assert len({uid, *others}) == len(others) + 1


def test_making_a_copy_of_a_static_pod_static_does_not_carry_its_marks() -> None:
    """As with `kubectl get pod -o yaml > manifest`: another agent's marks are dropped."""
    once = accepted(small_pod())
    copied = encode_pod(once)
    copied["metadata"]["annotations"]["kubernetes.io/config.mirror"] = "x"
    copied["metadata"]["annotations"]["kubernetes.io/config.seen"] = "y"
    again = accepted(copied)
    assert set(again.metadata.annotations) == {"kubernetes.io/config.source", "kubernetes.io/config.hash"}
    assert again.metadata.annotations["kubernetes.io/config.hash"] == again.metadata.uid
    assert len(again.spec.tolerations) == 1


_ASK = """
import json, sys
from minikubelet.wire.containerhash import container_hash
from minikubelet.wire.manifest import read_manifest
data = sys.stdin.buffer.read()
pod = read_manifest(data, name="f", node_name="n", namespace="s").pods[0].pod
print(pod.metadata.uid, container_hash(pod.spec.containers[0]))
"""


@pytest.mark.parametrize("seed", ["0", "1", "4711"])
def test_hashes_do_not_depend_on_the_process(seed: str) -> None:
    """The same uid and container hash in any process, whatever the seed of its hashes."""
    pod = changed("metadata.labels", {f"key{n}": str(n) for n in range(20)})
    here = to_static_pod(msgspec.convert(pod, Pod), node_name="n", namespace="s")
    asked = subprocess.run(
        [sys.executable, "-c", _ASK],
        input=json.dumps(pod).encode(),
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert asked.stdout.decode().split() == [here.metadata.uid, container_hash(here.spec.containers[0])]


def test_hashes_are_those_of_this_release() -> None:
    """A change here restarts every container and renews every static pod at an upgrade: it must be meant."""
    pod = accepted(small_pod())
    assert pod.metadata.uid == "9c9f18d49caade8fb489631ad89667f8"
    assert container_hash(pod.spec.containers[0]) == "125ff6ff6e4bfbd8"


def test_a_container_hash_covers_every_field() -> None:
    """Changed in any way, a container is another."""
    changes: list[tuple[str, object]] = [
        ("image", "b"), ("command", ["a"]), ("args", ["a"]), ("workingDir", "/a"), ("tty", True),
        ("env", [{"name": "A", "value": "1"}]), ("env", [{"name": "A", "value": "2"}]),
        ("resources", {"limits": {"cpu": "1"}}), ("imagePullPolicy", "Never"),
        ("volumeMounts", [{"name": "data", "mountPath": "/a"}]),
        ("readinessProbe", {"tcpSocket": {"port": 1}}),
    ]  # fmt: skip
    hashes = {
        container_hash(accepted(changed(f"{C}.{key}", value)).spec.containers[0]) for key, value in changes
    }
    assert len(hashes) == len(changes)
    assert all(len(one) == 16 for one in hashes)


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("a", "Always"), ("a:latest", "Always"), ("a:1", "IfNotPresent"), ("h:5000/a", "Always"),
        ("h:5000/a:1", "IfNotPresent"),
        ("a@sha256:00", "IfNotPresent"), ("a:latest@sha256:00", "IfNotPresent"),
    ],
)  # fmt: skip
def test_images_are_pulled_by_their_tag(image: str, policy: str) -> None:
    assert default_pull_policy(image) == policy


def test_defaults_are_the_api_servers_and_filling_in_twice_changes_nothing() -> None:
    """Probes, ports, hooks, volumes and the pod's own."""
    manifest = small_pod()
    file = {"path": "a", "fieldRef": {"fieldPath": "metadata.uid"}}
    manifest["spec"]["containers"][0] |= {
        "ports": [{"containerPort": 1}],
        "livenessProbe": {"httpGet": {"port": 1}},
        "resources": {"limits": {"cpu": 1, "memory": 1}, "requests": {"cpu": "500m"}},
        "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    }
    manifest["spec"]["volumes"] += [
        {"name": "bare"},
        {"name": "down", "downwardAPI": {"items": [file]}},
    ]
    pod = accepted(manifest)
    assert with_defaults(pod) == pod
    spec = encode_pod(pod)["spec"]
    container = spec["containers"][0]
    probe = {"path": "/", "port": 1, "scheme": "HTTP"}
    assert container["livenessProbe"] == {
        "httpGet": probe, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
        "failureThreshold": 3,
    }  # fmt: skip
    assert container["ports"] == [{"containerPort": 1, "protocol": "TCP"}]
    assert container["resources"]["requests"] == {"cpu": "500m", "memory": "1"}
    assert container["env"][0]["valueFrom"]["fieldRef"] == {"apiVersion": "v1", "fieldPath": "metadata.name"}
    assert (container["imagePullPolicy"], container["terminationMessagePath"]) == (
        "IfNotPresent",
        "/dev/termination-log",
    )
    assert spec["volumes"][1] == {"name": "bare", "emptyDir": {}}
    assert spec["volumes"][2]["downwardAPI"]["defaultMode"] == 0o644
    for key, value in {
        "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
        "schedulerName": "default-scheduler", "enableServiceLinks": True, "securityContext": {},
    }.items():  # fmt: skip
        assert spec[key] == value


def received(**metadata: object) -> dict[str, Any]:
    """A mirror pod as an API server gives it back."""
    mirror = to_mirror(accepted(small_pod()), node_uid="node-uid")
    mirror["metadata"] |= {"uid": "pod-uid", "resourceVersion": "7", **metadata}
    return mirror


def test_a_mirror_pod_is_the_static_pod_with_its_hash_and_its_node() -> None:
    """What upstream's mirror client creates; without a Node there is no owner."""
    static = accepted(small_pod())
    mirror = to_mirror(static, node_uid="node-uid")
    meta = mirror["metadata"]
    assert (meta["name"], meta["namespace"]) == ("web-node-1", "kube-system")
    assert "uid" not in meta
    assert meta["annotations"]["kubernetes.io/config.mirror"] == static_hash(static) == static.metadata.uid
    assert meta["ownerReferences"] == [
        {"apiVersion": "v1", "kind": "Node", "name": "Node-1", "uid": "node-uid", "controller": True}
    ]
    assert mirror["spec"] == encode_pod(static)["spec"]
    assert json.loads(json.dumps(mirror)) == mirror
    assert "ownerReferences" not in to_mirror(static, node_uid="")["metadata"]


def test_an_api_pod_comes_back_as_it_was() -> None:
    """Encoded, stored, decoded: the same specification, and the API's bookkeeping beside it."""
    api = decode_pod(
        received(
            deletionTimestamp="2024-05-01T10:00:00Z",
            deletionGracePeriodSeconds=30,
            creationTimestamp="1970-01-01T00:00:01.5Z",
            managedFields=[{"manager": "x"}],
        )
    )
    assert api.pod.spec == accepted(small_pod()).spec
    assert (api.resource_version, api.deletion_grace_period_seconds) == ("7", 30)
    assert (api.deletion_timestamp, api.creation_timestamp) == (1_714_557_600_000_000, 1_500_000)
    assert api.mirror_hash == accepted(small_pod()).metadata.uid
    assert api.source == "file"
    assert api.pod.metadata.uid == "pod-uid"


def test_bookkeeping_alone_makes_no_other_pod() -> None:
    """A new resourceVersion or status is no change of what is wanted."""
    one, other = received(), received(resourceVersion="8", generation=2)
    other["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "new": 1}
    first, second = decode_pod(one), decode_pod(other)
    assert first.pod == second.pod
    assert second.status.phase == "Running"
    assert second.status.conditions[0].type == "Ready"


def test_fields_of_newer_api_servers_are_left_out() -> None:
    """An agent is older than the server it talks to."""
    pod = received(newField={"a": 1})
    pod["spec"]["newField"] = [1]
    pod["spec"]["containers"][0] |= {"newField": None, "livenessProbe": {"newHandler": {}}}
    expected = copy.deepcopy(received())
    expected["spec"]["containers"][0]["livenessProbe"] = {}
    assert decode_pod(pod).pod == decode_pod(expected).pod


def test_a_pod_that_is_read_at_once_is_the_one_that_is_fitted() -> None:
    """A null somewhere, as old clients leave one, makes the slow way necessary, and no other pod."""
    plain, with_null = received(), received(generateName=None)
    plain["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    with_null["status"] = {**plain["status"], "message": None}
    at_once, fitted = decode_pod(plain), decode_pod(with_null)
    assert at_once == fitted
    assert msgspec.json.encode(at_once.pod) == msgspec.json.encode(fitted.pod)


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        ({}, "it has no name or no uid"),
        ({"metadata": 5}, "metadata: Invalid type"),
        ({"metadata": {"name": "a", "namespace": "b", "uid": "c"}, "spec": {"containers": [5]}}, "'b/a'"),
        ({"metadata": {"name": "a", "uid": "c", "deletionTimestamp": "soon"}}, "unreadable time"),
    ],
)
def test_a_pod_that_makes_no_sense_is_refused_with_a_reason(pod: dict[str, Any], message: str) -> None:
    """One bad object is no reason for the list of all to fail; its source says which it was."""
    with pytest.raises(UnreadablePod, match=message):
        decode_pod(pod)
