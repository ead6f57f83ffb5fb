"""Programs that containers run, each spelt for a shell in a real container and in a simulated one's words.

Belongs here: what a program does, twice. May not be here: pods, or when something happens. A program that
`serves` ends when it is told to from outside: by SIGTERM, or with the exit code that a `cue` asks for.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any, Final

IMAGE: Final = "busybox:1.36"
CUES: Final = {0: "USR2", 1: "USR1", 3: "HUP"}
"""the signal on which a serving program ends with that exit code"""
OUT_OF_MEMORY: Final = "WINCH"
"""the signal on which it takes more memory than there is"""
MEMORY_LIMIT: Final = {"limits": {"memory": "24Mi"}}


@dataclass(frozen=True)
class Program:
    """A command in both spellings."""

    shell: tuple[str, ...]
    simulated: tuple[str, ...]

    def spelt(self, *, simulated: bool) -> list[str]:
        return list(self.simulated if simulated else self.shell)


def serves(
    *, term: float | None = 0, says: str = "", to: str = "/dev/termination-log", logs: str = ""
) -> Program:
    """Runs until told to end; `term` seconds after SIGTERM with 143, or never by that (None).

    Before, it writes `says` into its termination message and `logs` into its log.
    """
    shell, words = [], []
    if says:
        shell.append(f"printf %s {shlex.quote(says)} >{to}")
        words += ["says", says]
    if logs:
        shell.append(f"echo {shlex.quote(logs)}")
        words += ["logs", logs]
    shell += [f"trap 'exit {code}' {signal}" for code, signal in CUES.items()]
    shell.append(f"trap 'exec tail /dev/zero' {OUT_OF_MEMORY}")
    if term is None:
        words.append("ignore-term")
        shell.append("trap '' TERM")
    else:
        words += ["term", str(term)]
        # The last of the traps: who waits for it knows that all are set.
        shell.append(f"trap 'sleep {term}; exit 143' TERM" if term else "trap 'exit 143' TERM")
    shell.append("while :; do sleep 3600 & wait $!; done")
    return Program(("sh", "-c", "; ".join(shell)), tuple(words))


def exits(code: int) -> Program:
    """Ends at once."""
    return Program(("sh", "-c", f"exit {code}"), ("exit", str(code)))


def missing() -> Program:
    """There is no such program."""
    return Program(("/no/such/program",), ("missing",))


def sleeps(seconds: int) -> Program:
    """Takes its time, then ends well."""
    return Program(("sleep", str(seconds)), ("sleep", str(seconds)))


@dataclass(frozen=True)
class Spelling:
    """Pods for one kind of runtime."""

    simulated: bool

    def container(self, name: str, program: Program, **fields: Any) -> dict[str, Any]:
        """A container of a manifest; programs among `fields` (probes and hooks) are spelt as well."""
        made = {"name": name, "image": IMAGE, "command": program.spelt(simulated=self.simulated), **fields}
        return dict(self._spelt(made))

    def _spelt(self, value: Any) -> Any:
        match value:
            case Program():
                return {"command": value.spelt(simulated=self.simulated)}
            case dict():
                return {key: self._spelt(inner) for key, inner in value.items()}
            case _:
                return value
