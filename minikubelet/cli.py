"""The command line: arguments, and which function answers each command.

Belongs here: parsers, help texts, exit codes. May not be here: an import that help does not need; the
function that answers a command is named, and imported when it is called.
Exit codes: 0 done, 1 the answer is no or the work failed, 2 wrong usage or unusable input, 128 and a
signal's number where one ended it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

import minikubelet
from minikubelet.replay.replaycommands import add_parsers
from minikubelet.simulation import simcommands

DESCRIPTION = "A node agent for Kubernetes whose every decision is in a journal that replays and explains it."


def entry() -> int:
    """The console script; returns the exit code."""
    _give_streams()
    if os.getpid() == 1:
        from minikubelet.agent.pidone import as_pid_one  # noqa: PLC0415 - only in a container of its own

        return as_pid_one(lambda: main(sys.argv[1:]))
    return main(sys.argv[1:])


def _give_streams() -> None:
    """Where a service manager or a shell has closed standard output or error, what is said goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # Not closed before the process ends, as the stream that it stands for.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - see above


def main(arguments: Sequence[str]) -> int:
    """Answer a command line and return the exit code."""
    options = parser().parse_args(arguments)
    options.default_journal = _state_dir(options) / "journal"
    module, _, function = str(options.handler).partition(":")
    handler: Callable[[argparse.Namespace], int] = getattr(import_module(module), function)
    try:
        return handler(options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    made = argparse.ArgumentParser(prog="minikubelet", description=DESCRIPTION)
    made.add_argument("--version", action="version", version=f"minikubelet {minikubelet.__version__}")
    commands = made.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _run(commands)
    _apiserver(commands)
    _inspect(commands)
    add_parsers(commands)
    simcommands.add_parser(commands)
    return made


def _path(text: str) -> Path:
    """A path; an empty one is more likely an unset variable than the current directory."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def _state_dir(options: argparse.Namespace) -> Path:
    """The state directory where a command names none: that of the agent that a user here would start."""
    named = getattr(options, "root_dir", None)
    if named is not None:
        return Path(named)
    if os.environ.get("MINIKUBELET_ROOT_DIR"):
        return Path(os.environ["MINIKUBELET_ROOT_DIR"])
    if Path("state/journal").is_dir():
        return Path("state")
    if os.geteuid() == 0:
        return Path("/var/lib/minikubelet")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "minikubelet"


def _run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="run the node agent", description="Run the node agent.")
    run.set_defaults(handler="minikubelet.agent.lifetime:run")
    add = run.add_argument
    add("--config", metavar="FILE", type=_path, help="KubeletConfiguration and AgentConfiguration, as YAML")
    add("--kubeconfig", metavar="FILE", type=_path, help="join this API server instead of embedding one")
    add(
        "--bootstrap-kubeconfig",
        metavar="FILE",
        type=_path,
        help="ask for a client certificate with this one while --kubeconfig holds none; then it is written",
    )
    add("--cert-dir", metavar="DIR", type=_path, help="certificates of the node; default: pki in --root-dir")
    add("--standalone", action="store_true", help="use no API server at all")
    add(
        "--pod-manifest-path",
        metavar="PATH",
        type=_path,
        help="folder or file of static pods",
    )
    add("--hostname-override", metavar="NAME", help="the node's name; default: the host's")
    add("--root-dir", metavar="DIR", type=_path, help="state directory: journal, volumes, kubeconfig")
    add("--container-runtime-endpoint", metavar="URL", help="docker://PATH, process:// or simulated://")
    add("--node-ip", metavar="ADDRESS", help="the node's address; default: that of the default route")
    add(
        "-v",
        "--v",
        dest="verbosity",
        metavar="LEVEL",
        type=int,
        help="0 is info, 4 and more debug; default: logging.verbosity of --config, or 0",
    )
    _logging_format(run, "logging.format of --config, or text")
    _from_environment(run)


def _logging_format(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "--logging-format",
        choices=("text", "json"),
        help=f"text on standard error, or one JSON object a line on standard output; default: {default}",
    )


_YES = ("1", "true", "yes", "on")
_NO = ("0", "false", "no", "off")


def _from_environment(command: argparse.ArgumentParser) -> None:
    """Let every flag be given as MINIKUBELET_FLAG_NAME too; a flag that is written counts more."""
    for action in command._actions:  # noqa: SLF001 - argparse has no public list of them
        flag = next((each for each in action.option_strings if each.startswith("--")), "")
        given = os.environ.get("MINIKUBELET_" + flag.lstrip("-").replace("-", "_").upper(), "")
        if not given or action.dest == "help":
            continue
        if action.nargs == 0:
            if given.lower() not in (*_YES, *_NO):
                command.error(f"the environment says {flag} {given}; write true or false")
            action.default = given.lower() in _YES
        elif action.choices is not None and given not in action.choices:
            command.error(f"the environment says {flag} {given}; choose from {', '.join(action.choices)}")
        else:
            action.default = given


def _apiserver(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    stub = commands.add_parser(
        "apiserver", help="run the stub API server alone", description="Run the stub API server alone."
    )
    stub.set_defaults(handler="minikubelet.agent.stubcommand:run")
    stub.add_argument("--root-dir", metavar="DIR", type=_path, help="state directory")
    stub.add_argument("--bind-address", metavar="ADDRESS", default="127.0.0.1", help="default: %(default)s")
    stub.add_argument("--secure-port", metavar="PORT", type=int, default=6443, help="default: %(default)s")
    stub.add_argument(
        "--write-kubeconfig", metavar="FILE", type=_path, help="default: in the state directory"
    )
    stub.add_argument(
        "--token-auth-file", metavar="FILE", type=_path, help='lines of token,user,uid,"group1,group2"'
    )
    stub.add_argument(
        "--approve-nodes",
        action="store_true",
        help="sign the certificates that nodes ask for without a person's `kubectl certificate approve`",
    )
    stub.add_argument(
        "--node-monitor-grace-period",
        metavar="DURATION",
        default="40s",
        help="how long a node may be silent until it shows as NotReady; default: %(default)s",
    )
    _logging_format(stub, "text")
    _from_environment(stub)


def _inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    manifests = commands.add_parser(
        "manifests",
        help="list manifest files with their verdicts",
        description="List manifest files with their verdicts: of the running agent, or of PATH without one.",
    )
    manifests.set_defaults(handler="minikubelet.agent.inspect:manifests")
    manifests.add_argument("path", nargs="?", metavar="PATH", type=_path, help="judge this folder or file")
    pods = commands.add_parser(
        "pods", help="list the pods of the running agent", description="List the pods of the running agent."
    )
    pods.set_defaults(handler="minikubelet.agent.inspect:pods")
    status = commands.add_parser(
        "status", help="tell how the running agent is", description="Tell how the running agent is."
    )
    status.set_defaults(handler="minikubelet.agent.inspect:status")
    healthz = commands.add_parser(
        "healthz",
        help="ask the running agent for a sign of life",
        description="Ask the running agent for a sign of life: 0 if it answers, whatever its pods do.",
    )
    healthz.set_defaults(handler="minikubelet.agent.inspect:healthz")
    healthz.add_argument("--root-dir", metavar="DIR", type=_path, help="state directory of the agent")
    for command, forms in (
        (manifests, ("json", "yaml")),
        (pods, ("wide", "json", "yaml")),
        (status, ("json", "yaml")),
    ):
        command.add_argument("-o", "--output", choices=forms, help="instead of a table")
        command.add_argument("--root-dir", metavar="DIR", type=_path, help="state directory of the agent")
