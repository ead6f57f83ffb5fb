"""Commands, variables, exit codes, last messages: what a container is given, and what is told of its end."""

import pytest

from tests.conformance.conformance_world import Seen, config_map, fields, pod, runs, secret

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

CM = config_map("words", {"one": "1", "two": "2"})
HUSH = secret("hush", {"word": "sesame"})


def var(name: str, source: str, /, **ref: object) -> dict[str, object]:
    """A variable that refers to something."""
    return {"name": name, "valueFrom": {source: ref}}


@pod(runs(main={"command": ["echo"], "args": ["$(GREETING) $$(GREETING)", "$(NOBODY)"],
                "env": [{"name": "GREETING", "value": "hello"}]}))  # fmt: skip
@fields(
    "Container.command", "Container.args", "Container.env", "EnvVar.name", "EnvVar.value", "Container.name"
)
def test_command_and_args_are_expanded_without_a_shell(ended: Seen) -> None:
    assert ended.log() == "hello $(GREETING) $(NOBODY)\n"


@pod(runs(main={"command": None, "args": ["echo", "args alone"]}))
@fields("Container.args")
def test_args_alone_take_the_place_of_the_images_own(ended: Seen) -> None:
    assert ended.log() == "args alone\n"


@pod(runs('echo "$A $B $C"', main={"env": [
    {"name": "A", "value": "a"}, {"name": "B", "value": "$(A)-b"}, {"name": "C", "value": "$(D)"},
    {"name": "D", "value": "d"},
]}))  # fmt: skip
@fields("EnvVar.value")
def test_variables_are_composed_of_earlier_ones(ended: Seen) -> None:
    assert ended.log() == "a a-b $(D)\n"


@pod(runs("echo $ONE; echo ${NONE-unset}; echo $WORD", main={"env": [
    var("ONE", "configMapKeyRef", name="words", key="one"),
    var("NONE", "configMapKeyRef", name="no-such", key="k", optional=True),
    var("WORD", "secretKeyRef", name="hush", key="word"),
]}), CM, HUSH)  # fmt: skip
@fields(
    "EnvVar.valueFrom", "EnvVarSource.configMapKeyRef", "EnvVarSource.secretKeyRef",
    "ConfigMapKeySelector.name", "ConfigMapKeySelector.key", "ConfigMapKeySelector.optional",
    "SecretKeySelector.name", "SecretKeySelector.key",
)  # fmt: skip
def test_single_keys_of_objects_become_variables(ended: Seen) -> None:
    assert ended.log() == "1\nunset\nsesame\n"


@pod(runs("env | grep ^p_ | sort", main={"envFrom": [
    {"prefix": "p_", "configMapRef": {"name": "words"}},
    {"prefix": "p_s_", "secretRef": {"name": "hush"}},
    {"prefix": "p_x_", "configMapRef": {"name": "no-such", "optional": True}},
    {"prefix": "p_y_", "secretRef": {"name": "no-such", "optional": True}},
]}), CM, HUSH)  # fmt: skip
@fields(
    "Container.envFrom", "EnvFromSource.prefix", "EnvFromSource.configMapRef", "EnvFromSource.secretRef",
    "ConfigMapEnvSource.name", "ConfigMapEnvSource.optional", "SecretEnvSource.name",
    "SecretEnvSource.optional",
)  # fmt: skip
def test_whole_objects_become_variables_with_a_prefix(ended: Seen) -> None:
    assert ended.log() == "p_one=1\np_s_word=sesame\np_two=2\n"


