"""`minikubelet pods`, `manifests` and `status`: questions to the running agent.

Belongs here: asking its socket and showing the answers. May not be here: the answers.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import sys
from pathlib import Path
from typing import Any

import yaml

from minikubelet.agent.livetable import aligned, rows_of

MARKS = {"accepted": "accepted", "rejected": "REJECTED", "shadowed": "SHADOWED"}


class NoAgent(Exception):
    """No agent answers; the text says where it was looked for."""


class _Socket(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket's path."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(root: Path, path: str) -> Any:
    """The running agent's answer; raises NoAgent."""
    connection = _Socket(root / "agent.sock")
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or error
        raise NoAgent(
            f"no agent answers at {root / 'agent.sock'} ({why}); start one with `minikubelet run`, or name "
            "its state directory with --root-dir"
        ) from error
    finally:
        connection.close()


def _root(options: argparse.Namespace) -> Path:
    root: Path = options.default_journal.parent
    return root


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _show(answer: object, form: str) -> None:
    if form == "json":
        _say(json.dumps(answer, indent=2, ensure_ascii=False))
    else:
        _say(yaml.safe_dump(answer, sort_keys=False, allow_unicode=True).rstrip())


def pods(options: argparse.Namespace) -> int:
    """List the agent's pods: 0, or 1 without an agent."""
    try:
        answer = ask(_root(options), "/pods")
    except NoAgent as error:
        sys.stderr.write(f"minikubelet: {error}\n")
        return 1
    if options.output in ("json", "yaml"):
        _show(answer, options.output)
    elif not answer["items"]:
        _say("No pods found.")
    else:
        for line in aligned(rows_of(answer, wide=options.output == "wide")):
            _say(line)
    return 0


def status(options: argparse.Namespace) -> int:
    """Tell how the agent is: 0 when all is well, 1 when something needs a person or no agent answers."""
    try:
        answer = ask(_root(options), "/status")
    except NoAgent as error:
        sys.stderr.write(f"minikubelet: {error}\n")
        return 1
    if options.output:
        _show(answer, options.output)
    else:
        for name, value in answer.items():
            shown = ", ".join(value) if isinstance(value, list) else value
            _say(f"{name + ':':<12}{shown}")
    return 0 if answer["ok"] else 1


def healthz(options: argparse.Namespace) -> int:
    """A sign of life: 0 when the agent's loop answers, 1 when it does not."""
    try:
        _say(str(ask(_root(options), "/healthz")))
    except NoAgent as error:
        sys.stderr.write(f"minikubelet: {error}\n")
        return 1
    return 0


def manifests(options: argparse.Namespace) -> int:
    """List verdicts: 0 when every file is accepted or ignored, 1 when one is not or no agent answers."""
    try:
        verdicts = _judge(options.path) if options.path else ask(_root(options), "/manifests")
    except NoAgent as error:
        sys.stderr.write(f"minikubelet: {error}\n")
        return 1
    if options.output:
        _show(verdicts, options.output)
    elif not verdicts:
        _say("No manifest files found.")
    else:
        _table(verdicts)
    return 0 if all(v["status"] in ("accepted", "ignored") for v in verdicts) else 1


def _judge(path: Path) -> list[dict[str, Any]]:
    import msgspec  # noqa: PLC0415 - only for judging without an agent

    from minikubelet.sources.filesource import judge_folder  # noqa: PLC0415 - as above
    from minikubelet.sources.manifestreading import manifest_reader  # noqa: PLC0415 - as above

    if not path.exists():
        raise NoAgent(f"{path} does not exist")
    reader = manifest_reader(node_name=socket.gethostname().lower(), namespace="kube-system")
    verdicts: list[dict[str, Any]] = msgspec.to_builtins(judge_folder(path, reader))
    return verdicts


def _table(verdicts: list[dict[str, Any]]) -> None:
    rows: list[tuple[str, ...]] = [("FILE", "VERDICT", "PODS")]
    rows += [
        (_one_line(v["file"]), MARKS.get(v["status"], v["status"]), ",".join(v["pods"])) for v in verdicts
    ]
    lines = aligned(rows)
    _say(lines[0])
    for verdict, line in zip(verdicts, lines[1:], strict=True):
        _say(line)
        for message in verdict["messages"]:
            _say(f"    {_one_line(message)}")
        for kept in verdict["kept"]:
            _say(f"    {kept} goes on with its last good definition")


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
