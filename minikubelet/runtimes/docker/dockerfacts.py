"""What the engine tells of itself and its host, and what follows for pods.

Belongs here: the answer to `info`, and the sentences said once about what this engine cannot do. May not be
here: how it is asked, or the engine's process (`dockerhost`).
"""

from __future__ import annotations

import msgspec


class EngineFacts(msgspec.Struct, frozen=True, rename="pascal"):
    """The part of `GET /info` that matters; what an engine does not mention is taken for granted."""

    docker_root_dir: str | None = None
    security_options: tuple[str, ...] | None = None
    memory_limit: bool = True
    cpu_cfs_quota: bool = True
    pids_limit: bool = True

    @property
    def images_at(self) -> str:
        """The directory of the engine in which images lie, empty where it does not tell."""
        return self.docker_root_dir or ""

    @property
    def lacks_apparmor(self) -> bool:
        """Whether the engine lists its host's security options, and AppArmor is not among them."""
        return self.security_options is not None and not self._has("apparmor")

    @property
    def rootless(self) -> bool:
        """Whether the engine runs in a user namespace, without the rights of root on its host."""
        return self._has("rootless")

    @property
    def unlimited(self) -> tuple[str, ...]:
        """What this engine lets containers have without limit, whatever their pods say."""
        limits = (("cpu", self.cpu_cfs_quota), ("memory", self.memory_limit), ("pids", self.pids_limit))
        return tuple(name for name, there in limits if not there)

    def _has(self, name: str) -> bool:
        return any(f"name={name}" in option.split(",") for option in self.security_options or ())


def shortcomings(facts: EngineFacts, *, outside: bool) -> tuple[str, ...]:
    """One sentence for each thing that pods will miss; `outside`: the agent is in no user namespace."""
    found = []
    if facts.unlimited:
        names = ", ".join(facts.unlimited)
        found.append(
            f"the Docker engine has no control groups for {names}: containers run without the limits that"
            " their pods ask for"
        )
    if facts.rootless and outside:
        found.append(
            "the Docker engine is rootless, and the network of its pods is not this agent's: port-forward and"
            " probes by httpGet, tcpSocket and grpc reach no pod; start the agent in a container on that"
            " engine, with --network host"
        )
    return tuple(found)