@pod(runs(
    "echo $NAME $NS $NODE $IP $HOST $SA; echo $UID_; echo $LABEL; echo $NOTE; echo $IPS",
    metadata={"labels": {"colour": "red"}, "annotations": {"note": "n1"}}, serviceAccountName="default",
    main={"env": [
        var("NAME", "fieldRef", fieldPath="metadata.name"),
        var("NS", "fieldRef", fieldPath="metadata.namespace"),
        var("NODE", "fieldRef", fieldPath="spec.nodeName"), var("IP", "fieldRef", fieldPath="status.podIP"),
        var("IPS", "fieldRef", fieldPath="status.podIPs"), var("HOST", "fieldRef", fieldPath="status.hostIP"),
        var("SA", "fieldRef", fieldPath="spec.serviceAccountName"),
        var("UID_", "fieldRef", fieldPath="metadata.uid", apiVersion="v1"),
        var("LABEL", "fieldRef", fieldPath="metadata.labels['colour']"),
        var("NOTE", "fieldRef", fieldPath="metadata.annotations['note']"),
    ]},
))  # fmt: skip
@fields(
    "EnvVarSource.fieldRef", "ObjectFieldSelector.fieldPath", "ObjectFieldSelector.apiVersion",
    "PodSpec.nodeName", "PodSpec.serviceAccountName",
)  # fmt: skip
def test_fields_of_the_pod_become_variables(ended: Seen) -> None:
    status, whole = ended.status, ended.cluster.pod(ended.name) or {}
    node = ended.cluster.agent.node
    assert ended.log().splitlines() == [
        f"{ended.name} default {node} {status['podIP']} {status['hostIP']} default",
        whole["metadata"]["uid"], "red", "n1", status["podIP"],
    ]  # fmt: skip


@pod(runs("echo $CPU $MEM $RCPU $RMEM $DISK", main={
    "resources": {
        "limits": {"cpu": "1250m", "memory": "64Mi", "ephemeral-storage": "1Gi"},
        "requests": {"cpu": "250m", "memory": "32Mi"},
    },
    "env": [
        var("CPU", "resourceFieldRef", resource="limits.cpu"),
        var("MEM", "resourceFieldRef", resource="limits.memory", divisor="1Mi"),
        var("RCPU", "resourceFieldRef", resource="requests.cpu", divisor="1m"),
        var("RMEM", "resourceFieldRef", containerName="main", resource="requests.memory"),
        var("DISK", "resourceFieldRef", resource="limits.ephemeral-storage"),
    ],
}))  # fmt: skip
@fields(
    "EnvVarSource.resourceFieldRef", "ResourceFieldSelector.resource", "ResourceFieldSelector.divisor",
    "ResourceFieldSelector.containerName",
)  # fmt: skip
def test_resources_become_variables_divided_and_rounded_up(ended: Seen) -> None:
    assert ended.log() == f"2 64 250 {32 << 20} {1 << 30}\n"


@pod(runs("echo $CPU $MEM $DISK", main={"env": [
    var("CPU", "resourceFieldRef", resource="limits.cpu"),
    var("MEM", "resourceFieldRef", resource="limits.memory"),
    var("DISK", "resourceFieldRef", resource="limits.ephemeral-storage"),
]}))  # fmt: skip
@fields("ResourceFieldSelector.resource")
def test_without_limits_the_nodes_allocatable_stands_for_them(ended: Seen) -> None:
    node = ended.cluster.ask("GET", f"/api/v1/nodes/{ended.cluster.agent.node}")["status"]["allocatable"]
    cpu, memory, disk = ended.log().split()
    assert cpu == node["cpu"]
    assert int(memory) == int(node["memory"].removesuffix("Ki")) << 10
    assert int(disk) > 0


@pod(runs("exit 42", main={"terminationMessagePath": "/dev/last"}))
@fields("Container.terminationMessagePath", "PodSpec.restartPolicy")
def test_an_exit_code_fails_the_pod_and_is_told(ended: Seen) -> None:
    assert ended.status["phase"] == "Failed"
    ended_so = ended.container()["state"]["terminated"]
    assert (ended_so["exitCode"], ended_so["reason"]) == (42, "Error")
    assert ended.container()["restartCount"] == 0


@pod(runs("echo -n OK > /dev/last", main={"terminationMessagePath": "/dev/last"}))
@fields("Container.terminationMessagePath")
def test_the_last_message_is_read_from_the_file_that_is_named(ended: Seen) -> None:
    assert ended.container()["state"]["terminated"]["message"] == "OK"
    assert ended.status["phase"] == "Succeeded"


