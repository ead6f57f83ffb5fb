"""The command `simulate`, as the command line knows it.

Belongs here: its options and help. May not be here: an import of anything but argparse, since this is loaded
for every `--help`; the handler is named as `module:function` and imported when it is called.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

FAULTS = ("files", "pods", "api", "containers", "probes", "runtime", "events", "disk", "clock", "crash")
"""The groups of faults; what each holds is in `simscenario.GROUPS`."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_MOST_PODS = 50
_LEAST_SECONDS, _MOST_SECONDS = 0.001, 3_600_000.0
_MOST_JOBS = 256


def add_parser(subparsers: Any) -> None:
    """Register the command with what `ArgumentParser.add_subparsers` returned."""
    text = "put the agent through simulated faults, one seed after the other, and judge what it does"
    parser: argparse.ArgumentParser = subparsers.add_parser("simulate", help=text, description=text)
    parser.set_defaults(handler="minikubelet.simulation.simcommand:run")
    add = parser.add_argument
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--seeds", metavar="N", type=_count, default=100, help="how many (default: %(default)s)"
    )
    which.add_argument("--seed", metavar="SEED", type=_seed, help="one seed alone")
    which.add_argument("--scenario", metavar="FILE", type=Path, help="a saved scenario instead of seeds")
    add("--first", metavar="SEED", type=_seed, default=0, help="the first of many (default: %(default)s)")
    add("--duration", metavar="TIME", type=_seconds, default=20.0, help="simulated time of faults, 60s or 5m")
    add("--pods", metavar="N", type=_pods, default=3, help="static pods, and as many API pods (default: 3)")
    names = ", ".join(FAULTS)
    add("--faults", metavar="NAMES", type=_faults, default=FAULTS, help=f"all, none or some of: {names}")
    add("--jobs", metavar="N", type=_jobs, default=1, help="processes; 0: one a core (default: %(default)s)")
    add("--save", metavar="DIR", type=Path, help="where a failing scenario and its journal are kept")
    add("--pytest", metavar="FILE", type=Path, help="write the first failure as a test")
    add("--no-shrink", action="store_true", help="keep a failing scenario as it is")
    add("-o", "--output", choices=("text", "json"), default="text", help="default: text")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seeds from 1")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: a whole number from 0")
    return int(text)


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) > _MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes from 0 to {_MOST_JOBS}")
    return int(text)


def _pods(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_PODS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of pods from 1 to {_MOST_PODS}")
    return int(text)


def _seconds(text: str) -> float:
    number, unit = (text[:-1], text[-1:]) if text[-1:] in _UNITS else (text, "s")
    if not number.replace(".", "", 1).isdecimal() or float(number) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 60s or 5m")
    seconds = float(number) * _UNITS[unit]
    if not _LEAST_SECONDS <= seconds <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not between a millisecond and a thousand hours")
    return seconds


def _faults(text: str) -> tuple[str, ...]:
    if text == "all":
        return FAULTS
    if text == "none":
        return ()
    named = text.split(",")
    for name in named:
        if name not in FAULTS:
            alone = " (all and none stand alone)" if name in ("all", "none") else ""
            raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(FAULTS)}{alone}")
    return tuple(name for name in FAULTS if name in named)
