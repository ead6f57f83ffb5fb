"""The commands that read histories, as the command line knows them.

Belongs here: their options and help. May not be here: an import of anything but argparse, since this is
loaded for every `--help`; handlers are named as `module:function` and imported when they are called.
"""

from __future__ import annotations

import argparse
from typing import Any

_MOST_JOBS = 256
_HERE = "minikubelet.replay."
_MOMENT = "a seq (1234) or a time in UTC (2024-05-01T10:00:00Z)"


def add_parsers(subparsers: Any) -> None:
    """Register the commands with what `ArgumentParser.add_subparsers` returned."""
    _replay(subparsers)


def _command(subparsers: Any, name: str, handler: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=text, description=text)
    parser.set_defaults(handler=_HERE + handler)
    return parser


def _replay(subparsers: Any) -> None:
    text = "re-run a journal's events and compare every decision with the one recorded"
    parser = _command(subparsers, "replay", "verifycommand:run", text)
    parser.add_argument("journal", metavar="JOURNAL", help="a journal's directory, a segment or an export")
    parser.add_argument("--verify", action="store_true", help="verify; this is what replay does anyway")
    parser.add_argument(
        "--compare-core",
        action="store_true",
        help="do not stop at the first difference: group all decisions that this version makes otherwise",
    )
    parser.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N", help="processes; 0: one a core (default 1)"
    )
    _output(parser, "text", "json")


def _jobs(text: str) -> int:
    if not text.isdigit() or int(text) > _MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes from 0 to {_MOST_JOBS}")
    return int(text)


def _output(parser: argparse.ArgumentParser, *forms: str) -> None:
    parser.add_argument("-o", "--output", choices=forms, default=forms[0], help=f"default: {forms[0]}")
