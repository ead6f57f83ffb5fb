"""Objects of pods: variables from them, service variables, secrets that no message shows, the refresher."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import (
    ConfigMapEnvSource,
    ConfigMapKeySelector,
    ConfigMapVolumeSource,
    Container,
    EnvFromSource,
    EnvVar,
    EnvVarSource,
    LocalObjectReference,
    Pod,
    SecretEnvSource,
    SecretKeySelector,
    SecretVolumeSource,
    Volume,
)
from minikubelet.ports.objectport import ConfigMap, ObjectKind, Reference, Secret, Service, ServicePort
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.shell.environment import Facts
from minikubelet.shell.envobjects import look_up, service_variables
from minikubelet.shell.objects import NoObjects, references
from minikubelet.shell.podconfig import NodeSide, PodConfigMaker
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.vault import Vault
from minikubelet.shell.volrefresh import Refresher
from minikubelet.shell.volumes import Volumes
from tests.running import eventually, run
from tests.shell.volumes_world import UID, FakeObjects, paths_in, pod_with

WEB_SERVICE = Service(
    namespace="shop",
    name="web-app",
    cluster_ip="10.0.0.7",
    ports=(ServicePort(port=80, name="http"), ServicePort(port=53, name="dns-u", protocol="UDP")),
)
MASTER = Service(
    namespace="default",
    name="kubernetes",
    cluster_ip="10.0.0.1",
    ports=(ServicePort(port=443, name="https"),),
)
OTHER = replace(WEB_SERVICE, namespace="other", name="hidden")
HEADLESS = replace(WEB_SERVICE, name="headless", cluster_ip="None")


def from_config_map(name: str, *, optional: bool | None = None) -> EnvFromSource:
    return EnvFromSource(config_map_ref=ConfigMapEnvSource(name=name, optional=optional))


def from_secret(name: str, *, optional: bool | None = None) -> EnvFromSource:
    return EnvFromSource(secret_ref=SecretEnvSource(name=name, optional=optional))


def containing(container: Container, *volumes: Volume) -> Pod:
    made = pod_with(*volumes)
    return replace(made, spec=replace(made.spec, containers=(container,)))


def test_what_a_container_refers_to_is_read() -> None:
    objects = FakeObjects()
    objects.config_maps["shop/cm"] = ConfigMap(data={"a": "1"})
    objects.secrets["shop/s"] = Secret(data={"k": b"hush"})
    source = EnvVarSource(secret_key_ref=SecretKeySelector(name="s", key="k"))
    optional = EnvVarSource(config_map_key_ref=ConfigMapKeySelector(name="none", key="k", optional=True))
    env = (EnvVar(name="X", value_from=source), EnvVar(name="Y", value_from=optional))
    container = Container(name="main", env_from=(from_config_map("cm"),), env=env)
    looked = run(look_up(containing(container), container, objects))
    assert (looked.config_maps, looked.secrets) == ({"cm": {"a": "1"}}, {"s": {"k": "hush"}})


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ((from_config_map("none"),), 'configmap "none" not found'),
        ((from_secret("none"),), 'secret "none" not found'),
        ((from_secret("none", optional=True), from_secret("none")), 'secret "none" not found'),
    ],
)
def test_a_missing_object_is_named_as_upstream_does(sources: tuple[EnvFromSource, ...], message: str) -> None:
    container = Container(name="main", env_from=sources)
    with pytest.raises(RuntimeFault) as caught:
        run(look_up(containing(container), container, FakeObjects()))
    assert (caught.value.reason, caught.value.message) == ("CreateContainerConfigError", message)


def test_an_object_that_cannot_be_read_is_not_taken_for_a_missing_one() -> None:
    objects = FakeObjects()
    objects.out = "no answer"
    container = Container(name="main", env_from=(from_config_map("cm", optional=True),))
    with pytest.raises(RuntimeFault, match="no answer"):
        run(look_up(containing(container), container, objects))


def test_without_an_api_server_the_fault_says_so() -> None:
    container = Container(name="main", env_from=(from_secret("s"),))
    with pytest.raises(RuntimeFault, match="couldn't get secret shop/s: the agent has no API server"):
        run(look_up(containing(container), container, NoObjects()))


def test_service_variables_are_dockers_links() -> None:
    assert service_variables([WEB_SERVICE]) == {
        "WEB_APP_SERVICE_HOST": "10.0.0.7",
        "WEB_APP_SERVICE_PORT": "80",
        "WEB_APP_SERVICE_PORT_HTTP": "80",
        "WEB_APP_SERVICE_PORT_DNS_U": "53",
        "WEB_APP_PORT": "tcp://10.0.0.7:80",
        "WEB_APP_PORT_80_TCP": "tcp://10.0.0.7:80",
        "WEB_APP_PORT_80_TCP_PROTO": "tcp",
        "WEB_APP_PORT_80_TCP_PORT": "80",
        "WEB_APP_PORT_80_TCP_ADDR": "10.0.0.7",
        "WEB_APP_PORT_53_UDP": "udp://10.0.0.7:53",
        "WEB_APP_PORT_53_UDP_PROTO": "udp",
        "WEB_APP_PORT_53_UDP_PORT": "53",
        "WEB_APP_PORT_53_UDP_ADDR": "10.0.0.7",
    }
    six = replace(WEB_SERVICE, cluster_ip="fd00::7", ports=WEB_SERVICE.ports[:1])
    assert service_variables([six])["WEB_APP_PORT"] == "tcp://[fd00::7]:80"


@pytest.mark.parametrize(
    ("links", "hosts"),
    [
        (None, {"WEB_APP_SERVICE_HOST", "KUBERNETES_SERVICE_HOST"}),
        (True, {"WEB_APP_SERVICE_HOST", "KUBERNETES_SERVICE_HOST"}),
        (False, {"KUBERNETES_SERVICE_HOST"}),
    ],
)
def test_a_pod_is_told_of_its_namespaces_services_and_the_api_servers(
    links: bool | None, hosts: set[str]
) -> None:
    objects = FakeObjects()
    objects.known_services = (WEB_SERVICE, OTHER, HEADLESS, MASTER)
    pod = containing(Container(name="main"))
    pod = replace(pod, spec=replace(pod.spec, enable_service_links=links))
    looked = run(look_up(pod, pod.spec.containers[0], objects))
    assert {name for name in looked.services if name.endswith("_SERVICE_HOST")} == hosts


def test_only_a_static_pod_does_without_services_that_were_never_read() -> None:
    objects = FakeObjects()
    objects.known_services = None
    pod = containing(Container(name="main"))
    with pytest.raises(RuntimeFault, match="services have not yet been read at least once"):
        run(look_up(pod, pod.spec.containers[0], objects))
    marked = {"kubernetes.io/config.source": "file"}
    static = replace(pod, metadata=replace(pod.metadata, annotations=marked))
    assert run(look_up(static, static.spec.containers[0], objects)).services == {}


def everything() -> Pod:
    """A pod that refers to objects in every way."""
    source = EnvVarSource(secret_key_ref=SecretKeySelector(name="s1", key="k"))
    container = Container(
        name="main",
        env=(EnvVar(name="X", value_from=source),),
        env_from=(from_config_map("c1"), from_secret("s2")),
    )
    volumes = (
        Volume(name="c", config_map=ConfigMapVolumeSource(name="c2")),
        Volume(name="s", secret=SecretVolumeSource(secret_name="s3")),
    )
    pod = containing(container, *volumes)
    return replace(pod, spec=replace(pod.spec, image_pull_secrets=(LocalObjectReference(name="s4"),)))


def test_every_reference_of_a_pod_is_found() -> None:
    found = {(reference.kind, reference.name) for reference in references(everything())}
    assert found == {
        *((ObjectKind.CONFIG_MAP, name) for name in ("c1", "c2")),
        *((ObjectKind.SECRET, name) for name in ("s1", "s2", "s3", "s4")),
    }


def test_values_of_secrets_do_not_show_in_messages(tmp_path: Path) -> None:
    paths = PodPaths(tmp_path / "state", tmp_path / "logs")
    vault, objects = Vault(paths), FakeObjects()
    objects.secrets["shop/s"] = Secret(data={"k": b"hush-hush\n", "short": b"on"})
    maker = PodConfigMaker(NodeSide(name="n"), paths, Volumes(paths), objects=objects, hide=vault.hide)
    container = Container(name="main", image="busybox", env_from=(from_secret("s"),))
    config = run(maker.container(containing(container), "main", 0, ()))
    assert dict(config.env)["k"] == "hush-hush\n"
    assert vault.redact(UID, "it is on, with hush-hush in it") == "it is on, with [redacted] in it"
    assert vault.redact(PodUid("other"), "hush-hush") == "hush-hush"
    vault.forget(UID, 0)
    assert vault.redact(UID, "hush-hush") == "hush-hush"


class Refreshed:
    """A refresher over the pods of a vault."""

    def __init__(self, paths: PodPaths) -> None:
        self.objects = FakeObjects()
        self.vault = Vault(paths)
        self.volumes = Volumes(paths, self.objects)
        self.refresher = Refresher(
            self.vault, self.volumes, self.objects, lambda _: Facts(node_name="n"), every=3600.0
        )


def test_a_change_reaches_the_volume_of_a_running_pod(tmp_path: Path) -> None:
    async def main(world: Refreshed) -> None:
        pod = pod_with(Volume(name="c", config_map=ConfigMapVolumeSource(name="cm")))
        world.objects.config_maps["shop/cm"] = ConfigMap(data={"a": "1"})
        await world.vault.store(pod)
        volume = (await world.volumes.set_up(pod, Facts()))["c"]
        task = asyncio.create_task(world.refresher.run())
        await eventually(lambda: world.objects.kept[0], "the first pass")
        assert world.objects.kept == ([Reference(ObjectKind.CONFIG_MAP, "shop", "cm")], [UID])
        world.objects.config_maps["shop/cm"] = ConfigMap(data={"a": "2"})
        world.objects.event.set()
        await eventually(lambda: (volume / "a").read_text() == "2", "the new content")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with paths_in(tmp_path) as paths:
        run(main(Refreshed(paths)))


def test_after_a_restart_secrets_are_hidden_before_any_container_starts(tmp_path: Path) -> None:
    async def main(world: Refreshed) -> None:
        world.objects.secrets["shop/s3"] = Secret(data={"k": b"hush-hush"})
        await world.vault.store(everything())
        await world.refresher.once()
        assert world.vault.redact(UID, "so: hush-hush") == "so: [redacted]"
        assert {fresh for _, fresh in world.objects.reads} == {False}

    with paths_in(tmp_path) as paths:
        run(main(Refreshed(paths)))
