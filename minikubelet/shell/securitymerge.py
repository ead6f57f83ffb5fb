"""The security context that holds for a container: its own settings before its pod's.

Follows upstream's securitycontext/util.go and kuberuntime/security_context.go. May not be here: how an
engine keeps it.
"""

from __future__ import annotations

from minikubelet.core.apparmor import profile_of
from minikubelet.model.pod import (
    AppArmorProfile,
    Container,
    Pod,
    PodSecurityContext,
    SeccompProfile,
    SecurityContext,
    SELinuxOptions,
)
from minikubelet.ports.runtimeport import RuntimeFault, Security
from minikubelet.shell.podpaths import PodPaths

_CONFIG_ERROR = "CreateContainerConfigError"


def merged_security(pod: Pod, container: Container, paths: PodPaths) -> Security:
    """The settings of both, in the runtime's terms; raises RuntimeFault for what cannot be kept."""
    whole = pod.spec.security_context or PodSecurityContext()
    own = container.security_context or SecurityContext()
    groups = (*((whole.fs_group,) if whole.fs_group is not None else ()), *whole.supplemental_groups)
    return Security(
        run_as_user=whole.run_as_user if own.run_as_user is None else own.run_as_user,
        run_as_group=whole.run_as_group if own.run_as_group is None else own.run_as_group,
        run_as_non_root=bool(whole.run_as_non_root if own.run_as_non_root is None else own.run_as_non_root),
        supplemental_groups=tuple(dict.fromkeys(groups)),
        privileged=bool(own.privileged),
        read_only_root=bool(own.read_only_root_filesystem),
        no_new_privileges=own.allow_privilege_escalation is False,
        add_capabilities=own.capabilities.add if own.capabilities else (),
        drop_capabilities=own.capabilities.drop if own.capabilities else (),
        unmasked_proc=own.proc_mount == "Unmasked",
        seccomp=_seccomp(own.seccomp_profile or whole.seccomp_profile, paths),
        apparmor=_apparmor(profile_of(pod, container)),
        selinux=_selinux(own.se_linux_options or whole.se_linux_options),
    )


def _selinux(options: SELinuxOptions | None) -> tuple[tuple[str, str], ...]:
    if options is None:
        return ()
    every = (("user", options.user), ("role", options.role), ("type", options.type), ("level", options.level))
    return tuple((name, value) for name, value in every if value)


def _apparmor(profile: AppArmorProfile | None) -> str:
    if profile is None:
        return ""
    return f"localhost/{profile.localhost_profile}" if profile.type == "Localhost" else profile.type


def _seccomp(profile: SeccompProfile | None, paths: PodPaths) -> str:
    """As upstream, no profile is no filter (kubernetes.io/docs/tutorials/security/seccomp)."""
    if profile is None:
        return "Unconfined"
    if profile.type != "Localhost":
        return profile.type
    try:
        return str(paths.seccomp_profile(profile.localhost_profile))
    except ValueError as error:
        raise RuntimeFault(_CONFIG_ERROR, str(error)) from error


def verify_non_root(pod: Pod, container: Container, security: Security, image_user: str) -> None:
    """RuntimeFault where `runAsNonRoot` is asked for and root would run; `image_user` as the image has it."""
    if not security.run_as_non_root:
        return
    meta = pod.metadata
    who = f'(pod: "{meta.name}_{meta.namespace}({meta.uid})", container: {container.name})'
    if security.run_as_user is not None:
        if security.run_as_user == 0:
            raise RuntimeFault(_CONFIG_ERROR, f"container's runAsUser breaks non-root policy {who}")
        return
    user = image_user.partition(":")[0]
    if not user or (user.isdecimal() and int(user) == 0):
        raise RuntimeFault(_CONFIG_ERROR, f"container has runAsNonRoot and image will run as root {who}")
    if not user.isdecimal():
        raise RuntimeFault(
            _CONFIG_ERROR,
            f"container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is"
            f" non-root {who}",
        )
