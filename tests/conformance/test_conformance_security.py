"""Users, groups, privileges, namespaces and limits as containers have them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conformance_world import STAYS, Obj, Seen, fields, pod, runs

pytestmark = [pytest.mark.e2e, pytest.mark.docker]


def secured(script: str, context: Obj, **spec: Any) -> Obj:
    """A container with a security context."""
    return runs(script, main={"securityContext": context}, **spec)


CAPS = "sed -n 's/^CapEff:\\t//p' /proc/self/status"


@pod(secured("id -u; id -g", {"runAsUser": 1001, "runAsGroup": 3000}))
@fields("Container.securityContext", "SecurityContext.runAsUser", "SecurityContext.runAsGroup")
def test_a_container_runs_as_its_user_and_group(ended: Seen) -> None:
    assert ended.log() == "1001\n3000\n"


@pod(secured("id -u; id -g; id -G", {"runAsUser": 1002}, securityContext={
    "runAsUser": 1001, "runAsGroup": 3000, "supplementalGroups": [4000, 5000],
}))  # fmt: skip
@fields("PodSecurityContext.runAsUser", "PodSecurityContext.runAsGroup",
        "PodSecurityContext.supplementalGroups")  # fmt: skip
def test_the_pods_context_holds_where_the_container_says_nothing(ended: Seen) -> None:
    assert ended.log() == "1002\n3000\n3000 4000 5000\n"


@pod(runs("id -u", securityContext={"runAsUser": 1234, "runAsNonRoot": True}))
@fields("PodSecurityContext.runAsNonRoot")
def test_a_pod_that_may_not_be_root_runs_as_somebody_else(ended: Seen) -> None:
    assert ended.log() == "1234\n"


@pod(secured("id", {"runAsNonRoot": True}))
@fields("SecurityContext.runAsNonRoot")
def test_root_is_refused_where_it_may_not_be(seen: Seen) -> None:
    assert "container has runAsNonRoot and image will run as root" in seen.waiting(
        "CreateContainerConfigError"
    )


@pod(secured("ip link add d0 type dummy && echo allowed", {"privileged": True}))
@fields("SecurityContext.privileged")
def test_a_privileged_container_may_do_what_the_host_may(ended: Seen) -> None:
    """On a host that lacks a capability itself, the engine cannot give all of them, and says so."""
    assert ended.asked()["HostConfig"]["Privileged"]
    end = ended.container()["state"]["terminated"]
    if "unable to apply caps" in end.get("message", ""):
        assert end["exitCode"] != 0
    else:
        assert ended.log() == "allowed\n"


@pod(secured("ip link add d0 type dummy 2>&1 || echo refused", {"privileged": False}))
@fields("SecurityContext.privileged")
def test_others_may_not(ended: Seen) -> None:
    assert ended.log().endswith("refused\n")


@pod(secured("touch /x 2>&1 && echo written", {"readOnlyRootFilesystem": True}))
@fields("SecurityContext.readOnlyRootFilesystem")
def test_a_root_that_is_read_only(ended: Seen) -> None:
    assert ended.log() == "touch: /x: Read-only file system\n"


@pod(secured("touch /x && echo written", {"readOnlyRootFilesystem": False}))
@fields("SecurityContext.readOnlyRootFilesystem")
def test_a_root_that_is_writable(ended: Seen) -> None:
    assert ended.log() == "written\n"


@pod(secured("sed -n 's/^NoNewPrivs:\\t//p' /proc/self/status", {"allowPrivilegeEscalation": False}))
@fields("SecurityContext.allowPrivilegeEscalation")
def test_no_new_privileges(ended: Seen) -> None:
    assert ended.log() == "1\n"


@pod(secured("sed -n 's/^NoNewPrivs:\\t//p' /proc/self/status", {"allowPrivilegeEscalation": True}))
@fields("SecurityContext.allowPrivilegeEscalation")
def test_new_privileges_where_they_are_allowed(ended: Seen) -> None:
    assert ended.log() == "0\n"


@pod(secured(CAPS, {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}))
@fields("SecurityContext.capabilities", "Capabilities.add", "Capabilities.drop")
def test_capabilities_are_added_to_none(ended: Seen) -> None:
    assert int(ended.log(), 16) == 1 << 10


@pod(secured("sed -n 's/^Seccomp:\\t//p' /proc/self/status", {"seccompProfile": {"type": "RuntimeDefault"}}))
@fields("SecurityContext.seccompProfile", "SeccompProfile.type")
def test_the_engines_filter_of_system_calls(ended: Seen) -> None:
    assert ended.log() == "2\n"


@pod(
    runs(
        "sed -n 's/^Seccomp:\\t//p' /proc/self/status",
        securityContext={"seccompProfile": {"type": "Unconfined"}},
    )
)
@fields("PodSecurityContext.seccompProfile")
def test_no_filter_of_system_calls(ended: Seen) -> None:
    assert ended.log() == "0\n"


@pod(secured("awk '$5 ~ /^.proc.(kcore|sys)$/' /proc/self/mountinfo | grep -c .", {"procMount": "Default"}))
@fields("SecurityContext.procMount")
def test_what_is_sensitive_in_proc_is_masked(ended: Seen) -> None:
    assert int(ended.log()) >= 1


@pod(secured("awk '$5 ~ /^.proc.(kcore|sys)$/' /proc/self/mountinfo | grep -c .", {"procMount": "Unmasked"},
             hostPID=True))  # fmt: skip
@fields("SecurityContext.procMount")
def test_proc_unmasked(ended: Seen) -> None:
    assert ended.log() == "0\n"


SYSCTLS = "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start"


@pod(runs(SYSCTLS, securityContext={
    "sysctls": [
        {"name": "kernel.shm_rmid_forced", "value": "1"},
        {"name": "net/ipv4/ip_unprivileged_port_start", "value": "80"},
    ],
}))  # fmt: skip
@fields("PodSecurityContext.sysctls", "Sysctl.name", "Sysctl.value")
def test_kernel_parameters_of_the_pod_in_both_spellings(ended: Seen) -> None:
    assert ended.log() == "1\n80\n"


@pod(runs("readlink /proc/self/ns/pid; readlink /proc/self/ns/net; readlink /proc/self/ns/ipc; hostname",
          hostPID=True, hostNetwork=True, hostIPC=True))  # fmt: skip
@fields("PodSpec.hostPID", "PodSpec.hostNetwork", "PodSpec.hostIPC")
def test_the_hosts_own_namespaces(ended: Seen) -> None:
    own = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in ("pid", "net", "ipc")]
    assert ended.log().splitlines()[:3] == own
    assert ended.status["podIP"] == ended.status["hostIP"]


@pod(runs(STAYS, shareProcessNamespace=True, others=[{
    "name": "other", "image": "busybox:1.36", "command": ["sleep", "3600"],
}]))  # fmt: skip
@fields("PodSpec.shareProcessNamespace")
def test_containers_see_each_others_processes(running: Seen) -> None:
    listing = running.says("ps -o args")
    assert "sleep 3600" in listing
    assert "pause" in listing
    running.cluster.delete("pods", running.name, grace=0)


@pod(runs(STAYS, others=[{"name": "other", "image": "busybox:1.36", "command": ["sleep", "3601"]}]))
@fields("PodSpec.shareProcessNamespace")
def test_containers_do_not_see_each_others_processes_by_default(running: Seen) -> None:
    assert "sleep 3601" not in running.says("ps -o args")
    running.cluster.delete("pods", running.name, grace=0)


LIMITS = {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "250m", "memory": "32Mi"}}
CGROUP = (
    "cat /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpu/cpu.cfs_quota_us"
    " /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null"
    " || cat /sys/fs/cgroup/cpu.weight /sys/fs/cgroup/cpu.max /sys/fs/cgroup/memory.max"
)


@pod(runs(f"{CGROUP}; cat /proc/self/oom_score_adj", main={"resources": LIMITS}))
@fields("Container.resources", "ResourceRequirements.limits", "ResourceRequirements.requests")
def test_requests_and_limits_bound_the_container(ended: Seen) -> None:
    told = ended.log().split()
    assert told[-2] == str(64 << 20)
    assert told[:2] in (["256", "50000"], ["10", "50000"])
    assert 2 < int(told[-1]) < 1000
    assert ended.status["qosClass"] == "Burstable"


@pod(runs("cat /proc/self/oom_score_adj"))
def test_a_pod_that_asks_for_nothing_goes_first(ended: Seen) -> None:
    assert ended.log() == "1000\n"
    assert ended.status["qosClass"] == "BestEffort"


@pod(runs("echo", main={"resources": {"limits": {"cpu": "100m", "memory": "32Mi"}}}))
def test_a_pod_whose_requests_are_its_limits_is_guaranteed(ended: Seen) -> None:
    assert ended.status["qosClass"] == "Guaranteed"


GREEDY = "until [ -e /started ]; do sleep 0.1; done; x=a; while :; do x=$x$x; done"
LIMITED = {
    "resources": {"limits": {"memory": "16Mi"}},
    "lifecycle": {"postStart": {"exec": {"command": ["touch", "/started"]}}},
}


@pod(runs(GREEDY, main=LIMITED))
@fields("ResourceRequirements.limits")
def test_a_container_beyond_its_memory_is_killed_and_it_is_told(ended: Seen) -> None:
    """It is not greedy before its start has returned: the engine begins to watch its memory only then."""
    ended_so = ended.container()["state"]["terminated"]
    assert (ended_so["reason"], ended_so["exitCode"]) == ("OOMKilled", 137)
    assert ended.status["phase"] == "Failed"


USER = "someone"


@pod(secured("echo ran", {"seLinuxOptions": {"user": USER, "role": "r", "type": "t", "level": "s0:c1,c2"}}))
@fields("SecurityContext.seLinuxOptions", "SELinuxOptions.user", "SELinuxOptions.role", "SELinuxOptions.type",
        "SELinuxOptions.level")  # fmt: skip
def test_labels_of_selinux_reach_the_engine(ended: Seen) -> None:
    assert ended.log() == "ran\n"
    options = ended.asked()["HostConfig"]["SecurityOpt"]
    assert {f"label=user:{USER}", "label=role:r", "label=type:t", "label=level:s0:c1,c2"} <= set(options)


@pod(runs(securityContext={"seLinuxOptions": {"type": "pods"}}))
@fields("PodSecurityContext.seLinuxOptions")
def test_labels_of_the_pod_hold_for_its_containers(running: Seen) -> None:
    assert "label=type:pods" in running.asked()["HostConfig"]["SecurityOpt"]
    running.cluster.delete("pods", running.name, grace=0)


@pod(runs(securityContext={"supplementalGroups": [1], "supplementalGroupsPolicy": "Strict"}))
@fields("PodSecurityContext.supplementalGroupsPolicy")
def test_groups_of_the_pod_alone_are_refused_since_the_engine_adds_the_images(ended: Seen) -> None:
    assert ended.status["reason"] == "SupplementalGroupsPolicyNotSupported"


@pod(runs(securityContext={"supplementalGroups": [1], "supplementalGroupsPolicy": "Merge"}))
@fields("PodSecurityContext.supplementalGroupsPolicy")
def test_groups_beside_the_images_are_given(running: Seen) -> None:
    assert "1" in running.says("id -G").split()
    running.cluster.delete("pods", running.name, grace=0)


@pod(runs(hostUsers=False))
@fields("PodSpec.hostUsers")
def test_a_user_namespace_of_its_own_is_refused(seen: Seen) -> None:
    said = seen.cluster.agent.until(lambda: seen.told("FailedCreatePodSandBox"), "the Event")
    assert "hostUsers: false" in said[0]
    assert seen.container()["state"]["waiting"]["reason"] == "ContainerCreating"


@pod(runs("echo ran", hostUsers=True))
@fields("PodSpec.hostUsers")
def test_the_hosts_users_are_what_every_pod_has(ended: Seen) -> None:
    assert ended.log() == "ran\n"


def engine_says(template: str) -> str:
    """What `docker info` makes of a template."""
    done = subprocess.run(
        ["docker", "info", "--format", template], capture_output=True, text=True, check=True
    )
    return done.stdout


def _confined(seen: Seen, profile: str) -> None:
    """The profile holds where the engine has AppArmor; elsewhere the pod is refused as upstream's."""
    if "name=apparmor" not in engine_says("{{.SecurityOptions}}"):
        assert seen.ended().status["reason"] == "AppArmor"
        said = "Pod was rejected: Cannot enforce AppArmor: AppArmor is not enabled on the host"
        assert seen.status["message"] == said
    else:
        assert profile in seen.ended().log()


APPARMOR = "cat /proc/self/attr/current"


@pod(secured(APPARMOR, {"appArmorProfile": {"type": "RuntimeDefault"}}))
@fields("SecurityContext.appArmorProfile", "AppArmorProfile.type")
def test_the_engines_apparmor_profile_holds_or_the_pod_is_refused(seen: Seen) -> None:
    _confined(seen, "docker-default")


@pod(runs(APPARMOR, securityContext={
    "appArmorProfile": {"type": "Localhost", "localhostProfile": "docker-default"},
}))  # fmt: skip
@fields("PodSecurityContext.appArmorProfile", "AppArmorProfile.localhostProfile")
def test_an_apparmor_profile_by_its_name_holds_or_the_pod_is_refused(seen: Seen) -> None:
    _confined(seen, "docker-default")


@pod(secured("true", {"appArmorProfile": {"type": "Unconfined"}}))
@fields("SecurityContext.appArmorProfile")
def test_a_container_that_wants_no_apparmor_runs_anywhere(ended: Seen) -> None:
    assert ended.status["phase"] == "Succeeded"
