"""Bad input: each gets a status that says what is wrong, and the good pod beside it is not disturbed."""

import socket
from collections.abc import Iterator

import pytest

from tests.conformance.conformance_world import STAYS, Cluster, Obj, Seen, config_map, pod, runs, secret

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

GOOD = "a-good-pod-is-disturbed-by-none-of-them"
PORT = 38473
CM = config_map("one-key", {"key": "value"})
HUSH = secret("one-word", {"word": "sesame"})


def variable(source: str, name: str, key: str) -> Obj:
    """A variable from a key of an object."""
    return {"name": "A", "valueFrom": {source: {"name": name, "key": key}}}


def mounting(volume: Obj, **mount: str) -> Obj:
    """A container with that volume at /v."""
    at = [{"name": "v", "mountPath": "/v", **mount}]
    return runs(STAYS, main={"volumeMounts": at}, volumes=[{"name": "v", **volume}])


def not_mounted(seen: Seen) -> str:
    """What is told of a volume that could not be made, in the Event and in the status."""
    message = seen.cluster.agent.until(lambda: seen.told("FailedMount"), "the Event")[0]
    assert seen.waiting("ContainerCreating") == message
    return message


@pytest.fixture(scope="module", autouse=True)
def taken() -> Iterator[None]:
    """A port of the host that somebody else has."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", PORT))
        listener.listen()
        yield


@pod(runs(main={"env": [variable("configMapKeyRef", "no-such", "key")]}))
def test_a_missing_config_map(seen: Seen) -> None:
    assert seen.waiting("CreateContainerConfigError") == 'configmap "no-such" not found'


@pod(runs(main={"env": [variable("configMapKeyRef", "one-key", "other")]}), CM)
def test_a_missing_key_of_a_config_map(seen: Seen) -> None:
    said = seen.waiting("CreateContainerConfigError")
    assert said == "couldn't find key other in ConfigMap default/one-key"


@pod(runs(main={"env": [variable("secretKeyRef", "one-word", "other")]}), HUSH)
def test_a_missing_key_of_a_secret(seen: Seen) -> None:
    assert seen.waiting("CreateContainerConfigError") == "couldn't find key other in Secret default/one-word"


@pod(runs(main={"envFrom": [{"secretRef": {"name": "no-such"}}]}))
def test_a_missing_secret_for_all_variables(seen: Seen) -> None:
    assert seen.waiting("CreateContainerConfigError") == 'secret "no-such" not found'


@pod(mounting({"secret": {"secretName": "no-such"}}))
def test_a_mount_of_a_missing_secret(seen: Seen) -> None:
    assert 'MountVolume.SetUp failed for volume "v" : secret "no-such" not found' in not_mounted(seen)


@pod(mounting({"configMap": {"name": "one-key", "items": [{"key": "other", "path": "p"}]}}), CM)
def test_a_mount_of_a_missing_key(seen: Seen) -> None:
    assert "references non-existent config key: other" in not_mounted(seen)


@pod(runs(main={"image": "127.0.0.1:1/UPPER/Case:1"}))
def test_a_name_that_is_none_of_an_image(seen: Seen) -> None:
    assert "couldn't parse image name" in seen.waiting("InvalidImageName")


@pod(runs(main={"image": "no-such-image-anywhere:1", "imagePullPolicy": "Never"}))
def test_an_image_that_does_not_exist(seen: Seen) -> None:
    assert "is not present with pull policy of Never" in seen.waiting("ErrImageNeverPull")


@pod(runs(main={"command": ["/no/such/program"]}))
def test_a_command_that_is_not_found(ended: Seen) -> None:
    end = ended.container()["state"]["terminated"]
    assert (end["reason"], end["exitCode"]) == ("ContainerCannotRun", 127)
    assert "no such file or directory" in end["message"]


@pod(runs(main={"command": ["/etc/passwd"]}))
def test_a_command_that_is_no_program(ended: Seen) -> None:
    end = ended.container()["state"]["terminated"]
    assert (end["reason"], end["exitCode"]) == ("ContainerCannotRun", 126)
    assert "permission denied" in end["message"]


@pod(mounting({"hostPath": {"path": "/proc/no-such/place", "type": "DirectoryOrCreate"}}))
def test_a_host_path_that_cannot_be_made(seen: Seen) -> None:
    assert "/proc/no-such" in not_mounted(seen)


@pod(mounting({"hostPath": {"path": "/etc/hostname", "type": "Directory"}}))
def test_a_host_path_of_another_type(seen: Seen) -> None:
    assert "hostPath type check failed: /etc/hostname is not a directory" in not_mounted(seen)


@pod(runs("touch /v/x", main={
    "volumeMounts": [{"name": "v", "mountPath": "/v"}], "securityContext": {"runAsUser": 1000},
}, volumes=[{"name": "v", "hostPath": {"path": "/etc"}}]))  # fmt: skip
def test_a_host_path_that_the_user_may_not_write(ended: Seen) -> None:
    assert ended.log() == "touch: /v/x: Permission denied\n"


@pod(runs(main={"ports": [{"containerPort": 80, "hostPort": PORT, "hostIP": "127.0.0.1"}]}))
def test_a_port_that_somebody_else_has(seen: Seen) -> None:
    said = seen.cluster.agent.until(lambda: seen.told("FailedCreatePodSandBox"), "the Event")
    assert "address already in use" in said[0]
    assert seen.container()["state"]["waiting"]["reason"] == "ContainerCreating"


@pod(runs(STAYS, main={"volumeMounts": [
    {"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/s", "subPath": "link/inner"},
]}, volumes=[{"name": "v", "emptyDir": {}}], initContainers=[{
    "name": "first", "image": "busybox:1.36", "command": ["ln", "-s", "/etc", "/v/link"],
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
}]))  # fmt: skip
def test_a_sub_path_that_leads_out_of_its_volume(seen: Seen) -> None:
    assert 'failed to prepare subPath for volumeMount "v"' in seen.waiting("CreateContainerConfigError")


@pod(runs(main={"volumeMounts": [{"name": "v", "mountPath": "/s", "subPathExpr": "$(NOBODY)"}]},
          volumes=[{"name": "v", "emptyDir": {}}]))  # fmt: skip
def test_a_sub_path_of_a_variable_that_there_is_not(seen: Seen) -> None:
    assert "missing value for NOBODY" in seen.waiting("CreateContainerConfigError")


@pod(runs(main={"securityContext": {"runAsNonRoot": True, "runAsUser": 0}}))
def test_root_where_root_is_forbidden(seen: Seen) -> None:
    assert "container's runAsUser breaks non-root policy" in seen.waiting("CreateContainerConfigError")


@pod(runs(securityContext={"sysctls": [{"name": "vm.swappiness", "value": "1"}]}))
def test_a_kernel_parameter_of_the_whole_machine(ended: Seen) -> None:
    assert ended.status["reason"] == "SysctlForbidden"


@pod(runs(securityContext={"sysctls": [{"name": "kernel.shm_rmid_forced", "value": "no number"}]}))
def test_a_kernel_parameter_with_a_value_that_the_kernel_does_not_take(seen: Seen) -> None:
    said = seen.cluster.agent.until(lambda: seen.told("FailedCreatePodSandBox"), "the Event")
    assert "shm_rmid_forced" in said[0]


@pod(runs(main={"resources": {"limits": {"memory": "1Mi"}}}))
def test_a_memory_limit_below_what_the_engine_takes(seen: Seen) -> None:
    assert "memory limit" in seen.waiting("CreateContainerError").lower()


@pod(runs(main={"securityContext": {"capabilities": {"add": ["NO_SUCH"]}}}))
def test_a_capability_that_there_is_not(seen: Seen) -> None:
    assert "NO_SUCH" in seen.waiting("CreateContainerError")


@pod(runs(STAYS, restartPolicy="Always", main={
    "livenessProbe": {"exec": {"command": ["sleep", "600"]}, "timeoutSeconds": 500, "periodSeconds": 1},
}))  # fmt: skip
def test_a_probe_that_hangs(running: Seen) -> None:
    assert running.container()["restartCount"] == 0


@pod(runs(STAYS, restartPolicy="Always", main={
    "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1},
}))  # fmt: skip
def test_a_good_pod_is_disturbed_by_none_of_them(running: Seen) -> None:
    """It runs last: all the others have been tried by now, some of them several times."""
    running.until(lambda status: status["containerStatuses"][0]["ready"], "to be ready")
    assert running.container()["restartCount"] == 0
    assert len(running.told("Started")) == 1
    assert running.told("Unhealthy") == []


def test_an_object_that_comes_later_heals_its_pod(cluster: Cluster) -> None:
    cluster.create(config_map("no-such", {"key": "there"}))
    cluster.seen("a-missing-config-map").running()
