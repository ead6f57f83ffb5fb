"""Pods for the simulated world: a few shapes, each in versions, as manifests and as API objects.

Belongs here: spelling pods. May not be here: when they come and go (`simscenario`).
There are few enough of them that their manifests, once read, are found again by later seeds.
"""

from __future__ import annotations

import json
from functools import lru_cache
from random import Random
from typing import Any, Final

from minikubelet.model.pod import ProbeKind
from minikubelet.simulation.simprobes import hook, question

SHAPES: Final = 32
VERSIONS: Final = 4
_PLAIN: Final = 16
"""so many of the shapes have neither probes nor hooks nor volumes"""
_OWN: Final = 24
"""from here on, the containers of a shape have restart policies of their own, and some of them rules"""
NAMESPACE: Final = "kube-system"
MARKED: Final = "secret-"
"""how the value of every container's variable begins"""

_SCRIPTS: Final = (
    ("run",),
    ("run",),
    ("term", "1.5", "run"),
    ("ignore-term", "run"),
    ("sleep", "3", "exit", "1"),
    ("sleep", "40", "exit", "1"),
    ("sleep", "2", "oom"),
)
_PROBES: Final = {
    "startupProbe": ProbeKind.STARTUP,
    "readinessProbe": ProbeKind.READINESS,
    "livenessProbe": ProbeKind.LIVENESS,
}
_HOOKS: Final = {"postStart": hook("sleep", "0.3"), "preStop": hook("sleep", "1.5")}
_JOBS: Final = (("sleep", "3", "exit", "0"), ("sleep", "3", "exit", "1"), ("sleep", "30", "exit", "0"))


@lru_cache(maxsize=1024)
def _spec(shape: int, version: int, *, static: bool) -> dict[str, Any]:
    random = Random(f"shape {shape} {static}")  # noqa: S311 - no secret
    policy = "Always"
    if not static:
        policy = random.choice(("Always", "Always", "OnFailure", "Never"))
    scripts = _SCRIPTS if policy == "Always" else _JOBS
    main = [_container(name, version, random.choice(scripts)) for name in "ab"[: random.choice((1, 1, 2))]]
    for container in main if shape >= _OWN else ():
        _own_policy(container, random)
    if static and random.random() < 1 / 4:
        main[0]["ports"] = [{"containerPort": 80, "hostPort": 8000 + shape}]
    init = []
    if random.random() < 1 / 4:
        init.append(_container("setup", version, ("sleep", "1", "exit", "0")))
    if random.random() < 1 / 6:
        init.append({**_container("side", version, ("run",)), "restartPolicy": "Always"})
    spec: dict[str, Any] = {
        "containers": main,
        "restartPolicy": policy,
        "terminationGracePeriodSeconds": random.choice((0, 1, 2, 5, 8)),
    }
    if init:
        spec["initContainers"] = init
    if not static and random.random() < 1 / 8:
        spec["activeDeadlineSeconds"] = 25
    for container in (*main, *init) if _PLAIN <= shape < _OWN else ():
        if container["name"] != "setup":
            _ask(container, random)
            container["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
            spec["volumes"] = [{"name": "scratch", "emptyDir": {}}]
    return spec


def _own_policy(container: dict[str, Any], random: Random) -> None:
    """Give a container a restart policy of its own, before its pod's; one that may end ends by itself."""
    own = random.choice(("Always", "OnFailure", "Never"))
    container["restartPolicy"] = own
    container["command"] = list(random.choice(_SCRIPTS if own == "Always" else _JOBS))
    if random.random() < 1 / 2:
        operator, values = random.choice((("In", [1]), ("In", [2, 137]), ("NotIn", [0])))
        codes = {"operator": operator, "values": values}
        container["restartPolicyRules"] = [{"action": "Restart", "exitCodes": codes}]


def _ask(container: dict[str, Any], random: Random) -> None:
    """Give a container probes and hooks."""
    for name, kind in _PROBES.items():
        if random.random() < 1 / 2:
            continue
        container[name] = {
            "exec": {"command": question(kind)},
            "periodSeconds": random.choice((1, 2, 5)),
            "timeoutSeconds": random.choice((1, 3)),
            "failureThreshold": random.choice((1, 2, 3)),
            "initialDelaySeconds": random.choice((0, 0, 2)),
        }
        if kind is ProbeKind.READINESS:
            container[name]["successThreshold"] = random.choice((1, 2))
        elif random.random() < 1 / 3:
            container[name]["terminationGracePeriodSeconds"] = random.choice((1, 3))
    hooks = {name: {"exec": {"command": words}} for name, words in _HOOKS.items() if random.random() < 1 / 4}
    if random.random() < 1 / 8:
        hooks["postStart"] = {"exec": {"command": hook("sleep", "0.1", "exit", "1")}}
    if hooks:
        container["lifecycle"] = hooks


def _container(name: str, version: int, script: tuple[str, ...]) -> dict[str, Any]:
    return {
        "name": name,
        "image": f"app:{version}",
        "command": list(script),
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": "TOKEN", "value": f"{MARKED}{version}"}],
    }


@lru_cache(maxsize=4096)
def manifest(name: str, shape: int, version: int) -> bytes:
    """A static pod's manifest."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": _spec(shape % SHAPES, version % VERSIONS, static=True),
    }
    return json.dumps(pod, indent=1).encode()


def broken(name: str, version: int) -> bytes:
    """A manifest that says something wrong."""
    text = manifest(name, 0, version)
    return (text.replace(b'"image"', b'"imgae"'), text[: len(text) // 2], b"\x00\xff", b"kind: Pod\n a: [")[
        version % 4
    ]


def half(content: bytes) -> bytes:
    """The first part of a manifest."""
    return content[: len(content) // 2]


def api_pod(name: str, shape: int, version: int, node: str) -> dict[str, Any]:
    """A pod as it is bound to the node at the API server."""
    spec: dict[str, Any] = json.loads(json.dumps(_spec(shape % SHAPES, version % VERSIONS, static=False)))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {**spec, "nodeName": node},
    }


def is_broken(content: bytes) -> bool:
    """Whether a manifest is one of those that say something wrong, or only half of one."""
    try:
        pod = json.loads(content)
    except ValueError:
        return True
    return b"imgae" in content or not isinstance(pod, dict)
