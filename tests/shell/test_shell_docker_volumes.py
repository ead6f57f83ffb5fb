"""Volumes as containers of a real engine see them, by type, as upstream's node conformance has them."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from minikubelet.core.events import ContainerStartFailed
from minikubelet.model.ids import PodUid
from minikubelet.ports.objectport import ConfigMap, Secret
from minikubelet.shell import volkernel
from tests.running import eventually
from tests.shell.docker_pods import Node, on_node, relabelled
from tests.shell.volumes_world import as_root

pytestmark = [pytest.mark.docker, as_root]

Place = tuple[str, str, Path]


@pytest.fixture
def place(docker_host: str, docker_namespace: str, state_dir: Path) -> Iterator[Place]:
    yield docker_host, docker_namespace, state_dir
    for point in volkernel.mounts_below(state_dir):
        volkernel.unmount(point)


def mounting(
    volume: dict[str, Any], mounts: list[dict[str, Any]] | None = None, **spec: Any
) -> dict[str, Any]:
    """A container that mounts a volume `v` at /v, or as told."""
    at = mounts or [{"name": "v", "mountPath": "/v"}]
    return {"volumeMounts": at, "spec": {"volumes": [{"name": "v", **volume}], **spec}}


def test_an_update_of_a_config_map_is_seen_by_a_running_container_but_not_by_a_sub_path(place: Place) -> None:
    async def test(node: Node) -> None:
        node.objects.config_maps[f"{node.namespace}/cm"] = ConfigMap(data={"key": "old", "gone": "x"})
        mounts = [
            {"name": "v", "mountPath": "/v"},
            {"name": "v", "mountPath": "/file", "subPath": "key"},
        ]
        pod = await node.start(mounting({"configMap": {"name": "cm"}}, mounts))
        assert (
            await pod.says("cat /v/key /file; touch /v/x 2>&1") == "oldoldtouch: /v/x: Read-only file system"
        )
        refreshing = asyncio.create_task(node.refresher.run())
        await eventually(lambda: node.objects.kept[0], "the object to be watched")
        node.objects.config_maps[f"{node.namespace}/cm"] = ConfigMap(data={"key": "new"})
        node.objects.event.set()

        async def told() -> bool:
            return await pod.says("cat /v/key; echo; ls /v; cat /file") == "new\nkey\nold"

        await eventually(told, "the update in the container")
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)
        await pod.restart(1)
        assert await pod.says("cat /file") == "new"
        await pod.clean_up()

    on_node(place, test)


def test_a_secret_has_its_modes_and_lies_in_memory(place: Place) -> None:
    async def test(node: Node) -> None:
        node.objects.secrets[f"{node.namespace}/s"] = Secret(data={"a": b"hush", "b": b"x"})
        items = [{"key": "a", "path": "d/a"}, {"key": "b", "path": "b", "mode": 0o444}]
        secret = {"secretName": "s", "defaultMode": 0o400, "items": items}
        pod = await node.start(mounting({"secret": secret}))
        assert await pod.says("stat -L -c '%a %u:%g' /v/d/a /v/b; cat /v/d/a") == "400 0:0\n444 0:0\nhush"
        assert await pod.says("stat -f -c %T /v") == "tmpfs"
        await pod.clean_up()

    on_node(place, test)


def test_a_non_root_user_reads_a_secret_through_the_fs_group(place: Place) -> None:
    async def test(node: Node) -> None:
        node.objects.secrets[f"{node.namespace}/s"] = Secret(data={"a": b"hush"})
        context = {"runAsUser": 1000, "runAsGroup": 1000, "fsGroup": 4321}
        volume = {"secret": {"secretName": "s", "defaultMode": 0o400}}
        pod = await node.start(mounting(volume, securityContext=context))
        assert await pod.says("id -G; stat -L -c '%a %g' /v/a; cat /v/a") == "1000 4321\n440 4321\nhush"
        await pod.clean_up()

    on_node(place, test)


@pytest.mark.parametrize("medium", ["", "Memory"])
def test_an_empty_dir_belongs_to_the_fs_group(place: Place, medium: str) -> None:
    async def test(node: Node) -> None:
        context = {"runAsUser": 1000, "fsGroup": 4321}
        volume = {"emptyDir": {"medium": medium, "sizeLimit": "1Mi"}}
        pod = await node.start(mounting(volume, securityContext=context))
        assert (
            await pod.says("echo x > /v/f; stat -c '%a %g' /v; stat -c '%u:%g' /v/f")
            == "2777 4321\n1000:4321"
        )
        await pod.clean_up()

    on_node(place, test)


def test_an_empty_dir_in_memory_is_bounded_and_keeps_its_content_through_a_restart(place: Place) -> None:
    async def test(node: Node) -> None:
        volume = {"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}
        pod = await node.start(mounting(volume))
        assert await pod.says("stat -f -c %T /v; stat -c %a /v") == "tmpfs\n777"
        assert "No space left on device" in await pod.says("dd if=/dev/zero of=/v/big bs=64k count=32 2>&1")
        await pod.says("rm /v/big; echo kept > /v/f")
        await pod.restart(1)
        assert await pod.says("cat /v/f") == "kept"
        await pod.clean_up()

    on_node(place, test)


def test_fields_labels_and_tokens_in_one_volume_follow_the_pod(place: Place) -> None:
    async def test(node: Node) -> None:
        items = [
            {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}},
            {"path": "mem", "resourceFieldRef": {"containerName": "main", "resource": "limits.memory"}},
        ]
        sources = [
            {"downwardAPI": {"items": items}},
            {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
        ]
        manifest = mounting({"projected": {"sources": sources}})
        pod = await node.start({**manifest, "resources": {"limits": {"memory": "64Mi"}}})
        assert await pod.says("cat /v/labels /v/mem; echo; cat /v/token") == f"{64 << 20}\ntoken-1"
        await node.vault.store(relabelled(pod.pod, colour="red"))
        await node.refresher.once()
        assert await pod.says("cat /v/labels") == 'colour="red"'
        await pod.clean_up()

    on_node(place, test)


def test_a_sub_path_through_a_symlink_of_the_container_is_refused(place: Place) -> None:
    """CVE-2017-1002101: a container prepares its volume, and is mounted a part of it when it starts again."""

    async def test(node: Node) -> None:
        mounts = [
            {"name": "v", "mountPath": "/v"},
            {"name": "v", "mountPath": "/sub", "subPath": "inner"},
        ]
        pod = await node.start(mounting({"emptyDir": {}}, mounts))
        assert await pod.says("echo mine > /v/inner/f; cat /sub/f") == "mine"
        await pod.says("mv /v/inner /v/moved; ln -s /etc /v/inner")
        refused = await pod.restart(1)
        assert isinstance(refused, ContainerStartFailed)
        assert refused.reason == "CreateContainerConfigError"
        assert 'failed to prepare subPath for volumeMount "v" of container "main"' in refused.message
        await pod.clean_up()

    on_node(place, test)


def test_a_symlink_swapped_under_the_agents_hands_never_shows_the_host(place: Place) -> None:
    """CVE-2021-25741: the path is swapped as fast as the kernel goes while containers start."""

    async def test(node: Node) -> None:
        mounts = [{"name": "v", "mountPath": "/sub", "subPath": "x/inner"}]
        pod = await node.start(mounting({"emptyDir": {}}, mounts))
        volume = next(node.paths.pods().glob("*/volumes/*/v"))
        (volume / "good/inner").mkdir(parents=True)
        (volume / "good/inner/mark").write_text("good")
        host = node.paths.root.parent / "host"
        (host / "inner").mkdir(parents=True)
        (host / "inner/mark").write_text("host")
        done = threading.Event()

        (volume / "x").rename(volume / "first")
        (volume / "x").symlink_to("good")

        def swap() -> None:
            while not done.is_set():
                for target in ("good", str(host)):
                    (volume / "new").symlink_to(target)
                    (volume / "new").rename(volume / "x")

        swapper = threading.Thread(target=swap)
        swapper.start()
        marks = set()
        try:
            for attempt in range(1, 9):
                outcome = await pod.restart(attempt)
                if not isinstance(outcome, ContainerStartFailed):
                    marks.add(await pod.says("cat /sub/mark"))
        finally:
            done.set()
            swapper.join()
        assert marks <= {"good"}
        assert (host / "inner/mark").read_text() == "host"
        await pod.clean_up()
        assert (host / "inner/mark").read_text() == "host"

    on_node(place, test)


def test_sub_path_expr_gives_each_pod_its_place_on_the_host(place: Place, tmp_path: Path) -> None:
    async def test(node: Node) -> None:
        mounts = [{"name": "v", "mountPath": "/logs", "subPathExpr": "$(POD_NAME)"}]
        env = [{"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
        manifest = mounting({"hostPath": {"path": str(tmp_path / "h"), "type": "DirectoryOrCreate"}}, mounts)
        pod = await node.start({**manifest, "env": env})
        await pod.says("echo said > /logs/f")
        assert (tmp_path / "h/web/f").read_text() == "said\n"
        await pod.clean_up()
        assert (tmp_path / "h/web/f").read_text() == "said\n"

    on_node(place, test)


def test_what_a_container_mounts_into_its_volume_is_not_deleted(place: Place, tmp_path: Path) -> None:
    """A mount on the host inside the pod's directory: the removal detaches it and leaves its content."""

    async def test(node: Node) -> None:
        pod = await node.start(mounting({"emptyDir": {}}))
        (tmp_path / "precious").write_text("x")
        volume = next(node.paths.pods().glob("*/volumes/*/v"))
        (volume / "inner").mkdir()
        volkernel.mount(str(tmp_path), volume / "inner", "none", volkernel.MS_BIND)
        await pod.clean_up()
        assert (tmp_path / "precious").read_text() == "x"

    on_node(place, test)


