"""From a file's bytes to pods and verdicts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from minikubelet.wire.fieldpaths import MAX_FINDINGS
from tests.wire.wire_world import accepted, changed, complaints, reading, small_pod


def test_a_small_pod_becomes_a_static_pod() -> None:
    """Name, namespace and defaults are those of the contract."""
    read = reading(small_pod())
    (verdict,) = read.verdicts
    assert read.ok
    assert (verdict.kind, verdict.namespace, verdict.name) == ("Pod", "kube-system", "web-node-1")
    assert (read.pods[0].document, read.pods[0].line) == (0, 1)
    assert read.warnings == ()


def test_several_documents_are_several_pods() -> None:
    """One file, three documents, one of them broken: two pods and a verdict that says where."""
    text = """\
apiVersion: v1
kind: Pod
metadata: {name: one}
spec: {containers: [{name: c, image: i:1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: two}
spec:
  containers:
  - name: c
    imagee: i:1
---
apiVersion: v1
kind: Pod
metadata: {name: three}
spec: {containers: [{name: c, image: i:1}]}
"""
    read = reading(text)
    assert [(one.pod.metadata.name, one.document, one.line) for one in read.pods] == [
        ("one-node-1", 0, 1),
        ("three-node-1", 2, 14),
    ]
    assert not read.ok
    broken = read.verdicts[1]
    assert (broken.ok, broken.document, broken.line, broken.name) == (False, 1, 6, "two")
    assert broken.messages == (
        "line 11: spec.containers[0].image: Required value",
        'line 12: spec.containers[0].imagee: unknown field "imagee", did you mean "image"?',
    )


@pytest.mark.parametrize("kind", ["List", "PodList"])
def test_lists_of_pods_are_accepted(kind: str) -> None:
    """`kubectl get pods -o yaml` writes a List; a PodList's items need not say what they are."""
    bare = {key: value for key, value in small_pod().items() if key in ("metadata", "spec")}
    items = [small_pod() if kind == "List" else bare, changed("metadata.name", "other")]
    read = reading({"apiVersion": "v1", "kind": kind, "items": items})
    assert read.ok, read.verdicts
    assert [one.pod.metadata.name for one in read.pods] == ["web-node-1", "other-node-1"]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}},
            "line 1: a Deployment is not run from a file: static pods are pods only; create it",
        ),
        ({"apiVersion": "v1", "kind": "Service"}, "a Service is not run from a file"),
        ({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}, "an Ingress is not run from a file"),
        ({"kind": "Pod"}, "apiVersion: Required value"),
        ({"spec": {}}, "apiVersion and kind: Required value: static pods begin with"),
        ({"apiVersion": "v2", "kind": "Pod"}, 'apiVersion: Unsupported value: "v2": supported values: "v1"'),
        ({"apiVersion": "v1", "kind": "List", "items": 5}, "items: Invalid type: expected a list"),
        ("hello", "line 1: expected a v1 Pod, got text"),
        ("[1]", "line 1: expected a v1 Pod, got a list"),
        ("# nothing\n", "there is no pod in this file"),
        ("", "there is no pod in this file"),
        ("a: [", "did not find expected node content"),
    ],
)  # fmt: skip
def test_what_is_no_pod_gets_its_verdict(manifest: object, message: str) -> None:
    """Nothing is passed over in silence."""
    read = reading(manifest)
    assert not read.ok
    assert read.pods == ()
    assert len(read.verdicts) == 1
    assert message in read.verdicts[0].messages[0]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("spec.hostNetwork", "true", "line 27: spec.hostNetwork: Invalid type: expected true or false"),
        ("spec.containers.0.image", True, "image: Invalid type: expected text, got a truth value: put"),
        ("spec.containers.0.image", 5, "image: Invalid type: expected text, got a number: put it in"),
        ("spec.containers.0.ports", [{"containerPort": "80"}], "a whole number, got text: remove the quotes"),
        ("spec.containers.0.ports", [{"name": "x"}], "ports[0].containerPort: Required value"),
        ("spec.containers.0.ports", [None], "ports[0]: Invalid type: an item of a list cannot be empty"),
        ("spec.containers.0.ports", {"a": 1}, "ports: Invalid type: expected a list, got a mapping"),
        ("spec.containers.0.command", "sleep 5", "command: Invalid type: expected a list, got text"),
        ("spec.containers.0.ports", [{"containerPort": 1.5}], "expected a whole number, got a number"),
        ("spec.containers.0.ports", [{"containerPort": 2**80}], "expected a whole number, got a number"),
        ("spec.containers.0.livenessProbe", {"tcpSocket": {"port": [1]}}, "a number or a name, got a list"),
        ("spec.containers.0.resources", {"limits": {"cpu": True}}, "expected a quantity such as 500m"),
        ("spec.containers.0.imagePullpolicy", "Always", 'did you mean "imagePullPolicy"?'),
        ("spec.volums", [], 'spec.volums: unknown field "volums", did you mean "volumes"?'),
        ("metadata.labels", {"a": 1}, "metadata.labels.a: Invalid type: expected text, got a number"),
        ("kind", "pod", 'kind: Unsupported value: "pod": supported values: "Pod"'),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_with_path_and_line(path: str, value: object, message: str) -> None:
    """The type that is expected, what is there instead, and what to do."""
    assert any(message in line for line in complaints(changed(path, value))), complaints(changed(path, value))


