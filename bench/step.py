"""How fast the core decides: events a second through `Reducer.decide`, nothing read and nothing written.

The streams are `crashes`, in which nearly every event changes a status, and `day`, in which most do not; what
they hold is told with the results. Events a second are those of the process's own time on a core, so that
what else runs on the machine does not count; the best of some runs.
"""

import argparse
import time
from itertools import pairwise
from typing import Any

from bench._results import say, show
from bench._streams import STREAMS, play, told
from minikubelet.core.commands import Decision
from minikubelet.core.events import AnyEvent
from minikubelet.core.reducer import Reducer
from minikubelet.wire.records import decode_event, encode_event

_STRETCH = 200
Fact = tuple[int, int, AnyEvent]


def measure(name: str, events: int, runs: int) -> dict[str, Any]:
    """Events a second on one core, and what the stream was."""
    say(f"{name}: making {events:,} events …")
    facts: list[Fact] = []

    def taken(seq: int, at: int, event: AnyEvent, _decisions: list[Decision]) -> None:
        facts.append((seq, at, decode_event(encode_event(event))))

    node = play(name, events, taken)
    say(f"{name}: deciding, {runs} times …")
    timed = [_once(facts) for _ in range(runs)]
    _, commands = timed[0]
    best = sum(min(stretch) for stretch in zip(*(times for times, _ in timed), strict=True))
    return {
        "events_per_s": round(len(facts) / min(sum(times) for times, _ in timed)),
        "undisturbed_per_s": round(len(facts) / best),
        "commands": commands,
        "stream": name,
        **told(node),
    }


def _once(facts: list[Fact]) -> tuple[list[float], int]:
    """Seconds of processor time for each stretch, and how many commands were decided."""
    reducer = Reducer()
    commands = 0
    times = [time.process_time()]
    for start in range(0, len(facts), _STRETCH):
        for seq, at, event in facts[start : start + _STRETCH]:
            commands += len(reducer.decide(seq, at, event))
        times.append(time.process_time())
    return [after - before for before, after in pairwise(times)], commands


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench step", description=__doc__)
    parser.add_argument(
        "--stream", choices=list(STREAMS), action="append", help="which (default: each of them)"
    )
    parser.add_argument("--events", type=int, default=30_000, help="of each stream (default 30000)")
    parser.add_argument("--runs", type=int, default=5, help="(default 5)")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    names = options.stream or list(STREAMS)
    show({name: measure(name, options.events, options.runs) for name in names}, options.output)
    return 0
