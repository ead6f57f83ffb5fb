"""The fields that objects have, and what becomes of those that no object has: left out, warned of or refused.

Belongs here: `fieldValidation` of the API. May not be here: types of fields (`stubshapes`) and their values.
A pod's fields are those of the model, all that upstream has; a status is never looked into. As upstream, a
field that is unknown is not stored.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import inspect as shapes

from minikubelet.model.pod import ObjectMeta, PodSpec
from minikubelet.stubapi.stubrepeated import repeated_in_json, repeated_in_yaml
from minikubelet.stubapi.stubresources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    CONFIGMAPS,
    DAEMONSETS,
    EVENTS,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
    SIGNING_REQUESTS,
    Obj,
    Resource,
)
from minikubelet.stubapi.stubstatus import bad_request, invalid_patch

if TYPE_CHECKING:
    from collections.abc import Iterable

_Known: TypeAlias = "dict[str, _Known] | None"
"""The names below a field, of its items where it is a list; None where any may be."""

_FOUND_MAX: Final = 100
_TEXT_MAX: Final = 256
_TEXTS_MAX: Final = 4096


class FieldValidation(StrEnum):
    """What becomes of a write with unknown fields."""

    IGNORE = "Ignore"
    WARN = "Warn"
    STRICT = "Strict"


class FieldCheck:
    """Looks at the fields of one request's object; what there is to warn of is kept in `warnings`."""

    def __init__(self, directive: FieldValidation) -> None:
        self._directive = directive
        self._repeated: list[str] = []
        self.warnings: tuple[str, ...] = ()

    def look(self, content: bytes, *, is_yaml: bool) -> None:
        """Take note of keys that stand twice in a body, which has been read before."""
        if self._directive is not FieldValidation.IGNORE:
            found = repeated_in_yaml(content) if is_yaml else repeated_in_json(content)
            self._repeated = [_printable(text, quotes=True) for text in found[:_FOUND_MAX]]

    def pruned(self, resource: Resource, obj: Obj, *, patched: bool = False) -> Obj:
        """The object without unknown fields.

        Raises:
            ApiError: if the client asked for strictness: 400, or 422 for what a patch led to, as upstream.
        """
        found: list[str] = []
        kept: Obj = _pruned(obj, known_fields(resource), "", found)
        texts = (*self._repeated, *(f'unknown field "{path}"' for path in found))
        if texts and self._directive is FieldValidation.STRICT:
            why = f"strict decoding error: {', '.join(texts)}"
            if patched:
                raise invalid_patch(why)
            kind, version = resource.kind, resource.api_version
            raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {why}')
        self.warnings = texts if self._directive is FieldValidation.WARN else ()
        return kept

    def headers(self) -> Iterable[tuple[str, str]]:
        """The warnings as headers, each and all of them of bounded length."""
        left = _TEXTS_MAX
        for text in self.warnings:
            short = text[:_TEXT_MAX].replace("\\", "\\\\").replace('"', '\\"')
            left -= len(short)
            if left < 0:
                return
            yield "Warning", f'299 - "{short}"'


def without_unknown(resource: Resource, obj: Obj) -> Obj:
    """The object without unknown fields, as an older release of this server may have stored them."""
    kept: Obj = _pruned(obj, known_fields(resource), "", [])
    return kept


def _pruned(value: Any, known: _Known, path: str, found: list[str]) -> Any:
    if known is None:
        return value
    if isinstance(value, list):
        return [_pruned(item, known, f"{path}[{place}]", found) for place, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, child in value.items():
        here = f"{path}.{key}" if path else str(key)
        if key in known:
            kept[key] = _pruned(child, known[key], here, found)
        elif len(found) < _FOUND_MAX:
            found.append(_printable(here))
    return kept


def _printable(text: str, *, quotes: bool = False) -> str:
    """A text that cannot end a header's line or, without `quotes`, those around it."""
    return "".join(c if " " <= c <= "~" and (quotes or c != '"') else "?" for c in text)


def _names(text: str, **below: _Known) -> dict[str, _Known]:
    return {**dict.fromkeys(text.split()), **below}


_SUBJECT = _names("kind apiGroup name namespace")
_RULE = _names("verbs apiGroups resources resourceNames nonResourceURLs")
_BINDING: dict[str, _Known] = {"subjects": _SUBJECT, "roleRef": _names("apiGroup kind name")}
_OF: Final[dict[Resource, dict[str, _Known]]] = {
    CONFIGMAPS: _names("data binaryData immutable"),
    SECRETS: _names("data stringData type immutable"),
    SERVICEACCOUNTS: _names("secrets imagePullSecrets automountServiceAccountToken"),
    EVENTS: _names(
        "involvedObject reason message source firstTimestamp lastTimestamp count type eventTime series action"
        " related reportingComponent reportingInstance"
    ),
    NAMESPACES: _names("status", spec=_names("finalizers")),
    NODES: _names(
        "status",
        spec=_names("podCIDR podCIDRs providerID unschedulable taints configSource externalID"),
    ),
    LEASES: {
        "spec": _names(
            "holderIdentity leaseDurationSeconds acquireTime renewTime leaseTransitions strategy"
            " preferredHolder"
        )
    },
    SERVICES: _names(
        "status",
        spec=_names(
            "allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName"
            " externalTrafficPolicy healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy"
            " loadBalancerClass loadBalancerIP loadBalancerSourceRanges publishNotReadyAddresses selector"
            " sessionAffinity sessionAffinityConfig trafficDistribution type",
            ports=_names("name protocol appProtocol port targetPort nodePort"),
        ),
    ),
    SIGNING_REQUESTS: _names(
        "status", spec=_names("request signerName expirationSeconds usages username uid groups extra")
    ),
    ROLES: {"rules": _RULE},
    CLUSTER_ROLES: _names("aggregationRule", rules=_RULE),
    ROLE_BINDINGS: _BINDING,
    CLUSTER_ROLE_BINDINGS: _BINDING,
}


@cache
def known_fields(resource: Resource) -> dict[str, _Known]:
    """The names of a kind's fields, and of the fields in them."""
    meta, pod = _below(shapes.type_info(ObjectMeta)), _below(shapes.type_info(PodSpec))
    if resource == PODS:
        own = _names("status", spec=pod)
    elif resource == DAEMONSETS:
        selector = _names("matchLabels", matchExpressions=_names("key operator values"))
        strategy = _names("type", rollingUpdate=_names("maxUnavailable maxSurge"))
        template: _Known = {"metadata": meta, "spec": pod}
        spec = _names("minReadySeconds revisionHistoryLimit", selector=selector, updateStrategy=strategy)
        own = _names("status", spec={**spec, "template": template})
    else:
        own = _OF[resource]
    return {"apiVersion": None, "kind": None, "metadata": meta, **own}


def _below(shape: shapes.Type) -> _Known:
    match shape:
        case shapes.StructType():
            return {field.encode_name: _below(field.type) for field in shape.fields}
        case shapes.VarTupleType():
            return _below(shape.item_type)
        case shapes.UnionType():
            kinds = [_below(each) for each in shape.types if not isinstance(each, shapes.NoneType)]
            return kinds[0] if len(kinds) == 1 else None
        case _:
            return None
