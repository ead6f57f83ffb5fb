"""Law 1 by experiment: the same snippet in interpreters that differ in all that must not matter.

Runs Python source under several PYTHONHASHSEED and under every interpreter on this machine that can
import the package, and hands back what each of them printed.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SEEDS = ("0", "1", "random")
NAMES = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")
NEEDED = "aiodocker, aiofiles, aiohttp, anyio, asyncinotify, cryptography, msgspec, structlog, yaml, pytest"
PROBE = f"import sys, {NEEDED}; print(sys.version_info >= (3, 11), sys.version_info[:3])"


class Setting(NamedTuple):
    """What a snippet ran under: the interpreter's path and the value of PYTHONHASHSEED."""

    interpreter: str
    seed: str


def _run(interpreter: str, seed: str, source: str, timeout: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [interpreter, "-W", "error", "-c", source],
        cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


@functools.cache
def interpreters() -> tuple[str, ...]:
    """This interpreter first, then those of other versions that have all the package needs.

    Looked for on PATH and in .venv/other/, where CI makes an environment per supported Python.
    """
    usable = {repr(sys.version_info[:3]): sys.executable}
    found = [path for path in map(shutil.which, NAMES) if path is not None]
    found += map(str, sorted((ROOT / ".venv" / "other").glob("*/bin/python")))
    for path in found:
        done = _run(path, "0", PROBE, 60)
        said, _, version = done.stdout.strip().partition(" ")
        if done.returncode == 0 and said == "True":
            usable.setdefault(version, path)
    return tuple(usable.values())


def outputs(source: str, *, seeds: Sequence[str] = SEEDS, timeout: float = 100) -> dict[Setting, str]:
    """What the snippet printed under each setting; AssertionError with its stderr where it failed.

    `timeout` is in seconds and for each run. The snippet can import minikubelet and tests.
    """
    printed: dict[Setting, str] = {}
    for interpreter in interpreters():
        for seed in seeds:
            done = _run(interpreter, seed, source, timeout)
            if done.returncode != 0:
                raise AssertionError(f"{interpreter} with PYTHONHASHSEED={seed} failed:\n{done.stderr}")
            printed[Setting(interpreter, seed)] = done.stdout
    return printed


def same_output(source: str, *, seeds: Sequence[str] = SEEDS, timeout: float = 100) -> str:
    """What the snippet prints under every setting; AssertionError naming two settings that differ."""
    printed = outputs(source, seeds=seeds, timeout=timeout)
    (first, expected), *others = printed.items()
    for setting, actual in others:
        if actual != expected:
            raise AssertionError(f"{first} printed\n{expected}\nbut {setting} printed\n{actual}")
    return expected
