"""Environment: expansion and references, as the Kubernetes documentation has them."""

import pytest

from minikubelet.model.pod import (
    Container,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    ObjectFieldSelector,
    ObjectMeta,
    Pod,
    PodSpec,
    ResourceFieldSelector,
    ResourceRequirements,
    SecretKeySelector,
)
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.shell.environment import Facts, environment, expand, field_value, resource_value

FACTS = Facts(
    node_name="node-1",
    host_ips=("10.0.0.1",),
    pod_ips=("172.17.0.2", "fd00::2"),
    capacity={"cpu": "2", "memory": "8Gi"},
)
LIMITED = Container(
    name="limited", resources=ResourceRequirements(limits={"cpu": "1500m"}, requests={"memory": "100Mi"})
)
POD = Pod(
    metadata=ObjectMeta(
        name="web", namespace="shop", uid="u1", labels={"app": "web"}, annotations={"a/b": "c"}
    ),
    spec=PodSpec(node_name="node-1", containers=(LIMITED,)),
)


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("x$(A)y$(A)z", "x1y1z"),
        ("$(NONE)", "$(NONE)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$A $", "$A $"),
        ("$(not closed", "$(not closed"),
    ],
)
def test_references_are_expanded(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1"}) == expanded


def test_a_variable_sees_those_before_it_only() -> None:
    container = Container(
        name="c",
        env=(
            EnvVar(name="FIRST", value="$(SECOND)"),
            EnvVar(name="SECOND", value="2"),
            EnvVar(name="THIRD", value="$(SECOND)"),
        ),
    )
    assert environment(POD, container, FACTS) == {"FIRST": "$(SECOND)", "SECOND": "2", "THIRD": "2"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u1"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['a/b']", "c"),
        ("spec.nodeName", "node-1"),
        ("spec.serviceAccountName", ""),
        ("status.hostIP", "10.0.0.1"),
        ("status.podIP", "172.17.0.2"),
        ("status.podIPs", "172.17.0.2,fd00::2"),
    ],
)
def test_fields_of_the_pod(path: str, value: str) -> None:
    source = EnvVarSource(field_ref=ObjectFieldSelector(field_path=path))
    container = Container(name="c", env=(EnvVar(name="X", value_from=source),))
    assert environment(POD, container, FACTS) == {"X": value}


@pytest.mark.parametrize(
    ("resource", "divisor", "value"),
    [
        ("limits.cpu", "", "2"),
        ("limits.cpu", "1m", "1500"),
        ("requests.cpu", "1m", "1500"),
        ("requests.memory", "1Mi", "100"),
        ("requests.memory", "", "104857600"),
        ("limits.memory", "1Gi", "8"),
        ("requests.ephemeral-storage", "", "0"),
    ],
)
def test_resources_are_divided_and_rounded_up(resource: str, divisor: str, value: str) -> None:
    """Without a limit the node's capacity stands for it, without a request the limit."""
    selector = ResourceFieldSelector(resource=resource, divisor=divisor)
    assert resource_value(POD, LIMITED, selector, FACTS) == value


def test_another_container_can_be_named() -> None:
    selector = ResourceFieldSelector(resource="limits.cpu", container_name="limited")
    source = EnvVarSource(resource_field_ref=selector)
    container = Container(name="c", env=(EnvVar(name="X", value_from=source),))
    assert environment(POD, container, FACTS) == {"X": "2"}


def test_an_unknown_field_is_refused_by_name() -> None:
    with pytest.raises(RuntimeFault, match=r"fieldRef 'spec\.colour' is not known"):
        field_value(POD, "spec.colour", FACTS)


def test_what_is_not_supported_is_refused_by_name() -> None:
    secret = EnvVarSource(secret_key_ref=SecretKeySelector(key="k", name="s"))
    for container in (
        Container(name="c", env_from=(EnvFromSource(),)),
        Container(name="c", env=(EnvVar(name="X", value_from=secret),)),
    ):
        with pytest.raises(RuntimeFault, match="not supported by this version") as caught:
            environment(POD, container, FACTS)
        assert caught.value.reason == "CreateContainerConfigError"
