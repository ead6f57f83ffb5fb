"""How fast a history is verified by `minikubelet replay --verify`, the whole command, as a person runs it.

A stream is played through the real reducer and written down as an agent's journal writes it: segments that
begin with a snapshot, a commit mark behind each event. `crashes` and `day` are described with the results;
1.9 million events of `day` are a day of 110 pods with probes of which every look and every answer was kept.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from bench._results import say, show
from bench._streams import STREAMS, Node, play, told
from minikubelet.core.commands import Decision
from minikubelet.core.events import AnyEvent
from minikubelet.journal.framing import encode_record, frame_group, frame_head
from minikubelet.journal.segments import Identity, Tail, new_header, segment_name
from minikubelet.ports.journalport import Record, RecordKind, Snapshot
from minikubelet.wire.records import CORE_VERSION, encode_command, encode_event, encode_snapshot, schema_hash

_SEGMENT_RECORDS = 50_000  # as the agent's loop
_FLUSH = 1 << 20
_TOLD_EVERY = 10.0  # seconds


class Writer:
    """Writes a history as segments, without waiting for the disk."""

    def __init__(self, directory: Path) -> None:
        self.records = 0
        self.size = 0
        self._directory = directory
        self._identity = Identity("bench", "boot-1", CORE_VERSION, schema_hash(), {})
        self._tail = Tail()
        self._crc = 0
        self._since = _SEGMENT_RECORDS
        self._path = directory
        self._held: list[bytes] = []
        self._bytes = 0

    def turned(self, node: Node) -> None:
        """Begin a segment where one is due."""
        if self._since >= _SEGMENT_RECORDS:
            seq = self._tail.seq
            self._begin(Snapshot(seq, encode_snapshot(node.reducer.snapshot())), node.at)

    def _begin(self, snapshot: Snapshot | None, at: int) -> None:
        self.flush()
        first = self._tail.seq + 1
        self._path = self._directory / segment_name(first)
        head, self._crc = frame_head(new_header(self._identity, first, self._tail, at), snapshot)
        self._since = 0
        self._hold(head)

    def taken(self, seq: int, at: int, event: AnyEvent, decisions: list[Decision]) -> None:
        """Write an event with what was decided from it, as one commit group."""
        if not self.records:
            self._begin(None, at)
        group = [Record(seq, RecordKind.EVENT, at, msgspec.Raw(encode_event(event)))]
        for number, decision in enumerate(decisions, seq + 1):
            body = msgspec.Raw(encode_command(decision.command))
            group.append(Record(number, RecordKind.COMMAND, at, body, decision.causes))
        data, self._crc = frame_group(map(encode_record, group), len(group), group[-1].seq, self._crc)
        self._tail = Tail(group[-1].seq, self._crc)
        self.records += len(group)
        self._since += len(group)
        self._hold(data)

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._bytes += len(data)
        if self._bytes >= _FLUSH:
            self.flush()

    def flush(self) -> None:
        """Hand over to the disk."""
        if self._held:
            with self._path.open("ab") as file:
                file.write(b"".join(self._held))
        self.size += self._bytes
        self._held, self._bytes = [], 0


def record(directory: Path, name: str, events: int) -> dict[str, Any]:
    """Play a stream into a journal in this directory; what it was, and its size."""
    say(f"{name}: recording {events:,} events …")
    writer = Writer(directory)
    start = time.perf_counter()
    told_at = start

    def turned(node: Node) -> None:
        nonlocal told_at
        writer.turned(node)
        if time.perf_counter() - told_at >= _TOLD_EVERY:
            told_at = time.perf_counter()
            say(f"{name}: {node.events:,} events recorded")

    node = play(name, events, writer.taken, turned)
    writer.flush()
    return {
        "stream": name,
        **told(node),
        "records": writer.records,
        "mib": round(writer.size / 2**20, 1),
        "bytes_per_event": round(writer.size / node.events),
        "recording_s": round(time.perf_counter() - start, 1),
    }


def verify(directory: Path, jobs: int) -> dict[str, Any]:
    """Run the command; events a second by the clock, and by the processor time of one core."""
    say(f"verifying with {jobs} process{'es' if jobs > 1 else ''} …")
    command = [sys.executable, "-m", "minikubelet", "replay", "--verify", str(directory), "-o", "json"]
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run([*command, "--jobs", str(jobs)], stdout=subprocess.PIPE, check=False)
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    found = msgspec.json.decode(done.stdout)
    assert done.returncode == 0, found
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {
        "jobs": jobs,
        "events": found["events"],
        "seconds": round(took, 2),
        "events_per_s": round(found["events"] / took),
        "cpu_s": round(used, 2),
        "events_per_cpu_s": round(found["events"] / used),
        "peak_mib": round(after.ru_maxrss / 1024),
    }


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench replay", description=__doc__)
    parser.add_argument(
        "--stream", choices=list(STREAMS), action="append", help="which (default: each of them)"
    )
    parser.add_argument("--events", type=int, default=100_000, help="of each stream (default 100000)")
    parser.add_argument("--jobs", type=int, action="append", help="processes, may be given again (default 1)")
    parser.add_argument("--keep", type=Path, help="a directory for the journals (default: a temporary one)")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="bench-replay-") as temporary:
        for name in options.stream or list(STREAMS):
            directory = (options.keep or Path(temporary)) / name
            directory.mkdir(parents=True, exist_ok=False)
            results[name] = record(directory, name, options.events)
            for jobs in options.jobs or [1]:
                results[f"{name} verified, jobs {jobs}"] = verify(directory, jobs)
    show(results, options.output)
    return 0
