"""Settings of the agent: the honoured part of upstream's KubeletConfiguration, and the agent's own.

Belongs here: fields that something reads, with their defaults. May not be here: reading files
(`wire.settingsfile`), flags, or names of fields that are known but do nothing yet (`wire.settingsnames`).
Durations are seconds, sizes bytes; in a file they are `1m30s` and `10Mi`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec

from minikubelet.model.podbase import ApiStruct, Quantity

Duration = Annotated[float, msgspec.Meta(extra={"duration": True})]
"""Seconds; `1h30m`, `20s` or `100ms` in a file."""

ByteSize = Annotated[int, msgspec.Meta(extra={"bytes": True})]
"""Bytes; a quantity such as `10Mi` in a file."""


class CrashLoopBackOffConfig(ApiStruct, frozen=True, kw_only=True):
    """How long a crashing container waits at most before its next start."""

    max_container_restart_period: Duration = 300.0


class X509Settings(ApiStruct, frozen=True, kw_only=True):
    """Client certificates of which authority are believed; empty: of none."""

    client_ca_file: str = msgspec.field(default="", name="clientCAFile")


class TokenWebhookSettings(ApiStruct, frozen=True, kw_only=True):
    """Whether the API server is asked about bearer tokens (TokenReview)."""

    enabled: bool = True
    cache_ttl: Duration = msgspec.field(default=120.0, name="cacheTTL")


class AnonymousSettings(ApiStruct, frozen=True, kw_only=True):
    """Whether callers without a name get in at all."""

    enabled: bool = False


class AuthenticationSettings(ApiStruct, frozen=True, kw_only=True):
    """Who is who at the node's own API."""

    x509: X509Settings = X509Settings()
    webhook: TokenWebhookSettings = TokenWebhookSettings()
    anonymous: AnonymousSettings = AnonymousSettings()


class AuthorizationMode(StrEnum):
    """Who decides what callers of the node's API may do."""

    ALWAYS_ALLOW = "AlwaysAllow"
    WEBHOOK = "Webhook"


class AccessWebhookSettings(ApiStruct, frozen=True, kw_only=True):
    """How long answers of the API server (SubjectAccessReview) hold."""

    cache_authorized_ttl: Duration = msgspec.field(default=300.0, name="cacheAuthorizedTTL")
    cache_unauthorized_ttl: Duration = msgspec.field(default=30.0, name="cacheUnauthorizedTTL")


class AuthorizationSettings(ApiStruct, frozen=True, kw_only=True):
    """Who may do what at the node's own API; `mode` is the value of an `AuthorizationMode`."""

    mode: str = AuthorizationMode.WEBHOOK.value
    webhook: AccessWebhookSettings = AccessWebhookSettings()


class PriorityGrace(ApiStruct, frozen=True, kw_only=True):
    """How many seconds the pods from this priority on have when the machine goes down."""

    priority: int
    shutdown_grace_period_seconds: int


class LogFormat(StrEnum):
    """How the agent writes its log: lines for people on standard error, or JSON on standard output."""

    TEXT = "text"
    JSON = "json"


class LoggingSettings(ApiStruct, frozen=True, kw_only=True):
    """How much the agent says, and how: `format` is a `LogFormat`'s value, `verbosity` upstream's `-v`."""

    format: str = LogFormat.TEXT.value
    verbosity: int = 0