def test_the_hosts_file_names_the_pod_and_its_aliases(place: Place) -> None:
    async def test(node: Node) -> None:
        aliases = [{"ip": "1.2.3.4", "hostnames": ["alias"]}]
        pod = await node.start({"spec": {"hostname": "front", "subdomain": "sub", "hostAliases": aliases}})
        hosts = await pod.says("cat /etc/hosts; hostname")
        assert hosts.startswith("# Kubernetes-managed hosts file.")
        assert f"\tfront.sub.{node.namespace}.svc.cluster.local\tfront\n" in hosts
        assert "1.2.3.4\talias" in hosts
        assert hosts.endswith("front")
        await pod.clean_up()

    on_node(place, test)


def test_variables_of_a_secret_reach_the_container_and_no_message(place: Place) -> None:
    async def test(node: Node) -> None:
        node.objects.secrets[f"{node.namespace}/s"] = Secret(data={"WORD": b"hush-hush"})
        env_from = [{"secretRef": {"name": "s"}, "prefix": "MY_"}]
        pod = await node.start({"envFrom": env_from})
        assert await pod.says("echo $MY_WORD") == "hush-hush"
        assert node.vault.redact(PodUid(pod.pod.metadata.uid), "hush-hush") == "[redacted]"
        await pod.clean_up()

    on_node(place, test)


