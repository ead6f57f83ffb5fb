"""The API server's defaults for pods, which static pods and the stub API server's need as well.

Belongs here: what upstream's `SetDefaults_*` fill in. May not be here: anything about this node.
Filling in twice changes nothing.
"""

from __future__ import annotations

import re
from typing import TypeVar

from msgspec.structs import replace

from minikubelet.model.pod import (
    Container,
    ContainerPort,
    DownwardAPIVolumeFile,
    DownwardAPIVolumeSource,
    EmptyDirVolumeSource,
    EnvVar,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    ObjectFieldSelector,
    Pod,
    PodSecurityContext,
    PodSpec,
    Probe,
    ResourceRequirements,
    ServiceAccountTokenProjection,
    Volume,
    VolumeProjection,
)
from minikubelet.model.podbase import (
    DnsPolicy,
    ImagePullPolicy,
    Protocol,
    RestartPolicy,
    TerminationMessagePolicy,
    UriScheme,
)

TERMINATION_GRACE_PERIOD_SECONDS = 30
TERMINATION_MESSAGE_PATH = "/dev/termination-log"
SCHEDULER = "default-scheduler"
_FILE_MODE = 0o644
_TOKEN_SECONDS = 3600
C = TypeVar("C", bound=Container)
_TAG = re.compile(r":([^:/@]+)$")


def with_defaults(pod: Pod) -> Pod:
    """Fill in everything that a pod leaves to the API server."""
    spec = pod.spec
    filled = replace(
        spec,
        containers=tuple(_container(one, spec) for one in spec.containers),
        init_containers=tuple(_container(one, spec) for one in spec.init_containers),
        ephemeral_containers=tuple(_container(one, spec) for one in spec.ephemeral_containers),
        volumes=tuple(_volume(one) for one in spec.volumes),
        restart_policy=spec.restart_policy or RestartPolicy.ALWAYS.value,
        dns_policy=spec.dns_policy or DnsPolicy.CLUSTER_FIRST.value,
        scheduler_name=spec.scheduler_name or SCHEDULER,
        security_context=spec.security_context or PodSecurityContext(),
    )
    if spec.termination_grace_period_seconds is None:
        filled = replace(filled, termination_grace_period_seconds=TERMINATION_GRACE_PERIOD_SECONDS)
    if spec.enable_service_links is None:
        filled = replace(filled, enable_service_links=True)
    return replace(pod, spec=filled)


def default_pull_policy(image: str) -> str:
    """Always for the tag `latest` or none, IfNotPresent for any other tag and for digests."""
    if "@" in image:
        return ImagePullPolicy.IF_NOT_PRESENT.value
    tag = _TAG.search(image)
    latest = tag is None or tag[1] == "latest"
    return (ImagePullPolicy.ALWAYS if latest else ImagePullPolicy.IF_NOT_PRESENT).value


def _container(container: C, spec: PodSpec) -> C:
    return replace(
        container,
        image_pull_policy=container.image_pull_policy or default_pull_policy(container.image),
        termination_message_path=container.termination_message_path or TERMINATION_MESSAGE_PATH,
        termination_message_policy=container.termination_message_policy
        or TerminationMessagePolicy.FILE.value,
        ports=tuple(_port(one, host_network=spec.host_network) for one in container.ports),
        env=tuple(_variable(one) for one in container.env),
        resources=_resources(container.resources),
        liveness_probe=_probe(container.liveness_probe),
        readiness_probe=_probe(container.readiness_probe),
        startup_probe=_probe(container.startup_probe),
        lifecycle=_lifecycle(container.lifecycle),
    )


def _port(port: ContainerPort, *, host_network: bool) -> ContainerPort:
    host_port = port.host_port or (port.container_port if host_network else 0)
    return replace(port, protocol=port.protocol or Protocol.TCP.value, host_port=host_port)


def _variable(variable: EnvVar) -> EnvVar:
    source = variable.value_from
    if source is None or source.field_ref is None:
        return variable
    return replace(variable, value_from=replace(source, field_ref=_field_ref(source.field_ref)))


def _field_ref(ref: ObjectFieldSelector) -> ObjectFieldSelector:
    return replace(ref, api_version=ref.api_version or "v1")


def _resources(resources: ResourceRequirements) -> ResourceRequirements:
    return replace(resources, requests={**resources.limits, **resources.requests})


def _probe(probe: Probe | None) -> Probe | None:
    if probe is None:
        return None
    return replace(
        probe,
        http_get=_http_get(probe.http_get),
        timeout_seconds=probe.timeout_seconds or 1,
        period_seconds=probe.period_seconds or 10,
        success_threshold=probe.success_threshold or 1,
        failure_threshold=probe.failure_threshold or 3,
    )


def _http_get(action: HTTPGetAction | None) -> HTTPGetAction | None:
    if action is None:
        return None
    return replace(action, path=action.path or "/", scheme=action.scheme or UriScheme.HTTP.value)


def _lifecycle(lifecycle: Lifecycle | None) -> Lifecycle | None:
    if lifecycle is None:
        return None
    return replace(lifecycle, post_start=_hook(lifecycle.post_start), pre_stop=_hook(lifecycle.pre_stop))


def _hook(hook: LifecycleHandler | None) -> LifecycleHandler | None:
    return None if hook is None else replace(hook, http_get=_http_get(hook.http_get))


def _volume(volume: Volume) -> Volume:
    if volume == Volume(name=volume.name):
        return replace(volume, empty_dir=EmptyDirVolumeSource())
    if volume.image is not None and not volume.image.pull_policy:
        policy = default_pull_policy(volume.image.reference)
        volume = replace(volume, image=replace(volume.image, pull_policy=policy))
    if volume.config_map is not None and volume.config_map.default_mode is None:
        volume = replace(volume, config_map=replace(volume.config_map, default_mode=_FILE_MODE))
    if volume.secret is not None and volume.secret.default_mode is None:
        volume = replace(volume, secret=replace(volume.secret, default_mode=_FILE_MODE))
    if volume.downward_api is not None:
        volume = replace(volume, downward_api=_downward(volume.downward_api))
    if volume.projected is not None:
        projected = volume.projected
        mode = _FILE_MODE if projected.default_mode is None else projected.default_mode
        sources = tuple(_projection(one) for one in projected.sources)
        volume = replace(volume, projected=replace(projected, default_mode=mode, sources=sources))
    return volume


def _downward(source: DownwardAPIVolumeSource) -> DownwardAPIVolumeSource:
    mode = _FILE_MODE if source.default_mode is None else source.default_mode
    return replace(source, default_mode=mode, items=_files(source.items))


def _files(files: tuple[DownwardAPIVolumeFile, ...]) -> tuple[DownwardAPIVolumeFile, ...]:
    return tuple(
        one if one.field_ref is None else replace(one, field_ref=_field_ref(one.field_ref)) for one in files
    )


def _projection(part: VolumeProjection) -> VolumeProjection:
    if part.downward_api is not None:
        items = _files(part.downward_api.items)
        part = replace(part, downward_api=replace(part.downward_api, items=items))
    if part.service_account_token is not None:
        part = replace(part, service_account_token=_token(part.service_account_token))
    return part


def _token(token: ServiceAccountTokenProjection) -> ServiceAccountTokenProjection:
    seconds = _TOKEN_SECONDS if token.expiration_seconds is None else token.expiration_seconds
    return replace(token, expiration_seconds=seconds)
