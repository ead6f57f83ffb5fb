"""What the API server demands of a pod when it is created or changed.

Pure; returns causes for a 422. Here are names, images, and what may change later; the rules for the values
of fields are those of a manifest (`wire.check_pod`), so that no pod comes in that a node cannot read.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from minikubelet.model.pod import Pod
from minikubelet.stubapi.stubnames import is_label
from minikubelet.stubapi.stubpoddefaults import containers_of
from minikubelet.stubapi.stubstatus import Cause
from minikubelet.wire.check_pod import check_pod
from minikubelet.wire.defaults import with_defaults
from minikubelet.wire.fieldpaths import Finding, Findings, spell_path
from minikubelet.wire.fitting import fit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from minikubelet.stubapi.stubresources import Obj

MIRROR = "kubernetes.io/config.mirror"
_FORBIDDEN = "FieldValueForbidden"
_REASONS = {
    "Required value": "FieldValueRequired",
    "Unsupported value": "FieldValueNotSupported",
    "Duplicate value": "FieldValueDuplicate",
    "Not found": "FieldValueNotFound",
    "Forbidden": _FORBIDDEN,
    "Too many": "FieldValueTooMany",
    "Too long": "FieldValueTooLong",
    "Invalid type": "FieldValueTypeInvalid",
}
_RESTART = ("Always", "OnFailure", "Never")
_IMMUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`, "
    "`spec.initContainers[*].image`, `spec.activeDeadlineSeconds` or "
    "`spec.tolerations` (only additions to existing tolerations)"
)


def check_new_pod(pod: Obj) -> list[Cause]:
    """What is wrong with a new pod's spec."""
    spec = pod["spec"]
    causes = []
    if not spec.get("containers"):
        causes.append(Cause("spec.containers", "Required value", "FieldValueRequired"))
    if spec["restartPolicy"] not in _RESTART:
        causes.append(_unsupported("spec.restartPolicy", spec["restartPolicy"], _RESTART))
    names: set[str] = set()
    for field in ("initContainers", "containers"):
        for place, container in enumerate(spec.get(field) or []):
            causes += _check_container(f"spec.{field}[{place}]", container, names)
    causes += _check_volumes(spec)
    if spec.get("ephemeralContainers"):
        causes.append(Cause("spec.ephemeralContainers", "Forbidden: cannot be set on create", _FORBIDDEN))
    return causes or _broken_rules(pod)


def _broken_rules(pod: Obj) -> list[Cause]:
    """What breaks the rules that a manifest has to keep too; metadata has rules for every kind of object."""
    findings = Findings()
    wanted = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": pod["spec"]}
    read = fit(wanted, Pod, findings, strict=False)
    if read is not None and not findings.found:
        check_pod(with_defaults(read), findings)
    return [_cause(one) for one in findings.found]


def _cause(one: Finding) -> Cause:
    kind = one.message.partition(":")[0]
    return Cause(spell_path(one.path), one.message, _REASONS.get(kind, "FieldValueInvalid"))


def _unsupported(field: str, value: Any, supported: tuple[str, ...]) -> Cause:
    wanted = ", ".join(f'"{name}"' for name in supported)
    return Cause(field, f'Unsupported value: "{value}": supported values: {wanted}', "FieldValueNotSupported")


def _check_name(path: str, name: Any, seen: set[str]) -> Iterator[Cause]:
    if not name:
        yield Cause(f"{path}.name", "Required value", "FieldValueRequired")
    elif not isinstance(name, str) or not is_label(name):
        yield Cause(f"{path}.name", f'Invalid value: "{name}": must be a lowercase RFC 1123 label')
    elif name in seen:
        yield Cause(f"{path}.name", f'Duplicate value: "{name}"', "FieldValueDuplicate")
    else:
        seen.add(name)


def _check_container(path: str, container: Obj, names: set[str]) -> Iterator[Cause]:
    yield from _check_name(path, container.get("name"), names)
    image = container.get("image")
    if not image:
        yield Cause(f"{path}.image", "Required value", "FieldValueRequired")
    elif image.strip() != image:
        yield Cause(
            f"{path}.image", f'Invalid value: "{image}": must not have leading or trailing whitespace'
        )


