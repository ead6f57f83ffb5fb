"""Pod making: what turns pods into requests of the runtime and keeps what they were given up to date.

Belongs here: wiring of objects, volumes, images, configurations, log rotation, collecting. May not be here:
what any of them does.
"""

from __future__ import annotations

import os
from collections.abc import Coroutine
from pathlib import Path

from minikubelet.agent.agentplan import AgentPlan
from minikubelet.agent.noderoom import reserved
from minikubelet.model.settings import KubeletSettings
from minikubelet.ports.apiport import Api
from minikubelet.ports.clockport import Clock
from minikubelet.ports.objectport import ObjectReader
from minikubelet.ports.runtimeport import Runtime
from minikubelet.reporting.machinefacts import read_machine
from minikubelet.reporting.nodeobject import allocatable
from minikubelet.shell.imagegc import Disk, ImageGc, ImageGcLimits, disk_of
from minikubelet.shell.images import Images, Noted
from minikubelet.shell.logrotation import LogRotation
from minikubelet.shell.objects import NoObjects
from minikubelet.shell.podconfig import NodeSide, PodConfigMaker
from minikubelet.shell.vault import Vault
from minikubelet.shell.volrefresh import Refresher
from minikubelet.shell.volumes import Volumes
from minikubelet.sources.apiobjects import ApiObjects
from minikubelet.sources.apitokens import ApiTokens

_SECOND = 1_000_000
_PROCESSES = "process"


class PodMaking:
    """The makers of one life; `tasks` run until cancelled."""

    def __init__(
        self,
        plan: AgentPlan,
        runtime: Runtime,
        vault: Vault,
        client: Api | None,
        *,
        clock: Clock,
        noted: Noted,
    ) -> None:
        kubelet = plan.settings.kubelet
        processes = runtime.info.name == _PROCESSES

        def now() -> float:
            return clock.now() / _SECOND

        self._followed = ApiObjects(client, ApiTokens(client, now)) if client is not None else None
        objects: ObjectReader = self._followed or NoObjects()
        host_root = Path(plan.settings.agent.host_root)
        volumes = Volumes(vault.paths, objects, same_user=processes, host_root=host_root)
        parallel = 1 if kubelet.serialize_image_pulls else kubelet.max_parallel_image_pulls or 16
        self.images = Images(runtime, parallel, objects=objects, hide=vault.hide, noted=noted)
        self.configs = PodConfigMaker(
            node_side(plan, runtime),
            vault.paths,
            volumes,
            objects=objects,
            image_user=None if processes else self.images.user,
            hide=vault.hide,
        )
        self._refresher = Refresher(vault, volumes, objects, self.configs.facts)
        self._rotation = LogRotation(
            runtime,
            vault.paths,
            size=kubelet.container_log_max_size,
            files=kubelet.container_log_max_files,
            every=kubelet.container_log_monitor_interval,
            now=now,
        )

        def disk() -> Disk | None:
            where = runtime.info.images_at
            return disk_of(host_root / where.lstrip("/")) if where else None

        self.image_gc = ImageGc(runtime, image_limits(kubelet), disk=disk, now=now)

    def tasks(self) -> list[Coroutine[object, object, None]]:
        """What has to run until cancelled."""
        tasks: list[Coroutine[object, object, None]] = [
            self._refresher.run(),
            self._rotation.run(),
            self.image_gc.run(),
        ]
        if self._followed is not None:
            tasks.append(self._followed.run())
        return tasks


def image_limits(kubelet: KubeletSettings) -> ImageGcLimits:
    """When unused images are collected."""
    return ImageGcLimits(
        high=kubelet.image_gc_high_threshold_percent,
        low=kubelet.image_gc_low_threshold_percent,
        min_age=kubelet.image_minimum_gc_age,
        max_age=kubelet.image_maximum_gc_age,
    )


def node_side(plan: AgentPlan, runtime: Runtime) -> NodeSide:
    """What of the node and its settings goes into requests."""
    kubelet = plan.settings.kubelet
    machine = read_machine(plan.places.root)
    room = allocatable(machine, reserved(kubelet, machine))
    return NodeSide(
        name=plan.node_name,
        ips=plan.node_ips,
        cluster_dns=kubelet.cluster_dns,
        cluster_domain=kubelet.cluster_domain,
        resolv_conf=kubelet.resolv_conf,
        pids_limit=max(0, kubelet.pod_pids_limit),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        allocatable={
            "cpu": f"{room.cpu}m",
            "memory": str(room.memory),
            "ephemeral-storage": str(room.storage),
        },
        writes_hosts=runtime.info.name == "docker",
    )