@pod(runs("echo -n DONE > /dev/last", main={
    "terminationMessagePath": "/dev/last", "securityContext": {"runAsUser": 1000},
}))  # fmt: skip
@fields("Container.terminationMessagePath")
def test_the_last_message_can_be_written_by_a_user_who_is_not_root(ended: Seen) -> None:
    assert ended.container()["state"]["terminated"]["message"] == "DONE"


@pod(runs("echo -n from the log; exit 1", main={"terminationMessagePolicy": "FallbackToLogsOnError"}))
@fields("Container.terminationMessagePolicy")
def test_the_last_message_of_a_failure_comes_from_the_log_if_told_so(ended: Seen) -> None:
    assert ended.container()["state"]["terminated"]["message"] == "from the log"


@pod(runs("echo -n no message", main={"terminationMessagePolicy": "FallbackToLogsOnError"}))
@fields("Container.terminationMessagePolicy")
def test_a_success_has_no_message_from_the_log(ended: Seen) -> None:
    assert "message" not in ended.container()["state"]["terminated"]


@pod(runs(
    "echo -n from the log; echo -n from the file > /dev/termination-log; exit 1",
    main={"terminationMessagePolicy": "FallbackToLogsOnError"},
))  # fmt: skip
@fields("Container.terminationMessagePolicy")
def test_the_file_goes_before_the_log(ended: Seen) -> None:
    assert ended.container()["state"]["terminated"]["message"] == "from the file"


@pod(runs("pwd; echo here > file; cat /tmp/file", main={"workingDir": "/tmp"}))
@fields("Container.workingDir")
def test_the_working_directory(ended: Seen) -> None:
    assert ended.log() == "/tmp\nhere\n"


@pod(runs("read line && echo got $line; read more || echo end", main={"stdin": True, "stdinOnce": True}))
@fields("Container.stdin", "Container.stdinOnce")
@pytest.mark.kubectl
def test_standard_input_that_serves_one_client_ends_with_it(running: Seen) -> None:
    """Whoever attaches first is the only one: when it leaves, the container reads an end."""
    running.cluster.agent.kubectl("attach", "-i", running.name, "-c", "main", said="hello\n", code=None)
    assert running.ended().log() == "got hello\nend\n"


@pod(runs("test -t 1 && echo a terminal", main={"tty": True, "stdin": True}))
@fields("Container.tty", "Container.stdin")
def test_a_terminal(ended: Seen) -> None:
    assert ended.log().strip() == "a terminal"


@pod(runs("echo $A", main={
    "env": [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "file.env", "key": "A"}}}],
    }, initContainers=[{
    "name": "first", "image": "busybox:1.36",
    "command": ["sh", "-c", "echo \"A='from a file'\" > /v/file.env"],
    "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }], volumes=[{"name": "v", "emptyDir": {}}]))  # fmt: skip
@fields(
    "EnvVarSource.fileKeyRef", "FileKeySelector.volumeName", "FileKeySelector.path", "FileKeySelector.key",
    "PodSpec.initContainers",
)  # fmt: skip
def test_a_file_of_a_volume_gives_a_variable(ended: Seen) -> None:
    assert ended.log() == "from a file\n"


@pod(runs("env | grep ^WEB_ | sort", enableServiceLinks=True), {
    "kind": "Service", "metadata": {"name": "web"},
    "spec": {"clusterIP": "10.96.0.17", "ports": [{"name": "http", "port": 80}]},
})  # fmt: skip
@fields("PodSpec.enableServiceLinks")
def test_services_are_told_in_variables(ended: Seen) -> None:
    assert "WEB_SERVICE_HOST=10.96.0.17\nWEB_SERVICE_PORT=80\n" in ended.log()


@pod(runs("env | grep ^WEB_; echo none", enableServiceLinks=False))
@fields("PodSpec.enableServiceLinks")
def test_services_are_not_told_where_links_are_off(ended: Seen) -> None:
    assert ended.log() == "none\n"
