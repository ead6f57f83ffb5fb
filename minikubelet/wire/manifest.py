"""A manifest file to static pods and a verdict on each of its documents.

Belongs here: the way from bytes to pods, with what a person is told on it. May not be here: files,
folders, or which of two files wins (`sources`). `read_manifest` is the one entry.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from minikubelet.model.pod import Pod
from minikubelet.wire.check_pod import check_pod
from minikubelet.wire.check_static import check_static, check_static_name
from minikubelet.wire.defaults import with_defaults
from minikubelet.wire.fieldpaths import Finding, Findings, Path, line_of, report, spell
from minikubelet.wire.fitting import fit, kind_of
from minikubelet.wire.honoured import ON_DISK, not_honoured
from minikubelet.wire.staticpod import as_written, to_static_pod
from minikubelet.wire.yamldoc import Node, read_documents

_IN_VAIN = {ON_DISK: "ends no static pod: critical pods are never evicted"}
_FROM_THE_API = (
    "creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp", "finalizers", "generation",
    "managedFields", "ownerReferences", "resourceVersion", "selfLink", "uid",
)  # fmt: skip


class StaticPod(msgspec.Struct, frozen=True):
    """A pod to run, and where it stands: document counted from 0, line from 1."""

    pod: Pod
    document: int
    line: int


class DocumentVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What was made of one document, or of one item of a list.

    `messages` say what is wrong with line and field path, and are empty when `ok`. `name` is that of the
    pod on this node when `ok`, else the one written down, if any.
    """

    ok: bool
    document: int
    line: int
    messages: tuple[str, ...] = ()
    kind: str = ""
    namespace: str = ""
    name: str = ""


