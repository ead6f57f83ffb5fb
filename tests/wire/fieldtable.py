"""What becomes of every field of a pod, per driver; `python -m tests.wire.fieldtable` writes docs/fields.md.

Belongs here: the verdicts that are not plain "honoured", with their reasons, and the table made of them,
upstream's schema and the product's own list of what has no effect (`wire.honoured`). May not be here: checks
of whether they are true, which are beside this module and in `tests/conformance`.
"""

from __future__ import annotations

import ast
import json
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import kubernetes_validate
import msgspec

from minikubelet.model.pod import PodSpec
from minikubelet.wire.honoured import NOT_HONOURED

VERSION = "1.36"
ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "fields.md"
_CORE = "io.k8s.api.core.v1."


class Verdict(Enum):
    """What a driver makes of a field."""

    HONOURED = "honoured"
    REFUSED = "refused"
    IGNORED = "ignored"
    ELSEWHERE = "not the node's"


class Told(NamedTuple):
    """A verdict with its reason or its bounds."""

    verdict: Verdict
    why: str = ""


def _all(verdict: Verdict, why: str, *names: str) -> dict[str, Told]:
    return dict.fromkeys(names, Told(verdict, why))


_VOLUMES = (
    "awsElasticBlockStore azureDisk azureFile cephfs cinder csi ephemeral fc flexVolume flocker"
    " gcePersistentDisk gitRepo glusterfs image iscsi nfs persistentVolumeClaim photonPersistentDisk"
    " portworxVolume quobyte rbd scaleIO storageos vsphereVolume"
)

EVERYWHERE: dict[str, Told] = {
    **_all(
        Verdict.ELSEWHERE,
        "for schedulers",
        "PodSpec.preemptionPolicy",
        "PodSpec.schedulerName",
        "PodSpec.schedulingGates",
        "PodSpec.schedulingGroup",
        "PodSpec.topologySpreadConstraints",
        "Affinity.podAffinity",
        "Affinity.podAntiAffinity",
        "NodeAffinity.preferredDuringSchedulingIgnoredDuringExecution",
    ),
    **_all(
        Verdict.REFUSED,
        "the pod waits with `MountVolume.SetUp failed`, and a warning names it",
        *(f"Volume.{name}" for name in _VOLUMES.split()),
        "VolumeProjection.clusterTrustBundle",
        "VolumeProjection.podCertificate",
    ),
    **_all(
        Verdict.ELSEWHERE,
        "API servers allow none on ephemeral containers",
        "EphemeralContainer.lifecycle",
        "EphemeralContainer.livenessProbe",
        "EphemeralContainer.ports",
        "EphemeralContainer.readinessProbe",
        "EphemeralContainer.resources",
        "EphemeralContainer.restartPolicy",
        "EphemeralContainer.restartPolicyRules",
        "EphemeralContainer.startupProbe",
    ),
    "PodSpec.serviceAccount": Told(Verdict.ELSEWHERE, "API servers copy it into serviceAccountName"),
    "Toleration.tolerationSeconds": Told(Verdict.ELSEWHERE, "for the controller that evicts"),
    "PodSpec.hostUsers": Told(Verdict.HONOURED, "`false` is refused: no user namespace per pod"),
    "ContainerRestartRule.action": Told(
        Verdict.HONOURED, "`Restart`; `RestartAllContainers` has no effect, and a warning says so"
    ),
    "LifecycleHandler.tcpSocket": Told(Verdict.REFUSED, "the hook fails, as upstream's"),
    "VolumeMount.recursiveReadOnly": Told(Verdict.HONOURED, "`Enabled` is refused"),
}

DOCKER: dict[str, Told] = {
    **_all(
        Verdict.HONOURED,
        "refused where the engine has no AppArmor: `AppArmor`; `Unconfined` never is",
        "PodSecurityContext.appArmorProfile",
        "SecurityContext.appArmorProfile",
    ),
    "PodSecurityContext.supplementalGroupsPolicy": Told(
        Verdict.HONOURED, "`Strict` is refused: `SupplementalGroupsPolicyNotSupported`"
    ),
}

PROCESS: dict[str, Told] = {
    "EphemeralContainer.targetContainerName": Told(
        Verdict.HONOURED, "processes are in the host's namespaces whatever it says"
    ),
    **_all(
        Verdict.REFUSED,
        "the container waits with a reason that names it",
        "Container.stdinOnce",
        "EphemeralContainer.stdinOnce",
        "PodSecurityContext.appArmorProfile",
        "PodSecurityContext.seLinuxOptions",
        "PodSecurityContext.seccompProfile",
        "SecurityContext.appArmorProfile",
        "SecurityContext.seLinuxOptions",
        "SecurityContext.seccompProfile",
    ),
    "PodSecurityContext.sysctls": Told(Verdict.REFUSED, "they would be set for the whole machine"),
    "SecurityContext.readOnlyRootFilesystem": Told(
        Verdict.HONOURED, "refused unless the image is a directory"
    ),
    "VolumeMount.mountPropagation": Told(Verdict.HONOURED, "`Bidirectional` is refused"),
    "Container.image": Told(
        Verdict.HONOURED, "a directory is the root; a name is not used, and a warning says so"
    ),
    **_all(
        Verdict.IGNORED,
        "processes use the host's own files; a warning says so",
        "PodSpec.dnsConfig",
        "PodSpec.dnsPolicy",
        "PodSpec.hostAliases",
    ),
    "ContainerPort.hostPort": Told(Verdict.IGNORED, "nothing is mapped; a warning says so where it differs"),
    "ResourceRequirements.limits": Told(
        Verdict.IGNORED, "admitted, told and kept in mind by the OOM score, not enforced; a warning says so"
    ),
    **_all(
        Verdict.HONOURED,
        "as the variable HOSTNAME",
        "PodSpec.hostname",
        "PodSpec.hostnameOverride",
        "PodSpec.setHostnameAsFQDN",
        "PodSpec.subdomain",
    ),
    **_all(
        Verdict.HONOURED,
        "processes are in the host's namespaces whatever it says",
        "PodSpec.hostIPC",
        "PodSpec.hostNetwork",
        "PodSpec.hostPID",
        "PodSpec.shareProcessNamespace",
    ),
    "SecurityContext.privileged": Told(Verdict.HONOURED, "a process has the agent's rights anyway"),
    "SecurityContext.procMount": Told(Verdict.HONOURED, "a process sees the host's /proc unmasked"),
}

