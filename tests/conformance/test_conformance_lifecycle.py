"""Init containers, sidecars, hooks, grace, deadlines and restarts with real containers."""

from typing import Any

import pytest

from tests.conformance.conformance_world import STAYS, Obj, Seen, fields, of_container, pod, runs

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

LOG = [{"name": "log", "emptyDir": {}}]
AT = [{"name": "log", "mountPath": "/log"}]


def step(name: str, script: str, **more: Any) -> Obj:
    """A container that shares the volume of the log."""
    return {
        "name": name,
        "image": "busybox:1.36",
        "command": ["sh", "-c", script],
        "volumeMounts": AT,
        **more,
    }


def _runs_again(status: Obj) -> bool:
    """Whether the only container runs for the second time."""
    told = of_container(status, "main")
    return bool(told) and told["restartCount"] == 1 and "running" in told["state"]


def says(word: str) -> str:
    """A line in the pod's log, with the time in hundredths of a second before it."""
    return f"echo {word} >> /log/all"


@pod(runs("cat /log/all", main={"volumeMounts": AT}, volumes=LOG, initContainers=[
    step("one", f"sleep 0.3; {says('one')}"), step("two", says("two")),
]))  # fmt: skip
@fields("PodSpec.initContainers")
def test_init_containers_run_one_by_one_before_the_others(ended: Seen) -> None:
    assert ended.log() == "one\ntwo\n"
    kinds = [s["state"]["terminated"]["reason"] for s in ended.status["initContainerStatuses"]]
    assert kinds == ["Completed", "Completed"]
    conditions = {c["type"]: c["status"] for c in ended.status["conditions"]}
    assert conditions["Initialized"] == "True"


@pod(runs("echo never", initContainers=[
    {"name": "fails", "image": "busybox:1.36", "command": ["false"]},
    {"name": "second", "image": "busybox:1.36", "command": ["true"]},
]))  # fmt: skip
@fields("PodSpec.initContainers", "PodSpec.restartPolicy")
def test_an_init_container_that_fails_fails_the_pod_that_never_restarts(ended: Seen) -> None:
    assert ended.status["phase"] == "Failed"
    conditions = {c["type"]: c for c in ended.status["conditions"]}
    assert conditions["Initialized"]["reason"] == "ContainersNotInitialized"
    assert conditions["Initialized"]["message"] == "containers with incomplete status: [fails second]"
    assert ended.container()["state"]["waiting"]["reason"] == "PodInitializing"
    assert ended.container("second")["state"]["waiting"]["reason"] == "PodInitializing"


@pod(runs(STAYS, restartPolicy="Always", initContainers=[
    {"name": "fails", "image": "busybox:1.36", "command": ["false"]},
]))  # fmt: skip
@fields("PodSpec.restartPolicy")
def test_an_init_container_that_fails_is_tried_again_with_back_off(seen: Seen) -> None:
    assert "back-off" in seen.waiting("CrashLoopBackOff", "fails")
    seen.until(lambda status: of_container(status, "fails").get("restartCount", 0) >= 1, "to try again")
    assert seen.status["phase"] == "Pending"


@pod(runs(f"until [ -e /log/up ]; do sleep 0.1; done; {says('main')}", main={"volumeMounts": AT}, volumes=LOG,
          initContainers=[
    step("side", f"trap '{says('side-ended')}; exit 0' TERM; touch /log/up; while :; do sleep 0.1; done",
         restartPolicy="Always"),
    step("plain", f"[ -e /log/up ] && {says('plain')}"),
]))  # fmt: skip
@fields("Container.restartPolicy")
def test_a_sidecar_starts_before_and_ends_after_the_main_containers(ended: Seen) -> None:
    assert ended.status["phase"] == "Succeeded"
    ends = {s["name"]: s["state"]["terminated"] for s in (
        *ended.status["initContainerStatuses"], *ended.status["containerStatuses"])}  # fmt: skip
    assert ends["side"]["finishedAt"] >= ends["main"]["finishedAt"]
    assert ends["plain"]["finishedAt"] <= ends["main"]["startedAt"]


@pod(runs("n=$(cat /log/n 2>/dev/null || echo 0); echo $((n+1)) > /log/n; exit $((n == 0))",
          main={"volumeMounts": AT}, volumes=LOG, restartPolicy="OnFailure"))  # fmt: skip
