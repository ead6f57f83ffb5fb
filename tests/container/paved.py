"""The ways to start an agent that the documents show, read from the files that show them.

Belongs here: README, compose file and systemd unit as data to be compared. May not be here: expectations.
"""

from __future__ import annotations

import shlex
from typing import NamedTuple

import yaml

from tests.container.container_world import ROOT

_ALONE = {"-d", "--read-only"}
_SHORT = {"-v": "--volume"}


class Start(NamedTuple):
    """A container to be started: options by name, sorted, and what it is told."""

    options: dict[str, list[str]]
    image: str
    command: list[str]


def readme_words() -> list[str]:
    """The words of the `docker run` line of the README."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    _, _, rest = text.partition("$ docker run ")
    return ["docker", "run", *shlex.split(rest.partition("\n```")[0].replace("\\\n", ""))]


def readme_start() -> Start:
    """The README's line, option by option."""
    words = readme_words()[2:]
    options: dict[str, list[str]] = {}
    while words[0].startswith("-"):
        name = words.pop(0)
        options.setdefault(_SHORT.get(name, name), []).append("" if name in _ALONE else words.pop(0))
    return Start({name: sorted(values) for name, values in options.items()}, words[0], words[1:])


def compose_start() -> Start:
    """The only service of the compose file, as `docker run` would be told."""
    text = (ROOT / "deploy" / "compose.yaml").read_text(encoding="utf-8")
    (service,) = yaml.safe_load(text)["services"].values()
    image, command = service.pop("image"), service.pop("command")
    options = {"-d": [""]}
    for key, value in service.items():
        name = _COMPOSE[key]
        options[name] = sorted(value) if isinstance(value, list) else ["" if value is True else str(value)]
    return Start(options, image, command)


_COMPOSE = {
    "container_name": "--name", "restart": "--restart", "network_mode": "--network", "pid": "--pid",
    "read_only": "--read-only", "tmpfs": "--tmpfs", "cap_drop": "--cap-drop", "cap_add": "--cap-add",
    "security_opt": "--security-opt", "volumes": "--volume",
}  # fmt: skip


def unit() -> dict[str, str]:
    """What the systemd unit sets; no name in it is set twice."""
    text = (ROOT / "deploy" / "minikubelet.service").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)