SIMULATED: dict[str, Told] = {}
DRIVERS = {"docker": DOCKER, "process": PROCESS, "simulated": SIMULATED}


def schema() -> dict[str, dict[str, Any]]:
    """The types that a PodSpec is made of, each with its properties, in the order in which they are met."""
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    text = (folder / f"v{VERSION}.0-local-strict" / "_definitions.json").read_text(encoding="utf-8")
    definitions = json.loads(text)["$defs"]
    found: dict[str, dict[str, Any]] = {}

    def walk(name: str) -> None:
        kind = name.rpartition(".")[2]
        if kind in found:
            return
        found[kind] = definitions[name].get("properties", {})
        for one in found[kind].values():
            for reference in references(one):
                walk(reference)

    walk(f"{_CORE}PodSpec")
    return found


def references(value: Any) -> Iterator[str]:
    """The names of the types that a property is made of."""
    if isinstance(value, dict):
        if "$ref" in value:
            yield str(value["$ref"]).rpartition("/")[2]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


def without_effect() -> dict[str, Told]:
    """The fields that the product warns of, by type and name."""
    found: dict[str, Told] = {}
    for path in sorted(NOT_HONOURED):
        *above, last = path.replace("[]", "").split(".")[1:]
        kind: type[msgspec.Struct] = PodSpec
        for name in above:
            field = next(f for f in msgspec.structs.fields(kind) if f.encode_name == name)
            kind = next(_structs(field.type))
        found[f"{kind.__name__}.{last}"] = Told(Verdict.IGNORED, "a warning names it")
    return found


def _structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for inner in typing.get_args(kind):
        yield from _structs(inner)


def verdicts() -> dict[str, dict[str, Told]]:
    """For each driver what becomes of every field; below one without effect all share its fate."""
    return {driver: _verdicts({**without_effect(), **EVERYWHERE, **own}) for driver, own in DRIVERS.items()}


def _verdicts(special: dict[str, Told]) -> dict[str, Told]:
    types = schema()
    found: dict[str, Told] = {}

    def walk(kind: str, above: Told | None) -> None:
        for name, shape in types[kind].items():
            key = f"{kind}.{name}"
            told = above or special.get(key, Told(Verdict.HONOURED))
            if key in found and (found[key] == told or above is not None):
                continue  # another way leads to it on which it has an effect
            found[key] = told
            dead = told.verdict is not Verdict.HONOURED
            for reference in references(shape):
                walk(reference.rpartition(".")[2], Told(told.verdict, f"as {key}") if dead else None)

    walk("PodSpec", None)
    return found


def proofs() -> dict[str, list[str]]:
    """The tests that say which fields they prove, by field."""
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in _named(node):
                found.setdefault(name, []).append(path.name)
    return found


def _named(node: ast.AST) -> list[str]:
    """The fields in a call of `fields(…)`."""
    match node:
        case ast.Call(func=ast.Name(id="fields") | ast.Attribute(attr="fields")):
            return [str(arg.value) for arg in node.args if isinstance(arg, ast.Constant)]
        case _:
            return []


_HEAD = """\
# What becomes of each field of a pod

Every field of core/v1's PodSpec as of {version}: {fields} fields of {types} types. **honoured** works as
upstream's, and a test proves it; **refused** is said with a reason, in the pod's status or an Event, and
nothing is done half; **ignored** has no effect, and a warning says so; **not the node's** has none upstream.
The simulated driver runs nothing: what only a program would see is resolved and passed on, as for Docker.

| driver | fields |
|---|---|
| docker | {docker} |
| process | {process} |
| simulated | {simulated} |

Written by `python -m tests.wire.fieldtable` from upstream's schema, the tests and the lists that the agent
itself goes by; a test fails where it is not what these say.
"""


def page() -> str:
    """The table as a page."""
    every, types = verdicts(), schema()
    counts = {
        driver: ", ".join(
            f"{sum(t.verdict is verdict for t in told.values())} {verdict.value}" for verdict in Verdict
        )
        for driver, told in every.items()
    }
    named = [kind for kind, properties in types.items() if properties]
    lines = [_HEAD.format(version=VERSION, fields=len(every["docker"]), types=len(named), **counts)]
    for kind in named:
        lines += [f"## {kind}", "", "| field | docker | process | simulated |", "|---|---|---|---|"]
        for name in types[kind]:
            cells = [_cell(every[driver][f"{kind}.{name}"]) for driver in DRIVERS]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(told: Told) -> str:
    return f"{told.verdict.value}: {told.why}" if told.why else told.verdict.value


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
