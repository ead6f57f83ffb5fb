"""Environment: expansion and references, as the Kubernetes documentation has them."""

import pytest

from minikubelet.model.pod import (
    ConfigMapEnvSource,
    ConfigMapKeySelector,
    Container,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    FileKeySelector,
    ObjectFieldSelector,
    ObjectMeta,
    Pod,
    PodSpec,
    ResourceFieldSelector,
    ResourceRequirements,
    SecretEnvSource,
    SecretKeySelector,
)
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.shell.environment import Facts, Looked, environment, expand, field_value, resource_value

FACTS = Facts(
    node_name="node-1",
    host_ips=("10.0.0.1",),
    pod_ips=("172.17.0.2", "fd00::2"),
    allocatable={"cpu": "2", "memory": "8Gi"},
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


@pytest.mark.parametrize("optional", [True, False])
def test_a_key_of_a_file(optional: bool) -> None:
    def variable(name: str) -> EnvVar:
        ref = FileKeySelector(volume_name="v", path="p", key=name, optional=optional)
        return EnvVar(name=name, value_from=EnvVarSource(file_key_ref=ref))

    looked = Looked(files={("v", "p"): {"A": "1", "EMPTY": ""}})
    assert environment(POD, Container(name="c", env=(variable("A"),)), FACTS, looked) == {"A": "1"}
    missing = Container(name="c", env=(variable("B"), variable("EMPTY")))
    if optional:
        assert environment(POD, missing, FACTS, looked) == {}
    else:
        with pytest.raises(RuntimeFault, match='environment variable key "B" not found in file "p"'):
            environment(POD, missing, FACTS, looked)


def test_a_source_that_is_none_is_refused() -> None:
    container = Container(name="c", env=(EnvVar(name="X", value_from=EnvVarSource()),))
    with pytest.raises(RuntimeFault, match="names no source") as caught:
        environment(POD, container, FACTS)
    assert caught.value.reason == "CreateContainerConfigError"


LOOKED = Looked(
    config_maps={"cm": {"a": "1", "b": "2"}},
    secrets={"s": {"a": "hidden", "pass-word": "x"}},
    services={"WEB_SERVICE_HOST": "10.0.0.7", "a": "of a service"},
)


def test_env_overrides_env_from_and_a_later_source_an_earlier() -> None:
    container = Container(
        name="c",
        env_from=(
            EnvFromSource(config_map_ref=ConfigMapEnvSource(name="cm")),
            EnvFromSource(secret_ref=SecretEnvSource(name="s")),
            EnvFromSource(prefix="P_", config_map_ref=ConfigMapEnvSource(name="cm")),
        ),
        env=(EnvVar(name="b", value="own $(P_a) $(WEB_SERVICE_HOST)"),),
    )
    assert environment(POD, container, FACTS, LOOKED) == {
        "a": "hidden", "b": "own 1 10.0.0.7", "pass-word": "x", "P_a": "1", "P_b": "2",
        "WEB_SERVICE_HOST": "10.0.0.7",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            EnvVarSource(config_map_key_ref=ConfigMapKeySelector(name="cm", key="z")),
            "couldn't find key z in ConfigMap shop/cm",
        ),
        (
            EnvVarSource(secret_key_ref=SecretKeySelector(name="s", key="z")),
            "couldn't find key z in Secret shop/s",
        ),
    ],
)
def test_a_missing_key_is_named_as_upstream_does(source: EnvVarSource, message: str) -> None:
    container = Container(name="c", env=(EnvVar(name="X", value_from=source),))
    with pytest.raises(RuntimeFault) as caught:
        environment(POD, container, FACTS, LOOKED)
    assert (caught.value.reason, caught.value.message) == ("CreateContainerConfigError", message)


def test_an_optional_key_that_is_missing_leaves_its_variable_out() -> None:
    sources = (
        EnvVarSource(config_map_key_ref=ConfigMapKeySelector(name="none", key="z", optional=True)),
        EnvVarSource(secret_key_ref=SecretKeySelector(name="s", key="a", optional=True)),
    )
    env = tuple(EnvVar(name=f"X{n}", value_from=source) for n, source in enumerate(sources))
    assert environment(POD, Container(name="c", env=env), FACTS, LOOKED)["X1"] == "hidden"
    assert "X0" not in environment(POD, Container(name="c", env=env), FACTS, LOOKED)


def test_a_nul_byte_in_a_value_is_refused_without_showing_it() -> None:
    looked = Looked(secrets={"s": {"k": "secret\0"}})
    container = Container(name="c", env_from=(EnvFromSource(secret_ref=SecretEnvSource(name="s")),))
    with pytest.raises(RuntimeFault) as caught:
        environment(POD, container, FACTS, looked)
    assert "secret" not in caught.value.message
    assert "hidden" not in repr(LOOKED)
