"""Bodies of `containers/create`: each field of a configuration lands where the engine looks for it."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from minikubelet.model.ids import PodUid
from minikubelet.ports.runtimeport import (
    ContainerConfig,
    DnsConfig,
    Mount,
    MountPropagation,
    PortMapping,
    Resources,
    RuntimeFault,
    SandboxConfig,
    Security,
)
from minikubelet.runtimes.docker import dockernames as names
from minikubelet.runtimes.docker.dockerspec import container_body, sandbox_body

_SANDBOX = SandboxConfig(
    uid=PodUid("u-1"), namespace="ns", name="web", attempt=2, hostname="web", log_directory=Path("/logs")
)
_CONTAINER = ContainerConfig(
    uid=PodUid("u-1"),
    namespace="ns",
    pod_name="web",
    name="main",
    attempt=3,
    image="busybox:1.36",
    hash="cafe",
    log_path=Path("/logs/main/3.log"),
)


def sandbox(**changes: Any) -> dict[str, Any]:
    config = msgspec.structs.replace(_SANDBOX, **changes)
    return sandbox_body(config, node="n", image="pause", clamp=lambda score: score)


def container(box: dict[str, str] | None = None, user: str = "", **changes: Any) -> dict[str, Any]:
    config = msgspec.structs.replace(_CONTAINER, **changes)
    return container_body(
        "sid",
        config,
        node="n",
        sandbox_labels=box or {},
        image_user=user,
        clamp=lambda score: max(score, -5),
    )


def test_names_and_labels_are_those_of_the_contract() -> None:
    assert names.sandbox_name(_SANDBOX) == "k8s_POD_web_ns_u-1_2"
    assert names.container_name(_CONTAINER) == "k8s_main_web_ns_u-1_3"
    labels = container()["Labels"]
    assert labels == {
        "io.kubernetes.pod.name": "web",
        "io.kubernetes.pod.namespace": "ns",
        "io.kubernetes.pod.uid": "u-1",
        "io.kubernetes.container.name": "main",
        "io.kubernetes.container.restartCount": "3",
        "io.kubernetes.container.hash": "cafe",
        "io.kubernetes.container.logpath": "/logs/main/3.log",
        "io.kubernetes.container.terminationMessagePath": "/dev/termination-log",
        "io.kubernetes.docker.type": "container",
        "io.kubernetes.sandbox.id": "sid",
        "minikubelet.dev/node": "n",
    }


def test_labels_of_a_manifest_cannot_pose_as_ours() -> None:
    """A pod must not be able to give itself to another node, or its container another log path."""
    forged = ((names.NODE, "other"), (names.LOG_PATH, "/etc/passwd"), (names.POD_UID, "x"), ("app", "web"))
    for labels in (sandbox(labels=forged)["Labels"], container(labels=forged)["Labels"]):
        assert (labels[names.NODE], labels[names.POD_UID]) == ("n", "u-1")
    assert container()["Labels"][names.LOG_PATH] == "/logs/main/3.log"
    for known in (names.TERMINATION_LOG, names.SHARE_PID, names.HOST_IPC, names.FALLBACK_TO_LOGS):
        assert known not in sandbox(labels=((known, "true"),))["Labels"]
        assert known not in container(labels=((known, "/etc/shadow"),))["Labels"]


def test_a_sandbox_on_the_bridge_has_name_ports_hosts_dns_and_sysctls() -> None:
    body = sandbox(
        hosts=(("10.0.0.1", "db"), ("::1", "six")),
        dns=DnsConfig(("10.0.0.10",), ("svc.local",), ("ndots:5",)),
        ports=(PortMapping(80, 8080), PortMapping(80, 8081, host_ip="127.0.0.1"), PortMapping(53, 53, "UDP")),
        sysctls=(("net.core.somaxconn", "1024"),),
    )
    host = body["HostConfig"]
    assert (body["Hostname"], host["NetworkMode"], host["IpcMode"]) == ("web", "bridge", "shareable")
    assert host["ExtraHosts"] == ["db:10.0.0.1", "six:::1"]
    assert (host["Dns"], host["DnsSearch"], host["DnsOptions"]) == (["10.0.0.10"], ["svc.local"], ["ndots:5"])
    assert body["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}
    assert host["PortBindings"]["80/tcp"] == [
        {"HostPort": "8080", "HostIp": ""},
        {"HostPort": "8081", "HostIp": "127.0.0.1"},
    ]
    assert host["Sysctls"] == {"net.core.somaxconn": "1024"}
    assert host["OomScoreAdj"] == -998


def test_a_sandbox_on_the_host_maps_no_ports_and_keeps_the_hosts_name() -> None:
    body = sandbox(host_network=True, host_ipc=True, ports=(PortMapping(80, 80),))
    assert (body["HostConfig"]["NetworkMode"], body["HostConfig"]["IpcMode"]) == ("host", "host")
    assert not {"Hostname", "ExposedPorts"} & set(body)
    assert "PortBindings" not in body["HostConfig"]


@pytest.mark.parametrize(
    ("labels", "changes", "pid", "ipc"),
    [
        ({}, {}, None, "container:sid"),
        ({names.SHARE_PID: "true"}, {}, "container:sid", "container:sid"),
        ({names.SHARE_PID: "true"}, {"host_pid": True}, "host", "container:sid"),
        ({names.SHARE_PID: "true"}, {"pid_of": "cid"}, "container:sid", "container:sid"),
        ({}, {"pid_of": "cid"}, "container:cid", "container:sid"),
        ({names.HOST_IPC: "true"}, {}, None, "host"),
    ],
)
def test_containers_join_their_sandbox(
    labels: dict[str, str], changes: dict[str, Any], pid: str | None, ipc: str
) -> None:
    host = container(labels, **changes)["HostConfig"]
    assert (host["NetworkMode"], host.get("PidMode"), host["IpcMode"]) == ("container:sid", pid, ipc)


def test_an_images_healthcheck_does_not_run() -> None:
    assert container()["Healthcheck"] == {"Test": ["NONE"]}


@pytest.mark.parametrize(
    ("command", "args", "entrypoint", "cmd"),
    [
        ((), (), None, None),
        ((), ("a",), None, ["a"]),
        (("c", "d"), (), ["c", "d"], []),
        (("c",), ("a",), ["c"], ["a"]),
    ],
)
def test_command_and_args_stand_for_entrypoint_and_cmd(
    command: tuple[str, ...],
    args: tuple[str, ...],
    entrypoint: list[str] | None,
    cmd: list[str] | None,
) -> None:
    """A command without args clears the image's own args."""
    body = container(command=command, args=args)
    assert (body.get("Entrypoint"), body.get("Cmd")) == (entrypoint, cmd)


