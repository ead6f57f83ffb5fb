"""What the replay tests share: histories to read, and commands run as the command line runs them."""

import argparse
import importlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, cast

import pytest

from minikubelet.core.behaviours import TODAY, Behaviours
from minikubelet.replay.replaycommands import add_parsers
from tests.replay.scripted_world import World

WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop}
spec:
  terminationGracePeriodSeconds: 5
  initContainers:
  - {name: setup, image: "registry.corp.example:5000/team/setup:1"}
  containers:
  - {name: app, image: "registry.corp.example:5000/team/app:1"}
  - {name: side, image: "busybox:1.36", env: [{name: A, value: b}]}
"""
JOB = """
apiVersion: v1
kind: Pod
metadata: {name: job}
spec:
  restartPolicy: OnFailure
  containers:
  - {name: work, image: "busybox:1.36"}
"""


class Ran(NamedTuple):
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


def parse(*words: str, default: Path | None = None) -> argparse.Namespace:
    """The options of a command line; `default` stands for the agent's own journal."""
    parser = argparse.ArgumentParser()
    add_parsers(parser.add_subparsers(required=True))
    options = parser.parse_args(words)
    if default is not None:
        options.default_journal = default
    return options


def run_command(capsys: pytest.CaptureFixture[str], *words: str, default: Path | None = None) -> Ran:
    """Run a command line in this process."""
    options = parse(*words, default=default)
    module, _, name = options.handler.partition(":")
    handler = cast("Callable[[argparse.Namespace], int]", getattr(importlib.import_module(module), name))
    capsys.readouterr()
    code = handler(options)
    out, err = capsys.readouterr()
    return Ran(code, out, err)


def shop(behaviours: Behaviours = TODAY) -> World:
    """A static pod that is set up, crashes, is edited to another image, and a job that fails once.

    Two segments with snapshots and one agent restart are in it; `web` is left in back-off at its end.
    """
    world = World(behaviours)
    world.start()
    first = world.manifest(WEB)
    world.exit(first, "setup", 0)
    world.exit(first, "app", 1, "Error")
    world.pass_time(15)
    world.exit(first, "app", 137, "OOMKilled")
    world.segment()
    world.broken_starts["app"] = deque(["ErrImagePull"])
    second = world.edit(first, WEB.replace("app:1", "app:2"))
    world.exit(second, "setup", 0)
    world.pass_time(40)
    job = world.manifest(JOB, file="job.yaml")
    world.broken_sandboxes[f"default/{job.metadata.name}"] = 0
    world.exit(job, "work", 3)
    world.pass_time(12)
    world.exit(job, "work", 0)
    world.start()
    world.segment()
    world.exit(second, "app", 2, "Error")
    world.exit(second, "app", 2, "Error")
    world.pass_time(11)
    world.exit(second, "app", 2, "Error")
    return world