def _check_volumes(spec: Obj) -> Iterator[Cause]:
    names: set[str] = set()
    for place, volume in enumerate(spec.get("volumes") or []):
        yield from _check_name(f"spec.volumes[{place}]", volume.get("name"), names)
    for field in ("initContainers", "containers"):
        for place, container in enumerate(spec.get(field) or []):
            for index, mount in enumerate(container.get("volumeMounts") or []):
                path = f"spec.{field}[{place}].volumeMounts[{index}]"
                if mount.get("name") not in names:
                    yield Cause(f"{path}.name", f'Not found: "{mount.get("name")}"', "FieldValueNotFound")
                if not mount.get("mountPath"):
                    yield Cause(f"{path}.mountPath", "Required value", "FieldValueRequired")


def check_pod_update(old: Obj, new: Obj) -> list[Cause]:
    """What a change of a pod touches that must stay as it is."""
    causes = list(_check_mirror(old, new))
    before, after = old["spec"], copy.deepcopy(new["spec"])
    causes += _check_images(after)
    for mine, theirs in zip(containers_of(after), containers_of(before), strict=False):
        mine["image"] = theirs.get("image")
    causes += _check_deadline(before, after)
    _keep(after, before, "activeDeadlineSeconds")
    tolerations = after.get("tolerations") or []
    if all(toleration in tolerations for toleration in before.get("tolerations") or []):
        _keep(after, before, "tolerations")
    if after != before:
        changed = sorted(key for key in {*after, *before} if after.get(key) != before.get(key))
        text = f"{_IMMUTABLE}; changed: {', '.join(changed)}"
        causes.append(Cause("spec", f"Forbidden: {text}", "FieldValueForbidden"))
    return causes


def _check_images(spec: Obj) -> Iterator[Cause]:
    for field in ("initContainers", "containers"):
        for place, container in enumerate(spec.get(field) or []):
            if not container.get("image"):
                yield Cause(f"spec.{field}[{place}].image", "Required value", "FieldValueRequired")


def _keep(spec: Obj, old: Obj, key: str) -> None:
    spec.pop(key, None)
    if key in old:
        spec[key] = old[key]


def _check_deadline(before: Obj, after: Obj) -> Iterator[Cause]:
    old, new = before.get("activeDeadlineSeconds"), after.get("activeDeadlineSeconds")
    if old is not None and (new is None or new > old):
        field = "spec.activeDeadlineSeconds"
        yield Cause(field, f"Invalid value: {new}: must be less than or equal to previous value")


def _check_mirror(old: Obj, new: Obj) -> Iterator[Cause]:
    before = (old["metadata"].get("annotations") or {}).get(MIRROR)
    after = (new["metadata"].get("annotations") or {}).get(MIRROR)
    if before != after:
        what = "add" if before is None else "remove or update"
        field = f"metadata.annotations[{MIRROR}]"
        yield Cause(field, f"Forbidden: may not {what} mirror pod annotation", "FieldValueForbidden")


_NOT_EPHEMERAL = ("ports", "livenessProbe", "readinessProbe", "startupProbe", "lifecycle")


def with_ephemeral(obj: Obj, old: Obj) -> Obj:
    """The stored pod with the ephemeral containers of a request, and nothing else of it."""
    asked = (obj.get("spec") or {}).get("ephemeralContainers") or []
    return {**old, "metadata": obj["metadata"], "spec": {**old["spec"], "ephemeralContainers": asked}}


def check_ephemeral(old: Obj, new: Obj) -> list[Cause]:
    """What is wrong with the ephemeral containers that a pod is to have; those it has stay as they are."""
    if MIRROR in (old["metadata"].get("annotations") or {}):
        return [Cause("", "Forbidden: static pods do not support ephemeral containers", _FORBIDDEN)]
    spec, path = new["spec"], "spec.ephemeralContainers"
    plain = [each.get("name") for each in containers_of(spec)]
    names = {str(name) for name in plain}
    asked = {each.get("name"): each for each in spec["ephemeralContainers"]}
    causes: list[Cause] = []
    for known in old["spec"].get("ephemeralContainers") or []:
        now = asked.get(known["name"])
        if now != known:
            done = "removed" if now is None else "changed"
            why = f'Forbidden: existing ephemeral containers "{known["name"]}" may not be {done}'
            causes.append(Cause(path, why, _FORBIDDEN))
    for place, container in enumerate(spec["ephemeralContainers"]):
        here = f"{path}[{place}]"
        causes += _check_container(here, container, names)
        target = container.get("targetContainerName")
        if target and target not in plain:
            causes.append(
                Cause(f"{here}.targetContainerName", f'Not found: "{target}"', "FieldValueNotFound")
            )
        for field in _NOT_EPHEMERAL:
            if container.get(field):
                why = "Forbidden: cannot be set for an Ephemeral Container"
                causes.append(Cause(f"{here}.{field}", why, _FORBIDDEN))
    return causes
