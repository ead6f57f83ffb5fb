"""Rules for static pods only: they cannot refer to anything that only an API server could give.

Follows upstream's `HasAPIObjectReference`, and what the length of names on disk and at the API allows.
"""

from __future__ import annotations

from collections.abc import Iterator

from minikubelet.model.pod import Container, Pod, PodSpec, Volume, VolumeProjection
from minikubelet.wire import check_names as names
from minikubelet.wire.fieldpaths import Findings, Path

_WHY = "static pods may not refer to {what}; only pods from the API server can"
_MAX_FILE_NAME = 255


def check_static(pod: Pod, findings: Findings) -> None:
    """Add what a pod may not have when it comes from a file."""
    for path, what in _references(pod.spec):
        findings.forbidden(path, _WHY.format(what=what))


def check_static_name(pod: Pod, findings: Findings) -> None:
    """Check the name with the node's suffix, after a pod has been made a static one."""
    name, namespace, uid = pod.metadata.name, pod.metadata.namespace, pod.metadata.uid
    wrong = names.dns_subdomain(name)
    if wrong:
        findings.invalid(("metadata", "name"), name, f"with the node's name behind it {wrong}")
    elif len(f"{namespace}_{name}_{uid}") > _MAX_FILE_NAME:
        why = (
            f"namespace, name and uid name a directory; together they must not exceed {_MAX_FILE_NAME} bytes"
        )
        findings.invalid(("metadata", "name"), name, why)
    wrong = names.dns_label(namespace)
    if wrong:
        findings.invalid(("metadata", "namespace"), namespace, wrong)


def _references(spec: PodSpec) -> Iterator[tuple[Path, str]]:
    if spec.service_account_name:
        yield ("spec", "serviceAccountName"), "service accounts"
    if spec.service_account:
        yield ("spec", "serviceAccount"), "service accounts"
    if spec.image_pull_secrets:
        yield ("spec", "imagePullSecrets"), "Secrets"
    if spec.resource_claims:
        yield ("spec", "resourceClaims"), "resource claims"
    for key, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for number, container in enumerate(containers):
            yield from _container_references(container, ("spec", key, number))
    for number, volume in enumerate(spec.volumes):
        yield from _volume_references(volume, ("spec", "volumes", number))


def _container_references(container: Container, at: Path) -> Iterator[tuple[Path, str]]:
    for number, variable in enumerate(container.env):
        source, here = variable.value_from, (*at, "env", number, "valueFrom")
        if source is not None and source.config_map_key_ref is not None:
            yield (*here, "configMapKeyRef"), "ConfigMaps"
        if source is not None and source.secret_key_ref is not None:
            yield (*here, "secretKeyRef"), "Secrets"
    for number, whole in enumerate(container.env_from):
        if whole.config_map_ref is not None:
            yield (*at, "envFrom", number, "configMapRef"), "ConfigMaps"
        if whole.secret_ref is not None:
            yield (*at, "envFrom", number, "secretRef"), "Secrets"


def _volume_references(volume: Volume, at: Path) -> Iterator[tuple[Path, str]]:
    if volume.config_map is not None:
        yield (*at, "configMap"), "ConfigMaps"
    if volume.secret is not None:
        yield (*at, "secret"), "Secrets"
    if volume.persistent_volume_claim is not None:
        yield (*at, "persistentVolumeClaim"), "persistent volume claims"
    if volume.ephemeral is not None:
        yield (*at, "ephemeral"), "persistent volume claims"
    for number, part in enumerate(volume.projected.sources if volume.projected else ()):
        yield from _projected_references(part, (*at, "projected", "sources", number))


def _projected_references(part: VolumeProjection, at: Path) -> Iterator[tuple[Path, str]]:
    if part.config_map is not None:
        yield (*at, "configMap"), "ConfigMaps"
    if part.secret is not None:
        yield (*at, "secret"), "Secrets"
    if part.service_account_token is not None:
        yield (*at, "serviceAccountToken"), "service accounts"
    if part.cluster_trust_bundle is not None:
        yield (*at, "clusterTrustBundle"), "cluster trust bundles"
    if part.pod_certificate is not None:
        yield (*at, "podCertificate"), "pod certificates"
