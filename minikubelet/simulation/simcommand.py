"""`minikubelet simulate`: many seeds, what they covered, and each failure made small and kept.

Belongs here: the answer of the command. May not be here: its options (`simcommands`), one run (`simrun`).
Exit codes: 0 every promise was kept, 1 one was broken, 2 a scenario that cannot be read, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from minikubelet.simulation.simcoverage import table
from minikubelet.simulation.simjobs import run_all
from minikubelet.simulation.simjournal import save
from minikubelet.simulation.simrun import Report
from minikubelet.simulation.simrun import run as run_scenario
from minikubelet.simulation.simscenario import Scenario, scenario
from minikubelet.simulation.simshrink import Shrinker
from minikubelet.simulation.simworld import Violation

_ON_TERMINAL, _IN_LOG = 2.0, 60.0
"""seconds between two lines of progress"""
_INTERRUPTED = 130


class Failure(msgspec.Struct):
    """A broken promise with the scenario that breaks it, made small."""

    seed: int
    violation: Violation
    actions_before: int
    actions: int
    command: str
    shrunk: Violation | None = None
    """what the small scenario breaks, which may be the promise in another way"""
    saved: str = ""


class Summary(msgspec.Struct):
    """What came of all runs.

    `coverage` counts events by kind and stage of their pod, `transitions` stages by the one before. All that
    ran until it was interrupted is in it.
    """

    seeds: int = 0
    events: int = 0
    decisions: int = 0
    lives: int = 0
    simulated_seconds: float = 0.0
    seconds: float = 0.0
    coverage: dict[str, int] = {}
    transitions: dict[str, int] = {}
    failures: list[Failure] = []
    interrupted: bool = False


def run(options: argparse.Namespace) -> int:
    """Run the seeds or the scenario that the options name."""
    problem = _unwritable(options)
    if problem:
        sys.stderr.write(f"minikubelet simulate: {problem}\n")
        return 2
    try:
        scenarios = list(_scenarios(options)) if options.scenario else _scenarios(options)
    except (OSError, msgspec.DecodeError) as error:
        sys.stderr.write(f"minikubelet simulate: {options.scenario} is no scenario: {error}\n")
        return 2
    summary = _run_all(scenarios, options)
    if options.output == "json":
        sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")
    else:
        sys.stdout.write("\n".join(_lines(summary)) + "\n")
    return _INTERRUPTED if summary.interrupted else 1 if summary.failures else 0


def _unwritable(options: argparse.Namespace) -> str:
    """Why a failure could not be kept, said before hours of seeds; empty if it can."""
    if options.save is not None:
        try:
            options.save.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            return f"--save {options.save}: {error.strerror}"
        if not os.access(options.save, os.W_OK | os.X_OK):
            return f"--save {options.save}: permission denied"
    if options.pytest is not None:
        if options.pytest.exists():
            return f"--pytest {options.pytest}: there is such a file; name another"
        if not os.access(options.pytest.parent, os.W_OK | os.X_OK):
            return f"--pytest {options.pytest}: its directory is not there, or may not be written to"
    return ""


def _scenarios(options: argparse.Namespace) -> Iterator[Scenario]:
    if options.scenario is not None:
        yield msgspec.json.decode(options.scenario.read_bytes(), type=Scenario)
        return
    seeds = range(options.first, options.first + options.seeds)
    for seed in [options.seed] if options.seed is not None else seeds:
        yield scenario(seed, duration=options.duration, pods=options.pods, faults=options.faults)


def _run_all(scenarios: Iterable[Scenario], options: argparse.Namespace) -> Summary:
    summary, coverage, transitions = Summary(), Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    begun = told = time.monotonic()
    pause = _ON_TERMINAL if sys.stderr.isatty() else _IN_LOG
    try:
        for each, report in run_all(scenarios, options.jobs):
            _add(summary, report)
            coverage.update(report.coverage)
            transitions.update(report.transitions)
            summary.seconds = time.monotonic() - begun
            if report.violations:
                _failed(each, report.violations[0], summary, options)
            if time.monotonic() - told > pause:
                told = time.monotonic()
                sys.stderr.write(f"{_pace(summary)}, {len(summary.failures)} failures\n")
    except KeyboardInterrupt:
        summary.interrupted = True
    summary.coverage = {" ".join(key): coverage[key] for key in sorted(coverage)}
    summary.transitions = {" ".join(key): transitions[key] for key in sorted(transitions)}
    return summary


def _failed(found: Scenario, violation: Violation, summary: Summary, options: argparse.Namespace) -> None:
    """Say a failure at once, and how to see it again; then make it small, and keep it if asked to."""
    before = len(found.actions)
    failure = Failure(found.seed, violation, before, before, _command(found.seed, options))
    summary.failures = [*summary.failures, failure]
    _say(_failure_lines(failure), options)
    small = found if options.no_shrink else Shrinker(_breaks, violation.promise).shrink(found)
    failure.actions = len(small.actions)
    failure.shrunk = None if options.no_shrink else run_scenario(small).violations[0]
    if options.save is not None:
        failure.saved = str(_keep(small, options.save / f"seed-{found.seed}"))
    if options.pytest is not None and not options.pytest.exists():
        options.pytest.write_text(as_test(small, violation.promise), encoding="utf-8")
    _say(_small_lines(failure), options)


def _say(lines: Iterable[str], options: argparse.Namespace) -> None:
    if options.output == "text":
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()


def _add(summary: Summary, report: Report) -> None:
    summary.seeds += 1
    summary.events += report.events
    summary.decisions += report.decisions
    summary.lives += report.lives
    summary.simulated_seconds += report.seconds


def _pace(summary: Summary) -> str:
    seconds = max(summary.seconds, 1e-9)
    return (
        f"{summary.seeds} seeds, {summary.seeds / seconds:.1f} a second;"
        f" {summary.events} events, {summary.events / seconds:.0f} a second"
    )


def _breaks(tried: Scenario) -> str:
    violations = run_scenario(tried).violations
    return violations[0].promise if violations else ""


def _command(seed: int, options: argparse.Namespace) -> str:
    if options.scenario is not None:
        return f"minikubelet simulate --scenario {shlex.quote(str(options.scenario))}"
    faults = ",".join(options.faults) or "none"
    return (
        f"minikubelet simulate --seed {seed} --duration {options.duration:.9f}".rstrip("0").rstrip(".")
        + f"s --pods {options.pods}"
        f" --faults {faults}"
    )


def _keep(small: Scenario, directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(small), indent=1)
    (directory / "scenario.json").write_bytes(encoded + b"\n")
    run_scenario(small, keep=lambda disk: save(disk, directory / "journal"))
    return directory


def as_test(small: Scenario, promise: str) -> str:
    """A scenario as a test in which nothing may be broken."""
    encoded = msgspec.json.format(msgspec.json.encode(small), indent=1).decode()
    return (
        f'"""Found by simulation: {promise}, seed {small.seed}."""\n\n'
        "import msgspec\n\n"
        "from minikubelet.simulation.simrun import run\n"
        "from minikubelet.simulation.simscenario import Scenario\n\n"
        f'SCENARIO = b"""{encoded}"""\n\n\n'
        "def test_no_promise_is_broken() -> None:\n"
        "    assert not run(msgspec.json.decode(SCENARIO, type=Scenario)).violations\n"
    )


def _lines(summary: Summary) -> Iterator[str]:
    yield _pace(summary)
    hours = summary.simulated_seconds / 3600
    yield f"{hours:.1f} simulated hours, {summary.lives} lives of the agent, {summary.decisions} decisions"
    yield from table(summary.coverage, summary.transitions)
    so_far = "interrupted: so far, " if summary.interrupted else ""
    failed = len(summary.failures)
    seeds = "one seed" if failed == 1 else f"{failed} seeds"
    yield so_far + (f"{seeds} broke a promise" if failed else "every promise was kept")


def _failure_lines(failure: Failure) -> Iterator[str]:
    violation = failure.violation
    yield f"seed {failure.seed} broke {violation.promise} at {violation.at / 1e6:.3f} s: {violation.text}"
    yield f"  again: {failure.command}"


def _small_lines(failure: Failure) -> Iterator[str]:
    if failure.shrunk is not None:
        yield f"  {failure.actions_before} actions, {failure.actions} after shrinking:"
        yield f"  broken at {failure.shrunk.at / 1e6:.3f} s: {failure.shrunk.text}"
    if failure.saved:
        yield f"  kept: {failure.saved}/scenario.json and {failure.saved}/journal"