@fields("PodSpec.restartPolicy")
def test_on_failure_restarts_what_failed_and_not_what_succeeded(seen: Seen) -> None:
    assert seen.ended().status["phase"] == "Succeeded"
    assert seen.container()["restartCount"] == 1
    assert seen.container()["lastState"]["terminated"]["exitCode"] == 1


@pod(runs("n=$(cat /log/n 2>/dev/null || echo 0); echo $((n+1)) > /log/n; [ $n = 0 ] || exec sleep 3600",
          main={"volumeMounts": AT}, volumes=LOG, restartPolicy="Always"))  # fmt: skip
@fields("PodSpec.restartPolicy")
def test_always_restarts_what_succeeded(seen: Seen) -> None:
    seen.until(_runs_again, "to be started again")
    assert seen.container()["lastState"]["terminated"]["exitCode"] == 0
    assert seen.status["phase"] == "Running"


@pod(runs("n=$(cat /log/n 2>/dev/null || echo 0); echo $((n+1)) > /log/n; [ $n = 1 ] || exit 42", volumes=LOG,
          restartPolicy="Never", main={"volumeMounts": AT, "restartPolicy": "Never", "restartPolicyRules": [
    {"action": "Restart", "exitCodes": {"operator": "In", "values": [41, 42]}},
]}))  # fmt: skip
@fields(
    "Container.restartPolicyRules",
    "ContainerRestartRule.action",
    "ContainerRestartRule.exitCodes",
    "ContainerRestartRuleOnExitCodes.operator",
    "ContainerRestartRuleOnExitCodes.values",
)
def test_a_rule_restarts_what_its_policy_would_not(ended: Seen) -> None:
    assert ended.status["phase"] == "Succeeded"
    assert ended.container()["restartCount"] == 1
    assert ended.container()["lastState"]["terminated"]["exitCode"] == 42


@pod(runs("exit 42", restartPolicy="Always", main={"restartPolicy": "Never", "restartPolicyRules": [
    {"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [42]}},
]}, initContainers=[step("once", says("once"), restartPolicy="Never")], volumes=LOG))  # fmt: skip
@fields("Container.restartPolicy", "ContainerRestartRuleOnExitCodes.operator")
def test_a_pod_that_always_restarts_ends_where_its_container_never_does(ended: Seen) -> None:
    assert ended.status["phase"] == "Failed"
    assert ended.container()["restartCount"] == 0
    assert ended.exit_code() == 42


@pod(runs("echo never", restartPolicy="Always", initContainers=[
    {"name": "fails", "image": "busybox:1.36", "command": ["false"], "restartPolicy": "Never"},
]))  # fmt: skip
@fields("Container.restartPolicy")
def test_an_init_container_that_never_restarts_fails_its_pod(ended: Seen) -> None:
    assert ended.status["phase"] == "Failed"
    assert ended.exit_code("fails") == 1
    assert ended.container()["state"]["waiting"]["reason"] == "PodInitializing"


@pod(runs(f"until [ -e /log/all ]; do sleep 0.1; done; cat /log/all; {STAYS}", volumes=LOG, main={
    "volumeMounts": AT,
    "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", says("post-start")]}}},
}))  # fmt: skip
@fields("Container.lifecycle", "Lifecycle.postStart", "LifecycleHandler.exec", "ExecAction.command")
def test_a_post_start_hook_runs_in_the_container(running: Seen) -> None:
    running.cluster.agent.until(lambda: running.log() == "post-start\n", "the hook's word")


@pod(runs("sleep 3600", main={"lifecycle": {"postStart": {"httpGet": {"path": "/x", "port": 8089}}}}))
@fields("LifecycleHandler.httpGet")
def test_a_post_start_hook_that_fails_ends_its_container(ended: Seen) -> None:
    assert ended.status["phase"] == "Failed"
    assert any("connection refused" in said.lower() for said in ended.told("FailedPostStartHook"))


SERVES = (
    "mkdir -p /w/cgi-bin; printf '#!/bin/sh\\necho; echo $HTTP_X_WHO > /asked' > /w/cgi-bin/x;"
    " chmod +x /w/cgi-bin/x"
)