class KubeletSettings(ApiStruct, frozen=True, kw_only=True):
    """`kubelet.config.k8s.io/v1beta1` KubeletConfiguration as far as it is honoured; upstream's defaults.

    `container_runtime_endpoint` empty leaves the choice to the agent, `static_pod_path` empty is none.
    `max_parallel_image_pulls` None is no limit, and counts only where pulls are not serialised.
    `address` is the loopback one, where upstream listens on all.
    """

    static_pod_path: str = ""
    address: str = "127.0.0.1"
    port: int = 10250
    tls_cert_file: str = ""
    tls_private_key_file: str = ""
    rotate_certificates: bool = False
    server_tls_bootstrap: bool = msgspec.field(default=False, name="serverTLSBootstrap")
    authentication: AuthenticationSettings = AuthenticationSettings()
    authorization: AuthorizationSettings = AuthorizationSettings()
    file_check_frequency: Duration = 20.0
    sync_frequency: Duration = 60.0
    max_pods: int = 110
    pod_pids_limit: int = -1
    allowed_unsafe_sysctls: tuple[str, ...] = ()
    pod_logs_dir: str = "/var/log/pods"
    container_log_max_size: ByteSize = 10 * 1024 * 1024
    container_log_max_files: int = 5
    container_log_monitor_interval: Duration = 10.0
    container_runtime_endpoint: str = ""
    runtime_request_timeout: Duration = 120.0
    serialize_image_pulls: bool = True
    max_parallel_image_pulls: int | None = None
    image_gc_high_threshold_percent: int = msgspec.field(default=85, name="imageGCHighThresholdPercent")
    image_gc_low_threshold_percent: int = msgspec.field(default=80, name="imageGCLowThresholdPercent")
    image_minimum_gc_age: Duration = msgspec.field(default=120.0, name="imageMinimumGCAge")
    image_maximum_gc_age: Duration = msgspec.field(default=0.0, name="imageMaximumGCAge")
    system_reserved: dict[str, Quantity] = msgspec.field(default_factory=dict)
    kube_reserved: dict[str, Quantity] = msgspec.field(default_factory=dict)
    eviction_hard: dict[str, str] | None = None
    eviction_soft: dict[str, str] = msgspec.field(default_factory=dict)
    eviction_soft_grace_period: dict[str, str] = msgspec.field(default_factory=dict)
    eviction_minimum_reclaim: dict[str, str] = msgspec.field(default_factory=dict)
    eviction_pressure_transition_period: Duration = 300.0
    eviction_max_pod_grace_period: int = 0
    merge_default_eviction_settings: bool = False
    register_node: bool = True
    node_status_update_frequency: Duration = 10.0
    node_status_report_frequency: Duration = 300.0
    node_lease_duration_seconds: int = 40
    cluster_dns: tuple[str, ...] = ()
    cluster_domain: str = ""
    resolv_conf: str = "/etc/resolv.conf"
    shutdown_grace_period: Duration = 0.0
    shutdown_grace_period_critical_pods: Duration = 0.0
    shutdown_by_priority: tuple[PriorityGrace, ...] = msgspec.field(
        default=(), name="shutdownGracePeriodByPodPriority"
    )
    streaming_connection_idle_timeout: Duration = 4 * 3600.0
    crash_loop_back_off: CrashLoopBackOffConfig = CrashLoopBackOffConfig()
    logging: LoggingSettings = LoggingSettings()


class ApiServerSettings(ApiStruct, frozen=True, kw_only=True):
    """The embedded stub API server: whether it is started and where it listens; port 0 takes a free one."""

    embed: bool = True
    address: str = "127.0.0.1"
    port: int = 0


class JournalSettings(ApiStruct, frozen=True, kw_only=True):
    """How much history is kept: all segments together, their age, and one segment."""

    max_size: ByteSize = 256 * 1024 * 1024
    max_age: Duration = 7 * 24 * 3600.0
    segment_size: ByteSize = 16 * 1024 * 1024


class AgentSettings(ApiStruct, frozen=True, kw_only=True):
    """`minikubelet.dev/v1alpha1` AgentConfiguration: what upstream's kubelet has no field for.

    `state_dir` and `pause_image` empty leave the choice to the agent and to the driver. `host_root` is where
    an agent in a container has the host's root directory; hostPath volumes are looked at there.
    """

    static_pod_namespace: str = "kube-system"
    state_dir: str = ""
    host_root: str = "/"
    api_server: ApiServerSettings = ApiServerSettings()
    pause_image: str = ""
    journal: JournalSettings = JournalSettings()
    max_concurrent_runtime_calls: int = 16


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Both parts as one file gives them."""

    kubelet: KubeletSettings = KubeletSettings()
    agent: AgentSettings = AgentSettings()