def test_all_faults_of_a_file_are_given_in_the_order_of_lines() -> None:
    """Types, names and rules alike, and nothing that only follows from another fault."""
    pod = small_pod()
    pod["spec"]["containers"][0] |= {
        "image": "",
        "ports": [{"containerPort": 0}, {"containerPort": 70_000}],
        "env": [{"name": "A=B"}, {"name": "C", "value": True}],
        "volumeMounts": [{"name": "gone", "mountPath": "/gone"}],
    }
    pod["spec"]["restartPolicy"] = "always"
    found = complaints(pod)
    paths = [line.split(": ")[1] for line in found]
    assert paths == [
        "spec.containers[0].image",
        "spec.containers[0].ports[0].containerPort",
        "spec.containers[0].ports[1].containerPort",
        "spec.containers[0].env[0].name",
        "spec.containers[0].env[1].value",
        "spec.containers[0].volumeMounts[0].name",
        "spec.restartPolicy",
    ]
    lines = [int(line.split()[1].rstrip(":")) for line in found]
    assert lines == sorted(lines)


def test_no_more_than_twenty_faults_are_spelt() -> None:
    """A file full of nonsense does not fill a log."""
    found = complaints(changed("spec.containers.0", {f"field{n}": n for n in range(5_000)}))
    assert len(found) == MAX_FINDINGS + 1
    assert found[-1].startswith("… and ")


def test_no_message_shows_a_value_of_a_variable() -> None:
    """Values may be secrets, whatever is wrong with them."""
    for value in (1234567, True, ["hunter2"], {"a": "hunter2"}):
        text = " ".join(complaints(changed("spec.containers.0.env", [{"name": "P", "value": value}])))
        assert "env[0].value" in text
        assert "hunter2" not in text
        assert "1234567" not in text


def test_what_an_api_server_sets_is_ignored_with_a_warning() -> None:
    """A copy of `kubectl get -o yaml` works, and says what it drops."""
    pod = small_pod()
    pod["metadata"] |= {"uid": "x", "resourceVersion": "7", "creationTimestamp": "2024-05-01T10:00:00Z"}
    pod["status"] = {"phase": "Running", "podIP": "10.0.0.1"}
    read = reading(pod)
    assert read.pods[0].pod == accepted(small_pod())
    ignored = [text.split(": ")[2].split()[0] for text in read.warnings]
    assert ignored == ["metadata.creationTimestamp", "metadata.resourceVersion", "metadata.uid", "status"]


def test_fields_without_effect_are_named_once() -> None:
    """Nobody has to find out that a probe is not asked."""
    pod = small_pod()
    pod["spec"]["containers"][0]["volumeDevices"] = [{"name": "data", "devicePath": "/dev/x"}]
    pod["spec"]["runtimeClassName"] = "gvisor"
    pod["spec"]["volumes"].append({"name": "e", "emptyDir": {"sizeLimit": "1Mi"}})
    pod["spec"]["volumes"].append({"name": "n", "nfs": {"server": "s", "path": "/"}})
    assert reading(pod).warnings == (
        "web.yaml: spec.containers[].volumeDevices has no effect yet",
        "web.yaml: spec.runtimeClassName has no effect yet",
        "web.yaml: spec.volumes[].emptyDir.sizeLimit ends no static pod: critical pods are never evicted",
        "web.yaml: spec.volumes[].nfs has no effect yet",
    )


def test_null_is_the_same_as_absent() -> None:
    """As in Go: `command:` with nothing behind it is no command."""
    pod = changed("spec.containers.0.command", None)
    pod["spec"] |= {"nodeSelector": None, "securityContext": None}
    expected = small_pod()
    del expected["spec"]["containers"][0]["command"]
    assert accepted(pod) == accepted(expected)


def test_yaml_and_json_are_the_same_pod() -> None:
    """The uid follows from content, not from its notation."""
    text = """\
kind: Pod
apiVersion: v1
spec:
  volumes:
  - emptyDir: {}
    name: data
  containers:
  - {image: "busybox:1.36", name: main, command: [sleep, "60"]}
metadata:
  labels: {app: web}
  name: web
"""
    assert accepted(text) == accepted(small_pod())


def test_a_half_written_file_is_no_pod() -> None:
    """Every beginning of a file is either refused, or a smaller pod; none raises."""
    text = (
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n"
        "  containers:\n  - name: a\n    image: b\n    args: ['x']\n"
    )
    for length in range(len(text)):
        read = reading(text[:length])
        assert read.ok == bool(read.pods)


@given(some.binary(max_size=300))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    assert reading(data).verdicts


def test_a_thousand_random_strings_have_a_verdict_each() -> None:
    """Also with the beginning of a manifest before them."""
    chance = random.Random(7)
    for number in range(1_000):
        head = b"apiVersion: v1\nkind: Pod\nspec: " if number % 2 else b""
        read = reading(head + chance.randbytes(chance.randrange(200)))
        assert len(read.verdicts) >= 1
        assert read.pods == ()


_WORDS = some.sampled_from(
    [
        "metadata",
        "name",
        "spec",
        "containers",
        "image",
        "env",
        "value",
        "ports",
        "containerPort",
        "volumes",
        "a",
    ]
)
_TREES = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False)
    | some.text("ab-1/.", max_size=5),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=15,
)


@given(_TREES, _TREES)
def test_no_shape_of_a_pod_makes_it_raise(metadata: object, spec: object) -> None:
    """Any mixture of known names and values of any type."""
    read = reading({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    assert len(read.verdicts) == 1
    assert read.ok == bool(read.pods)


def test_an_empty_status_is_what_tools_write_and_no_matter() -> None:
    pod = small_pod()
    for status, warned in (({}, 0), (None, 0), ({"phase": "Running"}, 1)):
        assert len(reading({**pod, "status": status}).warnings) == warned