def test_variables_of_a_file_in_a_volume_are_there_once_it_was_written(place: Place) -> None:
    async def test(node: Node) -> None:
        ref = {"volumeName": "v", "path": "d/f", "key": "WORD", "optional": True}
        env = [{"name": "WORD", "valueFrom": {"fileKeyRef": ref}}]
        pod = await node.start({**mounting({"emptyDir": {}}), "env": env})
        assert await pod.says("echo ${WORD-unset}; mkdir /v/d; echo \"WORD='said'\" > /v/d/f") == "unset"
        await pod.restart(1)
        assert await pod.says("echo $WORD") == "said"
        await pod.clean_up()

    on_node(place, test)


@pytest.mark.parametrize(("proc_mount", "hidden"), [("Default", True), ("Unmasked", False)])
def test_proc_is_masked_unless_it_is_not_to_be(place: Place, proc_mount: str, hidden: bool) -> None:
    async def test(node: Node) -> None:
        pod = await node.start({"securityContext": {"procMount": proc_mount}})
        assert (await pod.says("grep -c ' /proc/' /proc/self/mountinfo") != "0") == hidden
        await pod.clean_up()

    on_node(place, test)


@pytest.mark.parametrize(
    ("manifest", "reason", "message"),
    [
        (
            mounting({"configMap": {"name": "none"}}), "ContainerCreating",
            'MountVolume.SetUp failed for volume "v" : configmap "none" not found',
        ),
        (
            {"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "none", "key": "k"}}}]},
            "CreateContainerConfigError", 'secret "none" not found',
        ),
        (
            {"securityContext": {"runAsNonRoot": True}}, "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root",
        ),
        (
            mounting(
                {"emptyDir": {}},
                [{"name": "v", "mountPath": "/v", "readOnly": True, "recursiveReadOnly": "Enabled"}],
            ),
            "CreateContainerConfigError", "failed to resolve recursive read-only mode",
        ),
        ({"image": "Not/A:Valid:name"}, "InvalidImageName", "couldn't parse image name"),
        ({"image": "absent.invalid/x:1", "imagePullPolicy": "Never"}, "ErrImageNeverPull", "is not present"),
    ],
)  # fmt: skip
def test_bad_input_has_a_clear_status(
    place: Place, manifest: dict[str, Any], reason: str, message: str
) -> None:
    async def test(node: Node) -> None:
        _, failed = await node.attempt(manifest)
        assert isinstance(failed, ContainerStartFailed)
        assert failed.reason == reason
        assert message in failed.message

    on_node(place, test)
