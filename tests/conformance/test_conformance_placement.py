"""What decides whether a node takes a pod, when it counts as ready, and fields that few pods have."""

import pytest

from tests.conformance.conformance_world import STAYS, Cluster, Obj, Seen, fields, pod, runs, secret

pytestmark = [pytest.mark.e2e, pytest.mark.docker]


def wants(kind: str, *terms: Obj) -> Obj:
    """Node affinity with one term of these requirements."""
    required = {"nodeSelectorTerms": [{kind: list(terms)}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


@pod(runs("echo ran", nodeSelector={"kubernetes.io/os": "linux"}))
@fields("PodSpec.nodeSelector")
def test_a_pod_whose_selector_fits_runs(ended: Seen) -> None:
    assert ended.log() == "ran\n"


@pod(runs("echo ran", nodeSelector={"disk": "of-gold"}))
@fields("PodSpec.nodeSelector")
def test_a_pod_whose_selector_does_not_fit_is_refused(ended: Seen) -> None:
    assert (ended.status["phase"], ended.status["reason"]) == ("Failed", "NodeAffinity")


LINUX = {"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}


@pod(runs("echo ran", affinity=wants("matchExpressions", LINUX, {"key": "gold", "operator": "DoesNotExist"})))
@fields(
    "PodSpec.affinity", "Affinity.nodeAffinity", "NodeSelector.nodeSelectorTerms",
    "NodeAffinity.requiredDuringSchedulingIgnoredDuringExecution", "NodeSelectorTerm.matchExpressions",
    "NodeSelectorRequirement.key", "NodeSelectorRequirement.operator", "NodeSelectorRequirement.values",
)  # fmt: skip
def test_a_pod_whose_affinity_fits_runs(ended: Seen) -> None:
    assert ended.log() == "ran\n"


@pod(runs(affinity=wants("matchFields", {"key": "metadata.name", "operator": "In", "values": ["other"]})))
@fields("NodeSelectorTerm.matchFields")
def test_a_pod_for_a_node_of_another_name_is_refused(ended: Seen) -> None:
    assert ended.status["reason"] == "NodeAffinity"


@pod(runs(overhead={"cpu": "4000"}))
@fields("PodSpec.overhead")
def test_a_pods_overhead_counts(ended: Seen) -> None:
    assert ended.status["reason"] == "OutOfcpu"


@fields(
    "PodSpec.tolerations", "Toleration.key", "Toleration.operator", "Toleration.value", "Toleration.effect"
)  # fmt: skip
def test_a_taint_keeps_out_what_does_not_bear_it(cluster: Cluster) -> None:
    """The only test here without a pod of its own: those of the others have long been admitted."""
    node = f"/api/v1/nodes/{cluster.agent.node}"
    taint = {"key": "k", "value": "v", "effect": "NoExecute"}
    bears = {"key": "k", "operator": "Equal", "value": "v", "effect": "NoExecute"}
    for name in ("a-pod-whose-selector-fits-runs", "a-pods-overhead-counts"):
        cluster.seen(name).ended()
    cluster.ask("PATCH", node, {"spec": {"taints": [taint]}}, "application/merge-patch+json")
    _refused(cluster)
    cluster.create({**runs("echo ran", tolerations=[bears]), "metadata": {"name": "bears-it"}})
    assert cluster.seen("bears-it").ended().log() == "ran\n"
    cluster.ask("PATCH", node, {"spec": {"taints": None}}, "application/merge-patch+json")


def _refused(cluster: Cluster) -> None:
    """Until the agent has seen the taint, a pod without toleration still runs: try until one is refused."""
    numbers = iter(range(1000))

    def once() -> bool:
        name = f"bears-nothing-{next(numbers)}"
        cluster.create({**runs("true"), "metadata": {"name": name}})
        return bool(cluster.seen(name).ended().status.get("reason") == "TaintToleration")

    cluster.agent.until(once, "a pod to be refused for the taint")


@pod(runs(readinessGates=[{"conditionType": "example.com/open"}]))
@fields("PodSpec.readinessGates", "PodReadinessGate.conditionType")
def test_a_readiness_gate_is_opened_by_somebody_else(running: Seen) -> None:
    def condition(kind: str) -> Obj:
        found = [c for c in running.status["conditions"] if c["type"] == kind]
        return found[0] if found else {}

    assert condition("ContainersReady")["status"] == "True"
    assert condition("Ready")["reason"] == "ReadinessGatesNotReady"
    opened = {"type": "example.com/open", "status": "True"}
    path = f"/api/v1/namespaces/default/pods/{running.name}/status"
    body = {"status": {"conditions": [opened]}}
    running.cluster.ask("PATCH", path, body, "application/strategic-merge-patch+json")
    running.until(lambda _: condition("Ready")["status"] == "True", "to be ready")


@pod(runs("echo ${A-unset}", main={"env": [
    {"name": "A", "valueFrom": {"secretKeyRef": {"name": "hush", "key": "no-such", "optional": True}}},
]}), secret("hush", {"a": "b"}))  # fmt: skip
@fields("SecretKeySelector.optional")
def test_an_optional_key_of_a_secret_may_be_missing(ended: Seen) -> None:
    assert ended.log() == "unset\n"


@pod(runs("echo ${A-unset}", main={"env": [{"name": "A", "valueFrom": {"fileKeyRef": {
    "volumeName": "v", "path": "no-such", "key": "A", "optional": True,
}}}]}, volumes=[{"name": "v", "emptyDir": {}}]))  # fmt: skip
@fields("FileKeySelector.optional")
def test_an_optional_file_of_variables_may_be_missing(ended: Seen) -> None:
    assert ended.log() == "unset\n"


NOWHERE = {"host": "127.0.0.1", "port": 1}


@pod(runs(STAYS, main={
    "livenessProbe": {"tcpSocket": NOWHERE, "periodSeconds": 1, "failureThreshold": 100},
    "readinessProbe": {"httpGet": NOWHERE, "periodSeconds": 1},
    "ports": [{"containerPort": 1}],
}))  # fmt: skip
@fields("HTTPGetAction.host", "TCPSocketAction.host")
def test_probes_may_ask_another_host(running: Seen) -> None:
    def refused() -> bool:
        return (
            len({said.partition(" ")[0] for said in running.told("Unhealthy") if "127.0.0.1:1" in said}) == 2
        )

    running.cluster.agent.until(refused, "both probes to be refused at that address")


@pod(
    runs(
        main={
            "securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "no/such.json"}}
        }
    )
)
@fields("SeccompProfile.localhostProfile")
def test_a_profile_of_the_node_that_is_missing_is_named(seen: Seen) -> None:
    assert "no/such.json" in seen.waiting("CreateContainerError")
