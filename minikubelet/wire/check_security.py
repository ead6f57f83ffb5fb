"""Rules for the security contexts of pods and containers.

Belongs here: rules on values. May not be here: whether this node allows what is asked for.
"""

from __future__ import annotations

from minikubelet.model.pod import AppArmorProfile, PodSecurityContext, SeccompProfile, SecurityContext
from minikubelet.wire import check_names as names
from minikubelet.wire.fieldpaths import Findings, Path

_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_MAX_ID = 2**31 - 1
_CHANGE_POLICIES = ("OnRootMismatch", "Always")


def check_security(context: SecurityContext, at: Path, findings: Findings) -> None:
    """Check a container's security context."""
    _check_id(context.run_as_user, (*at, "runAsUser"), findings)
    _check_id(context.run_as_group, (*at, "runAsGroup"), findings)
    if context.proc_mount not in ("", "Default", "Unmasked"):
        findings.unsupported((*at, "procMount"), context.proc_mount, ("Default", "Unmasked"))
    if context.allow_privilege_escalation is False:
        path = (*at, "allowPrivilegeEscalation")
        if context.privileged:
            findings.invalid(path, False, "cannot be false while `privileged` is true")
        elif context.capabilities and {"SYS_ADMIN", "CAP_SYS_ADMIN"} & {*context.capabilities.add}:
            findings.invalid(path, False, "cannot be false while `capabilities.add` holds CAP_SYS_ADMIN")
    check_profile(context.seccomp_profile, (*at, "seccompProfile"), findings)
    check_profile(context.app_armor_profile, (*at, "appArmorProfile"), findings)


def check_pod_security(context: PodSecurityContext, at: Path, findings: Findings) -> None:
    """Check a pod's security context."""
    _check_id(context.run_as_user, (*at, "runAsUser"), findings)
    _check_id(context.run_as_group, (*at, "runAsGroup"), findings)
    _check_id(context.fs_group, (*at, "fsGroup"), findings)
    for number, group in enumerate(context.supplemental_groups):
        _check_id(group, (*at, "supplementalGroups", number), findings)
    if context.fs_group_change_policy not in ("", *_CHANGE_POLICIES):
        findings.unsupported((*at, "fsGroupChangePolicy"), context.fs_group_change_policy, _CHANGE_POLICIES)
    if context.supplemental_groups_policy not in ("", "Merge", "Strict"):
        findings.unsupported(
            (*at, "supplementalGroupsPolicy"), context.supplemental_groups_policy, ("Merge", "Strict")
        )
    seen: set[str] = set()
    for number, sysctl in enumerate(context.sysctls):
        path = (*at, "sysctls", number, "name")
        wrong = names.sysctl_name(sysctl.name)
        if not sysctl.name:
            findings.required(path)
        elif wrong:
            findings.invalid(path, sysctl.name, wrong)
        elif sysctl.name in seen:
            findings.duplicate(path, sysctl.name)
        seen.add(sysctl.name)
    check_profile(context.seccomp_profile, (*at, "seccompProfile"), findings)
    check_profile(context.app_armor_profile, (*at, "appArmorProfile"), findings)


def check_profile(profile: SeccompProfile | AppArmorProfile | None, at: Path, findings: Findings) -> None:
    """Check a profile of seccomp or AppArmor: a Localhost one needs its name, the others have none."""
    if profile is None:
        return
    if profile.type not in _PROFILES:
        findings.unsupported((*at, "type"), profile.type, _PROFILES)
    elif profile.type == "Localhost":
        if not profile.localhost_profile:
            findings.required((*at, "localhostProfile"), "must be set when type is Localhost")
        elif names.local_path(profile.localhost_profile):
            findings.invalid(
                (*at, "localhostProfile"), profile.localhost_profile, "must be a relative path without '..'"
            )
    elif profile.localhost_profile:
        findings.invalid(
            (*at, "localhostProfile"), profile.localhost_profile, "can only be set when type is Localhost"
        )


def _check_id(number: int | None, at: Path, findings: Findings) -> None:
    if number is not None and not 0 <= number <= _MAX_ID:
        findings.invalid(at, number, f"must be between 0 and {_MAX_ID}, inclusive")
