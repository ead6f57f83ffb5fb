"""AppArmor: which profile holds for a container, and whether a pod asks for the host's AppArmor at all.

After upstream's pkg/security/apparmor: a container's own field, then the old annotation, then
the pod's field. May not be here: whether the host has AppArmor, or how an engine is told.
"""

from __future__ import annotations

from typing import Final

from minikubelet.model.pod import AppArmorProfile, Container, Pod

ANNOTATION: Final = "container.apparmor.security.beta.kubernetes.io/"
"""What stands before a container's name in the old annotation."""

NOT_ENABLED: Final = "Cannot enforce AppArmor: AppArmor is not enabled on the host"

_LOCALHOST: Final = "localhost/"
_UNCONFINED: Final = AppArmorProfile(type="Unconfined")


def annotated_profile(value: str) -> AppArmorProfile | None:
    """The profile that the value of an annotation means, None if it means none."""
    if value.startswith(_LOCALHOST) and value != _LOCALHOST:
        return AppArmorProfile(type="Localhost", localhost_profile=value.removeprefix(_LOCALHOST))
    return {"runtime/default": AppArmorProfile(type="RuntimeDefault"), "unconfined": _UNCONFINED}.get(value)


def profile_of(pod: Pod, container: Container) -> AppArmorProfile | None:
    """The profile that holds for a container, None where nothing is said: then the engine's default."""
    own, whole = container.security_context, pod.spec.security_context
    if own is not None and own.app_armor_profile is not None:
        return own.app_armor_profile
    noted = pod.metadata.annotations.get(f"{ANNOTATION}{container.name}", "")
    return annotated_profile(noted) or (whole.app_armor_profile if whole is not None else None)


def wants_apparmor(pod: Pod) -> bool:
    """Whether a profile other than Unconfined is asked for anywhere in the pod."""
    spec = pod.spec
    contexts = (
        spec.security_context,
        *(c.security_context for c in (*spec.init_containers, *spec.containers, *spec.ephemeral_containers)),
    )
    profiles = (context.app_armor_profile for context in contexts if context is not None)
    if any(profile is not None and profile.type != _UNCONFINED.type for profile in profiles):
        return True
    notes = pod.metadata.annotations.items()
    return any(key.startswith(ANNOTATION) and value != "unconfined" for key, value in notes)