@pod(runs(f"{SERVES}; httpd -p 8080 -h /w; {STAYS.replace('exit 0', 'cat /asked; exit 0')}", main={
    "ports": [{"name": "web", "containerPort": 8080}],
    "lifecycle": {"preStop": {"httpGet": {
        "path": "/cgi-bin/x", "port": "web", "httpHeaders": [{"name": "X-Who", "value": "me"}],
    }}},
}, terminationGracePeriodSeconds=20))  # fmt: skip
@fields("LifecycleHandler.httpGet", "Lifecycle.preStop")
def test_a_pre_stop_hook_asks_a_page_of_its_container(seen: Seen) -> None:
    assert seen.ended_by_deadline().log() == "me\n"


@pod(runs(f"{STAYS.replace('exit 0', 'cat /log/all; exit 0')}", volumes=LOG, main={
    "volumeMounts": AT,
    "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", says("pre-stop")]}}},
}, terminationGracePeriodSeconds=20))  # fmt: skip
@fields("Lifecycle.preStop", "PodSpec.activeDeadlineSeconds", "PodSpec.terminationGracePeriodSeconds")
def test_a_deadline_ends_the_pod_after_its_pre_stop_hook(seen: Seen) -> None:
    ended = seen.ended_by_deadline()
    assert ended.log() == "pre-stop\n"
    assert (ended.status["phase"], ended.status["reason"]) == ("Failed", "DeadlineExceeded")
    assert ended.status["message"] == "Pod was active on the node longer than the specified deadline"


@pod(runs(STAYS.replace("exit 0", "date +%s; exit 0"), main={
    "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
}, terminationGracePeriodSeconds=20))  # fmt: skip
@fields("LifecycleHandler.sleep", "SleepAction.seconds")
def test_a_pre_stop_hook_may_sleep(seen: Seen) -> None:
    ended = seen.ended_by_deadline()
    assert ended.log().strip().isdecimal()
    assert ended.exit_code() == 0


@pod(runs("trap 'echo usr1; exit 0' USR1; while :; do sleep 0.1; done", main={
    "lifecycle": {"stopSignal": "SIGUSR1"},
}, os={"name": "linux"}, terminationGracePeriodSeconds=20))  # fmt: skip
@fields("Lifecycle.stopSignal", "PodSpec.os", "PodOS.name")
def test_a_container_is_stopped_with_the_signal_that_it_names(seen: Seen) -> None:
    ended = seen.ended_by_deadline()
    assert ended.log() == "usr1\n"
    assert ended.exit_code() == 0


@pod(runs("trap '' TERM; while :; do sleep 0.1; done", terminationGracePeriodSeconds=1))
@fields("PodSpec.terminationGracePeriodSeconds")
def test_what_does_not_end_in_its_grace_period_is_killed(seen: Seen) -> None:
    assert seen.ended_by_deadline().exit_code() == 137


@pod(runs(STAYS))
def test_a_deleted_pod_ends_and_leaves_the_api_server(running: Seen) -> None:
    running.cluster.delete("pods", running.name)
    running.cluster.agent.until(lambda: running.cluster.pod(running.name) is None, "the pod to be gone")
    assert running.name not in running.cluster.agent.pods()


@pod(runs("trap '' TERM; while :; do sleep 0.1; done", terminationGracePeriodSeconds=1))
def test_a_deletion_by_force_waits_for_nobody(running: Seen) -> None:
    running.cluster.delete("pods", running.name, grace=0)
    assert running.cluster.pod(running.name) is None
    running.cluster.agent.until(
        lambda: running.name not in running.cluster.agent.pods(), "the agent to have ended it"
    )


@pod(runs(STAYS, restartPolicy="Always", metadata={"labels": {"version": "1"}}))
def test_a_change_of_labels_restarts_nothing_and_one_of_the_image_restarts_the_container(
    running: Seen,
) -> None:
    before = running.container()["containerID"]
    running.cluster.patch("pods", running.name, {"metadata": {"labels": {"version": "2"}}})
    changed = [{"name": "main", "image": "busybox:latest", "imagePullPolicy": "IfNotPresent"}]
    spec = (running.cluster.pod(running.name) or {})["spec"]["containers"][0]
    assert running.container()["containerID"] == before
    running.cluster.patch("pods", running.name, {"spec": {"containers": [{**spec, **changed[0]}]}})
    running.until(_runs_again, "to be restarted")
    assert running.container()["image"] == "busybox:latest"
    assert running.container()["containerID"] != before


@pod(runs("cat /proc/self/oom_score_adj", priorityClassName="system-node-critical"))
@fields("PodSpec.priorityClassName")
def test_a_critical_pod_is_not_among_the_first_to_be_killed(ended: Seen) -> None:
    assert int(ended.log()) <= 0
