"""What the tests of sources share: a manifest language of one line per pod, and a sink that keeps all."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Container, ObjectMeta, Pod, PodSpec
from minikubelet.ports.sourceport import (
    FileVerdict,
    PodOffered,
    PodRetracted,
    Sink,
    SourceFact,
    SourceListed,
    VerdictsChanged,
)
from minikubelet.sources.filesource import FileSource
from minikubelet.sources.manifestset import FileReading, ReadPod
from tests.running import eventually


def a_pod(name: str, image: str, namespace: str = "default") -> Pod:
    """A pod whose uid follows from its content."""
    return Pod(
        metadata=ObjectMeta(name=name, namespace=namespace, uid=f"uid-{namespace}-{name}-{image}"),
        spec=PodSpec(containers=(Container(name="main", image=image),)),
    )


def read_lines(data: bytes, name: str) -> FileReading:
    """Each line is a document: `NAME IMAGE` is a pod, `# …` nothing, anything else is an error."""
    pods: list[ReadPod] = []
    errors: list[str] = []
    lines = [line for line in data.decode("utf-8", "replace").splitlines() if not line.startswith("#")]
    for number, line in enumerate(lines):
        match line.split():
            case [pod, image]:
                pods.append(ReadPod(a_pod(pod, image), number))
            case _:
                errors.append(f"line {number + 1}: {line[:20]!r} is no pod")
    return FileReading(tuple(pods), tuple(errors))


class KeepingSink:
    """Keeps all facts, and what is true after them."""

    def __init__(self) -> None:
        self.facts: list[SourceFact] = []
        self.pods: dict[str, PodOffered] = {}
        self.verdicts: dict[str, FileVerdict] = {}
        self.listed: SourceListed | None = None

    def put(self, *facts: SourceFact) -> Awaitable[None] | None:
        for fact in facts:
            self.take(fact)
        return None

    def take(self, fact: SourceFact) -> None:
        self.facts.append(fact)
        match fact:
            case PodOffered():
                self.pods[fact.slot] = fact
            case PodRetracted():
                slot = f"{fact.namespace}/{fact.name}"
                if slot in self.pods and self.pods[slot].uid == fact.uid:
                    del self.pods[slot]
            case VerdictsChanged():
                self.verdicts = {verdict.file: verdict for verdict in fact.verdicts}
            case SourceListed():
                self.listed = fact
            case _:
                pass

    @property
    def uids(self) -> set[PodUid]:
        """Uids of the pods that are offered now."""
        return {offered.uid for offered in self.pods.values()}

    @property
    def images(self) -> dict[str, str]:
        """Pod name to image of the pods that are offered now."""
        return {each.pod.metadata.name: each.pod.spec.containers[0].image for each in self.pods.values()}

    @property
    def retracted(self) -> list[str]:
        """Names retracted so far."""
        return [fact.name for fact in self.facts if isinstance(fact, PodRetracted)]

    async def until(self, condition: Callable[["KeepingSink"], object], what: str) -> None:
        """Wait until it is so."""
        await eventually(lambda: condition(self), what, every=0.002)


@asynccontextmanager
async def running(run: Callable[[Sink], Awaitable[None]]) -> AsyncIterator[KeepingSink]:
    """A source at work, ended with the block."""
    sink = KeepingSink()
    async with asyncio.TaskGroup() as group:

        async def at_work() -> None:
            await run(sink)

        task = group.create_task(at_work())
        try:
            yield sink
        finally:
            task.cancel()


@asynccontextmanager
async def watching(path: Path, *, frequency: float = 3600.0) -> AsyncIterator[KeepingSink]:
    """A file source over `path` after its first list; polling is off unless a frequency is given."""
    source = FileSource(path, read_lines, now=lambda: 1_700_000_000_000_000, frequency=frequency)
    async with running(source.run) as sink:
        await sink.until(lambda s: s.listed, "the first list")
        yield sink
