"""The rules of validation: for each what is refused, with its field path, and what is allowed beside it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.wire_world import accepted, changed, complaints, reading, small_pod

C = "spec.containers.0"
HTTP = {"httpGet": {"port": 80}}
LONG = "x" * 64


def probe(**fields: object) -> dict[str, Any]:
    return {**HTTP, **fields}


def required(terms: list[object]) -> dict[str, Any]:
    """The node affinity that requires one of these terms."""
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def expressed(**fields: object) -> dict[str, Any]:
    return required([{"matchExpressions": [fields]}])


def named(**fields: object) -> dict[str, Any]:
    return required([{"matchFields": [{"key": "metadata.name", **fields}]}])


REFUSED: list[tuple[str, object, str]] = [
    ("metadata.name", "", "metadata.name: Required value"),
    ("metadata.name", "Web", 'metadata.name: Invalid value: "Web": must be lower case'),
    ("metadata.name", "a..b", "metadata.name: Invalid value"),
    ("metadata.name", "a" * 250, "with the node's name behind it must be no more than 253"),
    ("metadata.name", "a" * 240, "name a directory; together they must not exceed 255"),
    ("metadata.namespace", "a.b", "metadata.namespace: Invalid value"),
    ("metadata.labels", {"a b": "c"}, "metadata.labels.a b: Invalid value"),
    ("metadata.labels", {"a": "b c"}, 'metadata.labels.a: Invalid value: "b c"'),
    ("metadata.labels", {"a": LONG}, "must be no more than 63 characters"),
    ("metadata.labels", {"/a": "b"}, "the part before '/' must not be empty"),
    ("metadata.labels", {"A.b/c": "d"}, "the part before '/' must be lower case"),
    ("metadata.annotations", {"a b": ""}, "metadata.annotations.a b: Invalid value"),
    ("metadata.annotations", {"a": "x" * 300_000}, "metadata.annotations: Too long"),
    ("spec.containers", [], "spec.containers: Required value"),
    (
        "spec.restartPolicy",
        "always",
        'spec.restartPolicy: Unsupported value: "always": supported values: "Always"',
    ),
    ("spec.terminationGracePeriodSeconds", -1, "must be greater than or equal to 0"),
    ("spec.activeDeadlineSeconds", 0, "spec.activeDeadlineSeconds: Invalid value: 0"),
    ("spec.ephemeralContainers", [{"name": "d"}], "spec.ephemeralContainers: Forbidden"),
    ("spec.hostname", "a.b", "spec.hostname: Invalid value"),
    ("spec.subdomain", "A", "spec.subdomain: Invalid value"),
    ("spec.dnsPolicy", "none", "spec.dnsPolicy: Unsupported value"),
    ("spec.dnsPolicy", "None", "spec.dnsConfig: Required value: must provide at least one DNS nameserver"),
    ("spec.dnsConfig", {"nameservers": ["1.1.1.1"] * 4}, "spec.dnsConfig.nameservers: Too many"),
    ("spec.dnsConfig", {"nameservers": ["x"]}, "spec.dnsConfig.nameservers[0]: Invalid value"),
    ("spec.dnsConfig", {"searches": ["a b"]}, "spec.dnsConfig.searches[0]: Invalid value"),
    ("spec.dnsConfig", {"options": [{"value": "1"}]}, "spec.dnsConfig.options[0].name: Required value"),
    ("spec.hostAliases", [{"ip": "x"}], "spec.hostAliases[0].ip: Invalid value"),
    (
        "spec.hostAliases",
        [{"ip": "::1", "hostnames": ["A"]}],
        "spec.hostAliases[0].hostnames[0]: Invalid value",
    ),
    ("spec.tolerations", [{}], "spec.tolerations[0].operator: Invalid value"),
    (
        "spec.tolerations",
        [{"key": "a", "operator": "Gt", "value": "1"}],
        "spec.tolerations[0].operator: Unsupported value",
    ),
    ("spec.tolerations", [{"key": "a", "operator": "In"}], "spec.tolerations[0].operator: Unsupported value"),
    ("spec.tolerations", [{"key": "a", "effect": "No"}], "spec.tolerations[0].effect: Unsupported value"),
    ("spec.tolerations", [{"key": "a", "tolerationSeconds": 1}], "must be NoExecute"),
    ("spec.nodeSelector", {"a": "b c"}, "spec.nodeSelector.a: Invalid value"),
    ("spec.affinity", required([]), "nodeSelectorTerms: Required value: must have at least one"),
    ("spec.affinity", expressed(key="a", operator="In"), "matchExpressions[0].values: Required value"),
    ("spec.affinity", expressed(key="a", operator="Exists", values=["b"]), "[0].values: Forbidden"),
    ("spec.affinity", expressed(key="a", operator="Gt", values=["1", "2"]), "must be a single value when"),
    ("spec.affinity", expressed(key="a", operator="Is"), "matchExpressions[0].operator: Unsupported value"),
    ("spec.affinity", expressed(key="a b", operator="Exists"), "matchExpressions[0].key: Invalid value"),
    ("spec.affinity", required([{"matchFields": [{"key": "a", "operator": "In"}]}]), "[0].key: Unsupported"),
    ("spec.affinity", named(operator="Gt", values=["1"]), "matchFields[0].operator: Unsupported value"),
    ("spec.affinity", named(operator="In", values=["a", "b"]), "must be a single value for a field"),
    ("spec.priority", 5_000_000_000, "spec.priority: Invalid value: 5000000000"),
    ("spec.overhead", {"cpu": "x"}, "spec.overhead.cpu: Invalid value"),
    ("spec.os", {"name": "plan9"}, "spec.os.name: Unsupported value"),
    (
        "spec.readinessGates",
        [{"conditionType": "a b"}],
        "spec.readinessGates[0].conditionType: Invalid value",
    ),
    ("spec.securityContext", {"runAsUser": -1}, "spec.securityContext.runAsUser: Invalid value: -1"),
    ("spec.securityContext", {"sysctls": [{"name": "A", "value": "1"}]}, "sysctls[0].name: Invalid value"),
    ("spec.securityContext", {"seccompProfile": {"type": "Localhost"}}, "localhostProfile: Required value"),
    ("spec.securityContext", {"seccompProfile": {"type": "None"}}, "seccompProfile.type: Unsupported value"),
    # containers
    (f"{C}.name", "", "spec.containers[0].name: Required value"),
    (f"{C}.name", "Main", 'spec.containers[0].name: Invalid value: "Main"'),
    (f"{C}.name", LONG, "must be no more than 63 characters"),
    (f"{C}.image", "", "spec.containers[0].image: Required value"),
    (f"{C}.image", " a", "must not have leading or trailing spaces"),
    (f"{C}.imagePullPolicy", "always", "imagePullPolicy: Unsupported value"),
    (f"{C}.terminationMessagePolicy", "Log", "terminationMessagePolicy: Unsupported value"),
    (
        f"{C}.restartPolicy",
        "Sometimes",
        'restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "Never", "OnFailure"',
    ),
    (
        f"{C}.restartPolicyRules",
        [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}],
        "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are",
    ),
    *(
        ("spec.initContainers", [{"name": "i", "image": "a", "restartPolicy": "Never", **rules}], expected)
        for rules, expected in (
            (
                {"restartPolicyRules": [{"action": "Restart"}]},
                "[0].exitCodes: Required value: must be specified",
            ),
            (
                {"restartPolicyRules": [{"action": "Stop", "exitCodes": {"operator": "In"}}]},
                'action: Unsupported value: "Stop": supported values: "Restart", "RestartAllContainers"',
            ),
            (
                {"restartPolicyRules": [{"action": "Restart", "exitCodes": {"values": [1]}}]},
                'spec.initContainers[0].restartPolicyRules[0].exitCodes.operator: Unsupported value: ""',
            ),
            (
                {"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In"}}] * 21},
                "restartPolicyRules: Too many: 21: must have at most 20 items",
            ),
            (
                {
                    "restartPolicyRules": [
                        {"action": "Restart", "exitCodes": {"operator": "In", "values": [1] * 256}}
                    ]
                },
                "exitCodes.values: Too many: 256: must have at most 255 items",
            ),
        )
    ),
    (f"{C}.ports", [{"containerPort": 0}], "ports[0].containerPort: Invalid value: 0"),
    (f"{C}.ports", [{"containerPort": 1, "hostPort": 65_536}], "ports[0].hostPort: Invalid value: 65536"),
    (f"{C}.ports", [{"containerPort": 1, "protocol": "tcp"}], "ports[0].protocol: Unsupported value"),
    (f"{C}.ports", [{"containerPort": 1, "hostIP": "x"}], "ports[0].hostIP: Invalid value"),
    (f"{C}.ports", [{"containerPort": 1, "name": "a_b"}], "ports[0].name: Invalid value"),
    (
        f"{C}.ports",
        [{"containerPort": n, "name": "a"} for n in (1, 2)],
        'ports[1].name: Duplicate value: "a"',
    ),
    (
        f"{C}.ports",
        [{"containerPort": n, "hostPort": 9} for n in (1, 2)],
        "ports[1].hostPort: Duplicate value: 9",
    ),
    (f"{C}.env", [{"name": ""}], "env[0].name: Required value"),
    (f"{C}.env", [{"name": "A=B"}], "env[0].name: Invalid value"),
    (f"{C}.env", [{"name": "A", "valueFrom": {}}], "env[0].valueFrom: Required value"),
    (
        f"{C}.env",
        [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.x"}}}],
        "fieldPath: Unsupported value",
    ),
    (
        f"{C}.env",
        [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "x"}}}],
        "resource: Unsupported",
    ),
    (f"{C}.envFrom", [{}], "envFrom[0]: Required value"),
    (f"{C}.volumeMounts", [{"name": "gone", "mountPath": "/a"}], 'volumeMounts[0].name: Not found: "gone"'),
    (f"{C}.volumeMounts", [{"name": "data", "mountPath": ""}], "volumeMounts[0].mountPath: Required value"),
    (
        f"{C}.volumeMounts",
        [{"name": "data", "mountPath": "/a"}] * 2,
        "volumeMounts[1].mountPath: Invalid value",
    ),
    (f"{C}.volumeMounts", [{"name": "data", "mountPath": "/a", "subPath": "../x"}], "must not contain '..'"),
    (f"{C}.volumeMounts", [{"name": "data", "mountPath": "/a", "subPath": "/x"}], "must be a relative path"),
    (
        f"{C}.volumeMounts",
        [{"name": "data", "mountPath": "/a", "mountPropagation": "x"}],
        "mountPropagation: Unsup",
    ),
    (
        f"{C}.volumeMounts",
        [{"name": "data", "mountPath": "/a", "mountPropagation": "Bidirectional"}],
        "privileged",
    ),
    (
        f"{C}.volumeMounts",
        [{"name": "data", "mountPath": "/a", "recursiveReadOnly": "Enabled"}],
        "readOnly is true",
    ),
    (f"{C}.resources", {"limits": {"cpu": "x"}}, "resources.limits.cpu: Invalid value"),
    (f"{C}.resources", {"limits": {"cpu": "-1"}}, "must be greater than or equal to 0"),
    (f"{C}.resources", {"limits": {"x.io/gpu": "1.5"}}, "limits[x.io/gpu]: Invalid value"),
    (f"{C}.resources", {"limits": {"gpu": "1"}}, "resources.limits.gpu: Invalid value"),
    (
        f"{C}.resources",
        {"limits": {"cpu": "1"}, "requests": {"cpu": "1001m"}},
        "less than or equal to cpu limit of 1",
    ),
    (f"{C}.securityContext", {"procMount": "x"}, "procMount: Unsupported value"),
    (
        f"{C}.securityContext",
        {"privileged": True, "allowPrivilegeEscalation": False},
        "allowPrivilegeEscalation: Invalid value: false: cannot",
    ),
    # probes and hooks
    (f"{C}.livenessProbe", {}, "livenessProbe: Required value: must specify a handler type"),
    (f"{C}.livenessProbe", probe(exec={"command": ["x"]}), "may not specify more than 1 handler type"),
    (f"{C}.livenessProbe", {"exec": {}}, "livenessProbe.exec.command: Required value"),
    (f"{C}.livenessProbe", {"httpGet": {"port": 0}}, "livenessProbe.httpGet.port: Invalid value: 0"),
    (f"{C}.livenessProbe", {"httpGet": {"port": "a b"}}, "livenessProbe.httpGet.port: Invalid value"),
    (f"{C}.livenessProbe", {"httpGet": {"port": 1, "scheme": "FTP"}}, "scheme: Unsupported value"),
    (f"{C}.livenessProbe", {"grpc": {"port": 70_000}}, "livenessProbe.grpc.port: Invalid value"),
    (f"{C}.livenessProbe", probe(periodSeconds=-1), "livenessProbe.periodSeconds: Invalid value: -1"),
    (
        f"{C}.livenessProbe",
        probe(successThreshold=2),
        "livenessProbe.successThreshold: Invalid value: 2: must be 1",
    ),
    (f"{C}.livenessProbe", probe(terminationGracePeriodSeconds=0), "must be greater than 0"),
    (
        f"{C}.readinessProbe",
        probe(terminationGracePeriodSeconds=1),
        "terminationGracePeriodSeconds: Forbidden",
    ),
    (f"{C}.lifecycle", {"preStop": {}}, "lifecycle.preStop: Required value"),
    (f"{C}.lifecycle", {"preStop": {"sleep": {"seconds": -1}}}, "preStop.sleep.seconds: Invalid value"),
    (
        f"{C}.lifecycle",
        {"preStop": {"sleep": {"seconds": 31}}},
        "must be no more than terminationGracePeriodSeconds (30)",
    ),
    (f"{C}.lifecycle", {"stopSignal": "TERM"}, "lifecycle.stopSignal: Invalid value"),
    # volumes
    ("spec.volumes.0.name", "", "spec.volumes[0].name: Required value"),
    ("spec.volumes.0.name", "A", "spec.volumes[0].name: Invalid value"),
    ("spec.volumes", [{"name": "a"}, {"name": "a"}], "spec.volumes[1].name: Duplicate value"),
    ("spec.volumes.0.hostPath", {"path": "/a"}, "may not specify more than 1 volume type"),
    ("spec.volumes.0", {"name": "a", "hostPath": {"path": ""}}, "hostPath.path: Required value"),
    ("spec.volumes.0", {"name": "a", "hostPath": {"path": "a"}}, "must be an absolute path"),
    ("spec.volumes.0", {"name": "a", "hostPath": {"path": "/a/../b"}}, "must not contain '..'"),
    (
        "spec.volumes.0",
        {"name": "a", "hostPath": {"path": "/a", "type": "Dir"}},
        "hostPath.type: Unsupported value",
    ),
    ("spec.volumes.0.emptyDir", {"medium": "Tape"}, "emptyDir.medium: Unsupported value"),
    ("spec.volumes.0.emptyDir", {"sizeLimit": "-1"}, "emptyDir.sizeLimit: Invalid value"),
    ("spec.volumes.0.emptyDir", {"sizeLimit": "1 Gi"}, "emptyDir.sizeLimit: Invalid value"),
    (
        "spec.volumes.0",
        {"name": "a", "downwardAPI": {"items": [{"path": "../x"}]}},
        "items[0].path: Invalid value",
    ),
    ("spec.volumes.0", {"name": "a", "downwardAPI": {"items": [{"path": "x"}]}}, "items[0]: Required value"),
    ("spec.volumes.0", {"name": "a", "downwardAPI": {"defaultMode": 512}}, "defaultMode: Invalid value: 512"),
    ("spec.volumes.0", {"name": "a", "projected": {"sources": [{}]}}, "projected.sources[0]: Required value"),
    # what only static pods must not do
    (
        "spec.serviceAccountName",
        "default",
        "spec.serviceAccountName: Forbidden: static pods may not refer to service",
    ),
    ("spec.imagePullSecrets", [{"name": "a"}], "spec.imagePullSecrets: Forbidden"),
    ("spec.resourceClaims", [{"name": "a"}], "spec.resourceClaims: Forbidden"),
    (f"{C}.envFrom", [{"secretRef": {"name": "a"}}], "envFrom[0].secretRef: Forbidden"),
    (
        f"{C}.env",
        [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}],
        "KeyRef: Forbidden",
    ),
    ("spec.volumes.0", {"name": "a", "configMap": {"name": "a"}}, "spec.volumes[0].configMap: Forbidden"),
    ("spec.volumes.0", {"name": "a", "secret": {"secretName": "a"}}, "spec.volumes[0].secret: Forbidden"),
    ("spec.volumes.0", {"name": "a", "persistentVolumeClaim": {"claimName": "a"}}, "Claim: Forbidden"),
    (
        "spec.volumes.0",
        {"name": "a", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
        "projected.sources[0].serviceAccountToken: Forbidden",
    ),
]


@pytest.mark.parametrize(("path", "value", "message"), REFUSED)
def test_a_broken_rule_is_named_with_its_field(path: str, value: object, message: str) -> None:
    """One change to a good pod, and the sentence that must be said about it."""
    found = complaints(changed(path, value))
    assert any(message in line for line in found), found


ALLOWED: list[tuple[str, object]] = [
    ("metadata.labels", {"app.kubernetes.io/name": "Web_1.x", "a": ""}),
    ("metadata.annotations", {"Any/Thing": "x" * 1_000}),
    ("spec.restartPolicy", "Never"),
    ("spec.initContainers", [{"name": "s", "image": "a", "restartPolicy": "OnFailure"}]),
    (
        C,
        {
            "name": "a",
            "image": "a",
            "restartPolicy": "Never",
            "restartPolicyRules": [{"action": "RestartAllContainers", "exitCodes": {"operator": "NotIn"}}],
        },
    ),
    ("spec.terminationGracePeriodSeconds", 0),
    ("spec.hostAliases", [{"ip": "::1", "hostnames": ["a.b"]}]),
    ("spec.tolerations", [{"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoSchedule"}]),
    ("spec.dnsConfig", {"searches": [".", "_tcp.x."], "options": [{"name": "ndots", "value": "2"}]}),
    ("spec.affinity", {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}),
    ("spec.affinity", expressed(key="a", operator="In", values=["b"])),
    ("spec.affinity", expressed(key="a", operator="Gt", values=["1"])),
    ("spec.affinity", named(operator="In", values=["node-1"])),
    ("spec.priority", -5),
    (f"{C}.lifecycle", {"preStop": {"sleep": {"seconds": 30}}}),
    (f"{C}.ports", [{"containerPort": 53, "protocol": p, "hostPort": 53} for p in ("TCP", "UDP")]),
    (f"{C}.env", [{"name": "a.b-c d", "value": "x"}, {"name": "A", "valueFrom": {"fieldRef": {
        "fieldPath": "metadata.labels['app']"}}}]),
    (f"{C}.resources", {"limits": {"cpu": 1.5, "memory": "1Gi", "x.io/gpu": 1}, "requests": {"cpu": "100m"}}),
    (f"{C}.livenessProbe", {"httpGet": {"port": "http", "httpHeaders": [{"name": "X-A", "value": "b"}]}}),
    (f"{C}.readinessProbe", {"exec": {"command": ["true"]}, "successThreshold": 3}),
    (f"{C}.lifecycle", {"preStop": {"sleep": {"seconds": 1}}, "stopSignal": "SIGRTMIN+3"}),
    (f"{C}.volumeMounts", [{"name": "data", "mountPath": p, "subPath": "a..b"} for p in ("/a", "/b")]),
    (f"{C}.securityContext", {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}}),
    ("spec.volumes.0.emptyDir", {"medium": "Memory", "sizeLimit": "64Mi"}),
    ("spec.volumes.0", {"name": "data", "hostPath": {"path": "/var/log", "type": "DirectoryOrCreate"}}),
    ("spec.volumes.0", {"name": "data"}),
    ("spec.initContainers", [{"name": "s", "image": "a", "restartPolicy": "Always", "startupProbe": HTTP}]),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), ALLOWED)
def test_what_upstream_allows_is_allowed(path: str, value: object) -> None:
    """The edges of the rules, from inside."""
    assert accepted(changed(path, value)).metadata.name.endswith("-node-1")


def test_names_are_unique_among_init_and_main_containers() -> None:
    """One directory of logs per name."""
    found = complaints(changed("spec.initContainers", [{"name": "main", "image": "a"}]))
    assert any('spec.containers[0].name: Duplicate value: "main"' in line for line in found), found


def test_plain_init_containers_have_neither_probes_nor_hooks() -> None:
    """Nobody would ask them."""
    init = {"name": "i", "image": "a", "readinessProbe": HTTP, "lifecycle": {}}
    found = " ".join(complaints(changed("spec.initContainers", [init])))
    assert "spec.initContainers[0].readinessProbe: Forbidden" in found
    assert "spec.initContainers[0].lifecycle: Forbidden" in found


def test_host_network_makes_host_ports() -> None:
    """On the node's own network a port is the node's."""
    pod = changed(f"{C}.ports", [{"containerPort": 80}])
    pod["spec"]["hostNetwork"] = True
    assert accepted(pod).spec.containers[0].ports[0].host_port == 80
    pod["spec"]["containers"][0]["ports"][0]["hostPort"] = 81
    assert "must match `containerPort`" in " ".join(complaints(pod))


def test_the_limit_of_names_counts_the_nodes_name() -> None:
    """What fits on one node may not fit on another."""
    pod = small_pod()
    pod["metadata"]["name"] = "a" * 100
    assert reading(pod, node_name="n").ok
    assert not reading(pod, node_name="n" * 200).ok