class ManifestReading(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds. Unless `ok`, something in it could not be used: keep what it gave before."""

    pods: tuple[StaticPod, ...] = ()
    verdicts: tuple[DocumentVerdict, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every document became a pod."""
        return all(verdict.ok for verdict in self.verdicts)


class _Item(NamedTuple):
    document: int
    node: Node


def read_manifest(data: bytes, *, name: str, node_name: str, namespace: str) -> ManifestReading:
    """Read a manifest; never raises, whatever the bytes are.

    `name` is the file's for warnings, `namespace` is for pods that name none. A fault of syntax ends the
    reading, but not the documents above it.
    """
    read = read_documents(data)
    pods: list[StaticPod] = []
    verdicts: list[DocumentVerdict] = []
    warnings: list[str] = []
    for item in _items(read.documents):
        verdict, pod, noted = _read_item(item, node_name=node_name, namespace=namespace)
        verdicts.append(verdict)
        pods.extend([pod] if pod else [])
        warnings.extend(f"{name}: {text}" for text in noted)
    if read.fault is not None:
        line = read.fault.line or 1
        verdicts.append(_refusal(len(read.documents), line, (str(read.fault),)))
    elif not verdicts:
        verdicts.append(_refusal(0, 1, ("there is no pod in this file",)))
    return ManifestReading(pods=tuple(pods), verdicts=tuple(verdicts), warnings=tuple(warnings))


def _refusal(document: int, line: int, messages: tuple[str, ...]) -> DocumentVerdict:
    return DocumentVerdict(ok=False, document=document, line=line, messages=messages)


def _items(documents: tuple[Node, ...]) -> Iterator[_Item]:
    """Documents, and in place of a list of pods what it holds."""
    for number, node in enumerate(documents):
        items = _member(node, "items")
        is_list = _text(node, "apiVersion") == "v1" and _text(node, "kind") in ("List", "PodList")
        if is_list and items is not None and isinstance(items.value, list):
            only_pods = _text(node, "kind") == "PodList"
            yield from (_Item(number, _as_pod(one) if only_pods else one) for one in items.value)
        else:
            yield _Item(number, node)


def _as_pod(node: Node) -> Node:
    """An item of a PodList, which need not say what it is."""
    if not isinstance(node.value, dict):
        return node
    kind, version = Node("Pod", node.line, node.column), Node("v1", node.line, node.column)
    named: dict[str, Node] = {"kind": kind, "apiVersion": version, **node.value}
    return Node(named, node.line, node.column, node.key_line, node.key_column)


def _read_item(
    item: _Item, *, node_name: str, namespace: str
) -> tuple[DocumentVerdict, StaticPod | None, tuple[str, ...]]:
    node, document = item.node, item.document
    line = node.line
    refused = _no_pod(node)
    if refused:
        verdict = _refusal(document, line, (f"line {line}: {refused}",))
        return msgspec.structs.replace(verdict, kind=_text(node, "kind"), name=_name(node)), None, ()
    warnings = tuple(_ignored(node))
    findings = Findings()
    pod = fit(_without_status(node), Pod, findings)
    static = None
    if pod is not None:
        findings.found.extend(_broken_rules(pod, findings.found))
        static = to_static_pod(pod, node_name=node_name, namespace=namespace)
        if not findings.found:
            check_static_name(static, findings)
        warnings += tuple(f"{path} {_IN_VAIN.get(path, 'has no effect yet')}" for path in not_honoured(pod))
    if static is None or findings.found:
        verdict = _refusal(document, line, report(node, findings.found))
        space = _text(_member(node, "metadata"), "namespace")
        named = msgspec.structs.replace(verdict, kind="Pod", namespace=space, name=_name(node))
        return named, None, ()
    meta = static.metadata
    accepted = DocumentVerdict(
        ok=True, document=document, line=line, kind="Pod", namespace=meta.namespace, name=meta.name
    )
    return accepted, StaticPod(static, document, line), warnings


def _broken_rules(pod: Pod, unfit: list[Finding]) -> list[Finding]:
    """What breaks rules, without what is only said because something beside or in it did not fit its type."""
    findings = Findings()
    check_pod(with_defaults(as_written(pod)), findings)
    check_static(pod, findings)
    if not unfit:
        return findings.found
    return [one for one in findings.found if not any(_concerns(one, other.path) for other in unfit)]


def _concerns(finding: Finding, unfit: Path) -> bool:
    path = finding.path
    shorter = min(len(path), len(unfit))
    lost_volumes = unfit[:2] == ("spec", "volumes") and finding.message.startswith("Not found")
    return path[:shorter] == unfit[:shorter] or lost_volumes


def _no_pod(node: Node) -> str:
    """Why a document is no pod at all; empty if it claims to be one."""
    if not isinstance(node.value, dict):
        return f"expected a v1 Pod, got {kind_of(node.value)}"
    version, kind = _text(node, "apiVersion"), _text(node, "kind")
    if not kind or not version:
        missing = " and ".join(key for key, text in (("apiVersion", version), ("kind", kind)) if not text)
        return f"{missing}: Required value: static pods begin with `apiVersion: v1` and `kind: Pod`"
    if kind in ("List", "PodList") and version == "v1":
        return "items: Invalid type: expected a list"
    if kind != "Pod" and kind.lower() == "pod":
        return f'kind: Unsupported value: {spell(kind)}: supported values: "Pod"'
    if kind != "Pod":
        article = "an" if kind[0] in "AEIOU" else "a"
        what = f"{article} {kind[:60]} is not run from a file"
        return f"{what}: static pods are pods only; create it through the API server"
    if version != "v1":
        return f'apiVersion: Unsupported value: {spell(version)}: supported values: "v1"'
    return ""


def _ignored(node: Node) -> Iterator[str]:
    """What a copy from an API server brings along and a static pod does not take over."""
    metadata = _member(node, "metadata")
    for key in _FROM_THE_API:
        if _member(metadata, key) is not None:
            line = line_of(node, ("metadata", key))
            yield f"line {line}: metadata.{key} is ignored: only an API server sets it"
    status = _member(node, "status")
    if status is not None and status.value not in (None, {}):  # tools write an empty one
        yield f"line {line_of(node, ('status',))}: status is ignored: it is what the agent finds out"


def _without_status(node: Node) -> Node:
    entries = node.value if isinstance(node.value, dict) else {}
    kept: dict[str, Node] = {key: child for key, child in entries.items() if key != "status"}
    return Node(kept, node.line, node.column, node.key_line, node.key_column)


def _member(node: Node | None, key: str) -> Node | None:
    return node.value.get(key) if node is not None and isinstance(node.value, dict) else None


def _text(node: Node | None, key: str) -> str:
    member = _member(node, key)
    return member.value if member is not None and isinstance(member.value, str) else ""


def _name(node: Node) -> str:
    return _text(_member(node, "metadata"), "name")[:253]
