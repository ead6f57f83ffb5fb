"""Upstream's own schema as the judge: the model's fields, what it accepts, and what it refuses strictly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import msgspec
import pytest

from minikubelet.model import pod as pods
from minikubelet.model import status as statuses
from minikubelet.wire.pod_codec import encode_pod, to_mirror
from tests.wire.test_wire_rules import ALLOWED
from tests.wire.wire_world import accepted, changed, complaints, small_pod

VERSION = "1.36"
C = "spec.containers.0"


def schema() -> dict[str, Any]:
    """The properties of every type of the core API, by its name."""
    folder = (
        Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / f"v{VERSION}.0-local-strict"
    )
    definitions = json.loads((folder / "_definitions.json").read_text())["$defs"]
    wanted = ("io.k8s.api.core.v1.", "io.k8s.apimachinery.pkg.apis.meta.v1.")
    return {
        name.rpartition(".")[2]: definition.get("properties", {})
        for name, definition in definitions.items()
        if name.startswith(wanted)
    }


def structs(module: object) -> list[type[msgspec.Struct]]:
    """All structs of a module but the base."""
    found = (getattr(module, name) for name in dir(module))
    kinds = [one for one in found if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    return [one for one in kinds if one.__name__ not in ("ApiStruct", "Struct")]


def test_every_field_of_the_model_is_upstreams_and_none_is_missing() -> None:
    """Field for field; only a pod's status lives in a struct of its own."""
    known = schema()
    kinds = [*structs(pods), *structs(statuses)]
    assert len(kinds) > 60
    for kind in kinds:
        ours = {field.encode_name for field in msgspec.structs.fields(kind)}
        theirs = set(known[kind.__name__]) - ({"status"} if kind.__name__ == "Pod" else set())
        assert ours == theirs, kind.__name__


def strictly(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, VERSION, strict=True)


@pytest.mark.parametrize(("path", "value"), ALLOWED)
def test_what_is_accepted_here_upstreams_schema_accepts(path: str, value: object) -> None:
    """As written, with defaults filled in, and as a mirror pod."""
    manifest = changed(path, value)
    strictly(manifest)
    strictly(encode_pod(accepted(manifest)))
    strictly(to_mirror(accepted(manifest), node_uid="u"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.unknown", 1),
        ("spec.hostnetwork", True),
        ("spec.hostNetwork", "true"),
        ("spec.containers", {"name": "a"}),
        ("spec.terminationGracePeriodSeconds", "30"),
        ("metadata.labels", {"a": 1}),
        ("metadata.annotations", ["a"]),
        (f"{C}.image", 5),
        (f"{C}.command", "sleep 1"),
        (f"{C}.env", [{"value": "a"}]),
        (f"{C}.env", [{"name": "A", "value": 1}]),
        (f"{C}.ports", [{"name": "a"}]),
        (f"{C}.ports", [{"containerPort": "80"}]),
        (f"{C}.livenessProbe", {"tcpSocket": {}}),
        (f"{C}.securityContext", {"capabilities": {"add": "NET_ADMIN"}}),
        (f"{C}.securityContext", {"seccompProfile": {}}),
        ("spec.volumes", [{"emptyDir": {}}]),
        ("spec.volumes.0", {"name": "a", "hostPath": {}}),
        ("spec.tolerations", [{"tolerationSeconds": "1"}]),
    ],
)
def test_what_upstreams_strict_schema_refuses_is_refused(path: str, value: object) -> None:
    """Unknown fields, wrong types, missing ones; and the field is named."""
    manifest = changed(path, value)
    with pytest.raises(kubernetes_validate.ValidationError):
        strictly(manifest)
    field = path.split(".")[1]
    assert any(field in line for line in complaints(manifest))


def test_the_small_pod_is_good_to_both() -> None:
    """The base of all other examples."""
    strictly(small_pod())
    assert accepted(small_pod()).spec.containers[0].name == "main"
