"""What the API server makes of a DaemonSet and demands of it, when it is created or changed.

Pure; returns causes for a 422. What becomes of the pods is in `stubdaemons`; what that cannot do is refused
here: selectors by expressions, surge, node affinity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from minikubelet.stubapi.stubpoddefaults import default_pod
from minikubelet.stubapi.stubpodrules import check_new_pod
from minikubelet.stubapi.stubstatus import Cause

if TYPE_CHECKING:
    from collections.abc import Iterator

    from minikubelet.stubapi.stubresources import Obj

_FORBIDDEN: Final = "FieldValueForbidden"
_REVISIONS: Final = 10
_STRATEGIES: Final = ("OnDelete", "RollingUpdate")
_ZEROS: Final = (
    "currentNumberScheduled",
    "desiredNumberScheduled",
    "numberMisscheduled",
    "numberReady",
)


def complete_daemonset(obj: Obj) -> list[Cause]:
    """Fill in a new DaemonSet, in place, and say what is wrong with it."""
    obj["metadata"]["generation"] = 1
    obj["status"] = dict.fromkeys(_ZEROS, 0)
    return _complete_spec(obj)


def check_daemonset_update(old: Obj, new: Obj) -> list[Cause]:
    """Fill in a changed DaemonSet, in place, and say what may not be changed."""
    causes = _complete_spec(new)
    if new["spec"] != old["spec"]:
        new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
    if new["spec"].get("selector") != old["spec"].get("selector"):
        causes.append(Cause("spec.selector", "Invalid value: field is immutable"))
    return causes


def _complete_spec(obj: Obj) -> list[Cause]:
    spec = obj["spec"] = dict(obj.get("spec") or {})
    strategy = spec["updateStrategy"] = {"type": "RollingUpdate", **_given(spec.get("updateStrategy"))}
    if strategy["type"] == "RollingUpdate":
        given = _given(strategy.get("rollingUpdate"))
        strategy["rollingUpdate"] = {"maxUnavailable": 1, "maxSurge": 0, **given}
    if spec.get("revisionHistoryLimit") is None:
        spec["revisionHistoryLimit"] = _REVISIONS
    template = spec["template"] = {"metadata": {}, **_given(spec.get("template"))}
    default_pod(template)
    return [*_check_selector(spec), *_check_strategy(strategy), *_check_template(template)]


def _given(fields: Any) -> Obj:
    """An object without its nulls."""
    return {key: value for key, value in (fields or {}).items() if value is not None}


def _check_selector(spec: Obj) -> Iterator[Cause]:
    selector = spec.get("selector") or {}
    wanted = selector.get("matchLabels") or {}
    if selector.get("matchExpressions"):
        yield Cause(
            "spec.selector.matchExpressions", "Forbidden: this server matches labels only", _FORBIDDEN
        )
    elif not wanted:
        yield Cause("spec.selector", "Invalid value: empty selector is invalid for daemonset")
    labels = spec["template"]["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        why = "Invalid value: `selector` does not match template `labels`"
        yield Cause("spec.template.metadata.labels", why)


def _check_strategy(strategy: Obj) -> Iterator[Cause]:
    path = "spec.updateStrategy"
    if strategy["type"] not in _STRATEGIES:
        wanted = ", ".join(f'"{each}"' for each in _STRATEGIES)
        why = f'Unsupported value: "{strategy["type"]}": supported values: {wanted}'
        yield Cause(f"{path}.type", why, "FieldValueNotSupported")
    rolling = strategy.get("rollingUpdate") or {}
    if rolling.get("maxSurge", 0) not in (0, "0%"):
        yield Cause(f"{path}.rollingUpdate.maxSurge", "Forbidden: this server does not surge", _FORBIDDEN)
    try:
        unusable = share(rolling.get("maxUnavailable", 1), 100) < 1
    except ValueError:
        unusable = True
    if unusable:
        why = "Invalid value: must be a number or a percentage above nought"
        yield Cause(f"{path}.rollingUpdate.maxUnavailable", why)


def _check_template(template: Obj) -> Iterator[Cause]:
    for cause in check_new_pod(template):
        yield Cause(f"spec.template.{cause.field}", cause.message, cause.reason)
    spec = template["spec"]
    if spec["restartPolicy"] != "Always":
        why = f'Unsupported value: "{spec["restartPolicy"]}": supported values: "Always"'
        yield Cause("spec.template.spec.restartPolicy", why, "FieldValueNotSupported")
    affinity = spec.get("affinity")
    if isinstance(affinity, dict) and affinity.get("nodeAffinity"):
        yield Cause(
            "spec.template.spec.affinity.nodeAffinity",
            "Forbidden: use spec.template.spec.nodeSelector",
            _FORBIDDEN,
        )


def share(given: int | str, of: int) -> int:
    """A number, or a percentage of one rounded up; ValueError for what is neither."""
    if isinstance(given, int):
        return given
    if not given.endswith("%"):
        raise ValueError(given)
    return -(-int(given[:-1]) * of // 100)
