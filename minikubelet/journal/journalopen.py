"""What happens before a journal can be written: lock, survey, repairs. Whatever goes wrong, a start goes on.

What could not be done is kept as steps for the store, which does them before it writes its next segment.
"""

import errno
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
import structlog

from minikubelet.journal.fileops import FileOps
from minikubelet.journal.repairs import carry_out
from minikubelet.journal.segments import LOCK_NAME, Identity, segment_names
from minikubelet.journal.survey import Findings, survey_directory
from minikubelet.journal.writing import SegmentStore
from minikubelet.ports.journalport import JournalLockedError, Retention, Survey, Verdict

_log = structlog.get_logger(__name__)


class Prepared(msgspec.Struct, frozen=True):
    """What a journal starts with; `problem` says why it starts degraded, or nothing."""

    findings: Findings
    store: SegmentStore
    release: Callable[[], None]
    problem: str


class DirectoryLock:
    """The lock of one journal directory, held until released."""

    def __init__(self, directory: Path, ops: FileOps) -> None:
        self._directory, self._ops = directory, ops
        self._fd: int | None = None

    def take(self) -> None:
        """Make the directory and hold its lock; BlockingIOError where another agent does, else OSError."""
        if self._fd is None:
            self._ops.make_directory(self._directory)
            self._fd = self._ops.lock(self._directory / LOCK_NAME)

    def hold(self) -> None:
        """Take the lock again where its file was removed while it was held; OSError where that cannot be.

        Without it two agents could write one journal, in a directory that was made again.
        """
        path = self._directory / LOCK_NAME
        if self._fd is None or self._ops.holds(path, self._fd):
            return
        try:
            fd = self._ops.lock(path)
        except BlockingIOError:
            taken = f"another agent has taken the journal ({self.holder()}); stop one of them"
            raise OSError(errno.EBUSY, taken) from None
        self._ops.close(self._fd)
        self._fd = fd

    def release(self) -> None:
        """Let go, if held."""
        if self._fd is not None:
            self._ops.close(self._fd)
            self._fd = None

    def holder(self) -> str:
        """The pid another agent noted in the lock, for a sentence."""
        try:
            pid = self._ops.read(self._directory / LOCK_NAME, 20).decode("ascii", "replace").strip()
        except OSError:
            pid = ""
        return f"pid {pid}" if pid.isdigit() else "pid unknown"


def prepare(
    directory: Path, identity: Identity, limits: Retention, ops: FileOps, clock: Callable[[], int]
) -> Prepared:
    """Lock, survey and repair a directory; the only error is JournalLockedError."""
    lock = DirectoryLock(directory, ops)
    problem = _first_problem([lock.take], directory, lock)
    findings = Findings()
    try:
        findings = survey_directory(directory, ops)
    except FileNotFoundError:
        pass  # it could not be made either, and that has been said
    except OSError as error:
        problem = f"{directory} cannot be read: {error.strerror}"
        findings = Findings(survey=Survey(damage=(problem,)))
    steps: list[Callable[[], None]] = []
    if problem:
        steps = [lock.take, partial(_unchanged, findings, directory, ops)]
    repairs = [partial(carry_out, repair, directory, ops) for repair in findings.repairs]
    if not problem:
        while repairs and not problem:
            problem = _first_problem([repairs[0]], directory, lock)
            if not problem:
                del repairs[0]
    store = SegmentStore(
        directory,
        ops=ops,
        identity=identity,
        limits=limits,
        clock=clock,
        tail=findings.tail,
        segments=findings.segments,
        carried=findings.carried,
        hold=lock.hold,
    )
    store.todo.extend([*steps, *repairs])
    _tell_unchecked(findings)
    return Prepared(findings, store, lock.release, problem)


def _tell_unchecked(findings: Findings) -> None:
    left = [found for found in findings.survey.segments if found.verdict is Verdict.UNCHECKED]
    if left:
        _log.info(
            "older segments of the journal were not verified: a start verifies a large one from its last"
            " snapshot but one, `minikubelet replay --verify` all of it",
            segments=len(left),
            mib=sum(found.size for found in left) >> 20,
        )


def _first_problem(steps: list[Callable[[], None]], directory: Path, lock: DirectoryLock) -> str:
    for step in steps:
        try:
            step()
        except BlockingIOError:
            raise JournalLockedError(
                f"the journal {directory} is in use by another agent ({lock.holder()});"
                " stop that one, or give this one a state directory of its own"
            ) from None
        except OSError as error:
            return f"{directory} cannot be written: {error.strerror or error}"
    return ""


def _unchanged(findings: Findings, directory: Path, ops: FileOps) -> None:
    """Refuse (OSError) where the directory holds other segments than surveyed: without a lock, or unread.

    What they hold is not known, so nothing may be written over them until the next start.
    """
    known = [found.path.name for found in findings.survey.segments]
    if segment_names(ops.listing(directory)) != known:
        raise OSError(errno.EBUSY, "the segments are not those of the start; restart the agent")