def test_mounts_take_any_path_and_say_how_they_propagate() -> None:
    mounts = (
        Mount(Path("/a:b,c"), "/in", read_only=True),
        Mount(Path("/s"), "/s", propagation=MountPropagation.BIDIRECTIONAL),
        Mount(Path("/h"), "/h", propagation=MountPropagation.HOST_TO_CONTAINER),
    )
    found = container(mounts=mounts)["HostConfig"]["Mounts"]
    assert [(m["Source"], m["Target"], m["ReadOnly"]) for m in found] == [
        ("/a:b,c", "/in", True),
        ("/s", "/s", False),
        ("/h", "/h", False),
    ]
    assert [m["BindOptions"]["Propagation"] for m in found] == ["rprivate", "rshared", "rslave"]


def test_the_termination_log_is_mounted_unless_something_else_is_there() -> None:
    log = Path("/pods/u-1/termination-log")
    found = container(termination_log=log)["HostConfig"]["Mounts"]
    assert [(m["Source"], m["Target"]) for m in found] == [(str(log), "/dev/termination-log")]
    taken = (Mount(Path("/x"), "/dev/termination-log"),)
    found = container(termination_log=log, mounts=taken)["HostConfig"]["Mounts"]
    assert [m["Source"] for m in found] == ["/x"]


def test_resources_that_are_unset_are_left_to_the_engine() -> None:
    host = container(resources=Resources(cpu_shares=512, memory_limit=1 << 20, oom_score_adj=-997))[
        "HostConfig"
    ]
    assert (host["CpuShares"], host["Memory"], host["MemorySwap"]) == (512, 1 << 20, 1 << 20)
    assert host["OomScoreAdj"] == -5, "raised to the floor"
    assert not {"CpuQuota", "CpuPeriod", "PidsLimit"} & set(host)


@pytest.mark.parametrize(
    ("user", "group", "image_user", "expected"),
    [
        (None, None, "app", ""),
        (0, None, "", "0"),
        (1000, 2000, "", "1000:2000"),
        (None, 2000, "app:app", "app:2000"),
        (None, 2000, "", "0:2000"),
    ],
)
def test_users_and_groups(user: int | None, group: int | None, image_user: str, expected: str) -> None:
    body = container(user=image_user, security=Security(run_as_user=user, run_as_group=group))
    assert body["User"] == expected


def test_security_settings(tmp_path: Path) -> None:
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW"}), encoding="utf-8")
    security = Security(
        privileged=True,
        read_only_root=True,
        no_new_privileges=True,
        add_capabilities=("NET_ADMIN",),
        drop_capabilities=("ALL",),
        supplemental_groups=(7, 8),
        seccomp=str(profile),
    )
    host = container(security=security)["HostConfig"]
    assert (host["Privileged"], host["ReadonlyRootfs"]) == (True, True)
    assert (host["CapAdd"], host["CapDrop"], host["GroupAdd"]) == (["NET_ADMIN"], ["ALL"], ["7", "8"])
    assert host["SecurityOpt"] == ["no-new-privileges", 'seccomp={"defaultAction": "SCMP_ACT_ALLOW"}']
    assert container(security=Security(seccomp="Unconfined"))["HostConfig"]["SecurityOpt"] == [
        "seccomp=unconfined"
    ]
    assert container(security=Security(seccomp="RuntimeDefault"))["HostConfig"]["SecurityOpt"] == []
    for profile_name, told in (
        ("Unconfined", "unconfined"), ("RuntimeDefault", "docker-default"), ("localhost/mine", "mine"),
    ):  # fmt: skip
        found = container(security=Security(apparmor=profile_name))["HostConfig"]["SecurityOpt"]
        assert found == [f"apparmor={told}"]
    with pytest.raises(RuntimeFault, match="cannot read the seccomp profile /no/such/profile"):
        container(security=Security(seccomp="/no/such/profile"))
