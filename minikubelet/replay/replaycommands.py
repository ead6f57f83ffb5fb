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
    _why(subparsers)
    _why_not(subparsers)
    _timeline(subparsers)
    _state(subparsers)
    _diff(subparsers)
    _export(subparsers)
    _tail(subparsers)
    _what_if(subparsers)
    _shrink(subparsers)


def _command(subparsers: Any, name: str, handler: str, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(name, help=text, description=text)
    parser.set_defaults(handler=_HERE + handler)
    return parser


def _replay(subparsers: Any) -> None:
    text = "re-run a journal's events and compare every decision with the one recorded"
    parser = _command(subparsers, "replay", "verifycommand:run", text)
    _subject(parser)
    parser.add_argument("--verify", action="store_true", help="verify; this is what replay does anyway")
    parser.add_argument(
        "--compare-core",
        action="store_true",
        help="decide every life by today's behaviours, and group all decisions that are made otherwise",
    )
    parser.add_argument(
        "--jobs", type=_jobs, default=1, metavar="N", help="processes; 0: one a core (default 1)"
    )
    _output(parser, "text", "json")


def _jobs(text: str) -> int:
    if not text.isdigit() or int(text) > _MOST_JOBS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes from 0 to {_MOST_JOBS}")
    return int(text)


def _said(text: str) -> str:
    """A word; an empty one is more likely an unset variable than all that there is."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; name something, or leave it out")
    return text


def _output(parser: argparse.ArgumentParser, *forms: str) -> None:
    parser.add_argument("-o", "--output", choices=forms, default=forms[0], help=f"default: {forms[0]}")


def _journal(parser: argparse.ArgumentParser, *, stray: bool = True) -> None:
    """The options that name a journal; a `stray` path is taken too, to say which option it wants."""
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument(
        "--journal", metavar="PATH", help="a journal's directory or an export (default: this node's agent)"
    )
    whose.add_argument("--root-dir", metavar="DIR", help="an agent's state directory: its journal")
    if stray:
        parser.add_argument("stray", nargs="*", default=[], help=argparse.SUPPRESS)


def _subject(parser: argparse.ArgumentParser) -> None:
    """A journal that is named without an option, or by one."""
    parser.add_argument(
        "subject", nargs="?", metavar="JOURNAL", help="a journal's directory, a segment or an export"
    )
    _journal(parser, stray=False)


def _why(subparsers: Any) -> None:
    text = "why something was decided: the chain of causes, back to the manifest, API write or exit code"
    parser = _command(subparsers, "why", "whycommand:run", text)
    parser.add_argument(
        "pod", type=_said, metavar="POD[/CONTAINER]", help="also NAMESPACE/POD and NAMESPACE/POD/CONTAINER"
    )
    parser.add_argument(
        "action",
        nargs="?",
        type=_said,
        metavar="ACTION",
        help="start, restart, kill, stop, remove, delete, sandbox, back-off, refusal, eviction, mirror,"
        " status, probe, ready",
    )
    parser.add_argument("--at", type=_said, metavar="SEQ|TIME", help=f"as things stood then: {_MOMENT}")
    parser.add_argument("--all", action="store_true", help="every such decision, not the last of each kind")
    _output(parser, "text", "json")
    _journal(parser)


def _why_not(subparsers: Any) -> None:
    text = "what holds something back: back-off, an older pod, a failed sandbox, a source not yet listed"
    parser = _command(subparsers, "why-not", "whynot:run", text)
    parser.add_argument(
        "pod", type=_said, metavar="POD[/CONTAINER]", help="also NAMESPACE/POD and NAMESPACE/POD/CONTAINER"
    )
    parser.add_argument("action", choices=("start", "restart", "ready", "delete"))
    parser.add_argument("--at", type=_said, metavar="SEQ|TIME", help=f"as things stood then: {_MOMENT}")
    _output(parser, "text", "json")
    _journal(parser)


def _timeline(subparsers: Any) -> None:
    text = "what happened and what was decided, in order: text, JSON, an HTML page or a Perfetto trace"
    parser = _command(subparsers, "timeline", "timelinecommand:run", text)
    parser.add_argument("--pod", type=_said, metavar="POD", help="of one pod, and of the node")
    parser.add_argument("--container", type=_said, metavar="NAME", help="of one container")
    parser.add_argument(
        "--kind", action="append", metavar="KIND", help="PodSet, StartContainer …; repeatable"
    )
    since = f"from then on: {_MOMENT}, or 10m: the last ten minutes"
    parser.add_argument("--since", type=_said, metavar="WHEN", help=since)
    parser.add_argument("--until", type=_said, metavar="WHEN", help="up to then; as --since")
    parser.add_argument("--html", type=_said, metavar="FILE", help="write one self-contained page")
    parser.add_argument("--perfetto", type=_said, metavar="FILE", help="write a trace for ui.perfetto.dev")
    _output(parser, "text", "json")
    _journal(parser)


def _state(subparsers: Any) -> None:
    text = "the pods as the agent saw them at a moment, as Kubernetes objects"
    parser = _command(subparsers, "state", "stateview:run", text)
    parser.add_argument("--at", type=_said, metavar="SEQ|TIME", help=f"{_MOMENT}; default: the journal's end")
    parser.add_argument("--pod", type=_said, metavar="POD", help="one pod only")
    _output(parser, "yaml", "json", "table")
    _journal(parser)


def _diff(subparsers: Any) -> None:
    text = (
        "what differs between two moments of a journal, between the decisions of two journals, or between"
        " those of one and today's"
    )
    parser = _command(subparsers, "diff", "historydiff:run", text)
    parser.add_argument("journals", nargs="*", metavar="JOURNAL", help="two of the same events, or one")
    parser.add_argument(
        "--at", type=_said, nargs=2, metavar=("A", "B"), help=f"two moments of one journal: {_MOMENT}"
    )
    parser.add_argument("--pod", type=_said, metavar="POD", help="one pod only (with --at)")
    _journal(parser, stray=False)


def _export(subparsers: Any) -> None:
    text = "write a part of a journal as one compressed, self-verifying file for a bug report"
    parser = _command(subparsers, "export", "exportcommand:run", text)
    parser.add_argument("--pod", type=_said, metavar="POD", help="one pod, and what concerns the node")
    parser.add_argument(
        "--last", type=_said, metavar="DURATION", help="the end of the history only, such as 1h"
    )
    parser.add_argument(
        "--anonymise",
        "--anonymize",
        action="store_true",
        help="give pods, containers, images, nodes, addresses … other names, and decide anew",
    )
    parser.add_argument("-o", "--output", dest="output_file", metavar="FILE.mkx", required=True)
    _journal(parser)


def _tail(subparsers: Any) -> None:
    text = "the newest events and decisions; -f goes on with those to come"
    parser = _command(subparsers, "tail", "tailing:run", text)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until interrupted")
    parser.add_argument("--from", dest="from_seq", type=_seq, metavar="SEQ", help="from this record on")
    parser.add_argument("-n", "--lines", type=_seq, metavar="N", help="records to begin with (default: 20)")
    _output(parser, "text", "json")
    _journal(parser)


def _seq(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of a record")
    return int(text)


def _what_if(subparsers: Any) -> None:
    text = "re-run a history with changed events, and show the decisions beside those recorded"
    parser = _command(subparsers, "what-if", "whatifcommand:run", text)
    add = parser.add_argument
    add("--drop", action="append", type=_seq, default=[], metavar="SEQ", help="without this event")
    add(
        "--delay",
        action="append",
        nargs=2,
        default=[],
        metavar=("SEQ", "DURATION"),
        help="with this event later, such as 30s",
    )
    add(
        "--set",
        action="append",
        nargs=2,
        default=[],
        metavar=("SEQ", "PATH=VALUE"),
        help="with another value in this event: exit_code=0, pod.spec.containers[app].image=busybox",
    )
    add(
        "--manifest",
        type=_said,
        action="append",
        default=[],
        metavar="FILE",
        help="with its pods defined by this file",
    )
    add("--setting", action="append", default=[], metavar="NAME=VALUE", help="with another setting")
    add("--pod", type=_said, metavar="POD", help="show what concerns this pod only")
    _output(parser, "text", "json")
    _journal(parser)


def _shrink(subparsers: Any) -> None:
    text = "cut a journal down to the fewest events that still show its divergence, or one decision"
    parser = _command(subparsers, "shrink", "shrinkcommand:run", text)
    _subject(parser)
    parser.add_argument("--decision", type=_seq, metavar="SEQ", help="show this decision, not a divergence")
    parser.add_argument("-o", "--output", dest="output_file", metavar="FILE.mkx", required=True)
    parser.add_argument("--pytest", metavar="FILE", help="also write it as a test")
