"""How fast the journal takes records in, how long a commit waits, and how fast a history is read.

Beside it stands the bare floor of the disk in the same run: a write and an fdatasync of one group, over and
over. Many producers each append a record and its command and wait for the commit, as the agent's loop does.
"""

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from minikubelet.journal.diskjournal import DiskJournal
from minikubelet.journal.journalreader import JournalReader
from minikubelet.ports.journalport import Journal, Record, RecordKind, Retention

BODY = msgspec.Raw(
    msgspec.json.encode(
        {
            "kind": "ContainerExited",
            "v": 1,
            "pod": "5f0c3a52-8a1b-4d8e-9b1e-0c6f4f1f7a10",
            "container": "web",
            "attempt": 3,
            "exitCode": 137,
            "reason": "OOMKilled",
        }
    )
)
FLOOR_SYNCS = 300


def say(text: str) -> None:
    """Progress, for a person."""
    print(text, file=sys.stderr, flush=True)


def percentiles(times: list[float]) -> dict[str, float]:
    """p50 and p99 in ms of times in seconds."""
    cuts = statistics.quantiles(times, n=100)
    return {"p50_ms": round(cuts[49] * 1000, 3), "p99_ms": round(cuts[98] * 1000, 3)}


def disk_floor(directory: Path, size: int) -> dict[str, float]:
    """Times of writing so many bytes and waiting for the disk."""
    fd = os.open(directory / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    times = []
    try:
        for _ in range(FLOOR_SYNCS):
            start = time.perf_counter()
            os.write(fd, b"x" * size)
            os.fdatasync(fd)
            times.append(time.perf_counter() - start)
    finally:
        os.close(fd)
    return percentiles(times)


async def produce(journal: Journal, until: float, batch: int, waits: list[float]) -> int:
    """Append `batch` records, wait for the disk, and again; returns how many records that were."""
    count = 0
    while time.perf_counter() < until:
        first = journal.next_seq
        now = time.time_ns() // 1000
        records = [Record(first, RecordKind.EVENT, now, BODY)]
        records += [Record(first + n, RecordKind.COMMAND, now, BODY, (first,)) for n in range(1, batch)]
        start = time.perf_counter()
        journal.append(records)
        await journal.commit()
        waits.append(time.perf_counter() - start)
        count += batch
    return count


async def rotate(journal: Journal) -> None:
    """Give a snapshot whenever one is wanted, as the agent does."""
    snapshot = msgspec.json.encode([msgspec.json.decode(BODY)] * 1000)
    while True:
        if journal.snapshot_wanted:
            await journal.begin_segment(snapshot, journal.next_seq - 1)
        await asyncio.sleep(0.05)


async def append(directory: Path, producers: int, batch: int, seconds: float) -> dict[str, Any]:
    """Records per second and commit waits with so many producers."""
    opened = DiskJournal.open(
        directory,
        node="bench",
        boot="bench",
        core_version="0",
        schema_hash="0",
        settings={},
        limits=Retention(max_bytes=4 << 30),
    )
    journal = opened.journal
    waits: list[float] = []
    rotation = asyncio.create_task(rotate(journal))
    cpu, start = time.process_time(), time.perf_counter()
    counts = await asyncio.gather(
        *(produce(journal, start + seconds, batch, waits) for _ in range(producers))
    )
    took, used = time.perf_counter() - start, time.process_time() - cpu
    rotation.cancel()
    await asyncio.gather(rotation, return_exceptions=True)
    await journal.close()
    return {
        "producers": producers,
        "batch": batch,
        "records": sum(counts),
        "records_per_s": round(sum(counts) / took),
        "cpu_us_per_record": round(used / sum(counts) * 1e6, 2),
        "degraded": journal.health.degraded,
        **percentiles(waits),
    }


def read(directory: Path) -> dict[str, Any]:
    """Records per second when a history is read and verified."""
    reader = JournalReader(directory)
    size = sum(path.stat().st_size for path in directory.glob("*.mkj"))
    start = time.perf_counter()
    count = sum(1 for _ in reader.records())
    took = time.perf_counter() - start
    assert not reader.damage, reader.damage
    return {
        "records": count,
        "bytes_per_record": round(size / count),
        "records_per_s": round(count / took),
        "mib_per_s": round(size / took / 2**20),
    }


def survey(directory: Path) -> dict[str, Any]:
    """How long an agent's start spends on the journal."""
    start = time.perf_counter()
    opened = DiskJournal.open(
        directory, node="bench", boot="b", core_version="0", schema_hash="0", settings={}, limits=Retention()
    )
    count = sum(1 for _ in opened.records)
    took = time.perf_counter() - start
    asyncio.run(opened.journal.close())
    return {
        "seconds": round(took, 3),
        "records_after_snapshot": count,
        "segments": len(opened.survey.segments),
    }


def main(argv: list[str]) -> int:
    """Run it; JSON on the standard output with `-o json`, a table otherwise."""
    parser = argparse.ArgumentParser(prog="bench journal", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=5, help="of each measurement of appending (default 5)"
    )
    parser.add_argument(
        "--producers", type=int, default=110, help="who append at the same time (default 110)"
    )
    parser.add_argument("--directory", type=Path, help="on the disk to measure (default: a temporary one)")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="bench-journal-") as name:
        work = Path(name)
        say(f"the floor of the disk under {work}: {FLOOR_SYNCS} writes with fdatasync …")
        results["floor"] = disk_floor(work, 110 * 200)
        for batch in (1, 2):
            say(f"{options.producers} producers, {batch} records a commit, {options.seconds:g} s …")
            key = f"append_{batch}"
            results[key] = asyncio.run(append(work / key, options.producers, batch, options.seconds))
        say("one producer …")
        results["append_alone"] = asyncio.run(append(work / "alone", 1, 2, min(options.seconds, 2)))
        say("reading …")
        results["read"] = read(work / "append_2")
        say("starting …")
        results["start"] = survey(work / "append_2")
    if options.output == "json":
        print(msgspec.json.encode(results).decode())
    else:
        for key, values in results.items():
            print(f"{key:14}" + "  ".join(f"{name}={value}" for name, value in values.items()))
    return 0
