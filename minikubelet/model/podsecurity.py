"""Security contexts of pods and containers.

Belongs here: the settings as written. May not be here: how a container's and its pod's are merged.
"""

from __future__ import annotations

from minikubelet.model.podbase import ApiStruct, Raw


class SELinuxOptions(ApiStruct, frozen=True, kw_only=True):
    """Labels of SELinux."""

    user: str = ""
    role: str = ""
    type: str = ""
    level: str = ""


class SeccompProfile(ApiStruct, frozen=True, kw_only=True):
    """Filter of system calls: RuntimeDefault, Unconfined, or Localhost with a profile's name."""

    type: str
    localhost_profile: str = ""


class AppArmorProfile(ApiStruct, frozen=True, kw_only=True):
    """AppArmor's profile: RuntimeDefault, Unconfined, or Localhost with a profile's name."""

    type: str
    localhost_profile: str = ""


class Capabilities(ApiStruct, frozen=True, kw_only=True):
    """Capabilities to add to and drop from the runtime's default set, without `CAP_`."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()


class SecurityContext(ApiStruct, frozen=True, kw_only=True):
    """A container's own settings; what is None is taken from the pod's, then from the image."""

    capabilities: Capabilities | None = None
    privileged: bool | None = None
    se_linux_options: SELinuxOptions | None = None
    windows_options: Raw | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    proc_mount: str = ""
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: AppArmorProfile | None = None


class Sysctl(ApiStruct, frozen=True, kw_only=True):
    """A kernel parameter of the pod's namespaces."""

    name: str
    value: str


class PodSecurityContext(ApiStruct, frozen=True, kw_only=True):
    """Settings for all containers of a pod, and those of its volumes and namespaces."""

    se_linux_options: SELinuxOptions | None = None
    windows_options: Raw | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    supplemental_groups: tuple[int, ...] = ()
    supplemental_groups_policy: str = ""
    fs_group: int | None = None
    sysctls: tuple[Sysctl, ...] = ()
    fs_group_change_policy: str = ""
    seccomp_profile: SeccompProfile | None = None
    app_armor_profile: AppArmorProfile | None = None
    se_linux_change_policy: str = ""
