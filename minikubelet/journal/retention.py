"""Which old files may go: pure choices over names, sizes and times.

Nothing here removes anything. Only the oldest segments go, so that history has no holes, and what a start
needs stays: everything from the last snapshot but one on, so that the newest can be checked and replaced.
"""

from collections.abc import Sequence

from minikubelet.journal.fileops import FileFound
from minikubelet.journal.segments import SegmentInfo
from minikubelet.ports.journalport import Retention

_MICROSECONDS = 1_000_000
_ASIDE_SHARE = 4  # damaged files kept aside may take this part of `max_bytes`


def removable(segments: Sequence[SegmentInfo], limits: Retention, now: int) -> list[SegmentInfo]:
    """The oldest segments that are over the limits, of `segments` in order; `now` in µs since the epoch."""
    total = sum(segment.size for segment in segments)
    gone: list[SegmentInfo] = []
    for index in range(_needed_from(segments)):
        ended = segments[index + 1].created
        if total <= limits.max_bytes and now - ended <= limits.max_age * _MICROSECONDS:
            break
        gone.append(segments[index])
        total -= segments[index].size
    return gone


def _needed_from(segments: Sequence[SegmentInfo]) -> int:
    with_snapshot = [index for index, segment in enumerate(segments) if segment.has_snapshot]
    if not with_snapshot:
        return 0  # nothing replaces the beginning
    return with_snapshot[-2] if len(with_snapshot) > 1 else max(with_snapshot[0] - 1, 0)


def removable_aside(files: Sequence[FileFound], limits: Retention) -> list[FileFound]:
    """The oldest of the damaged files kept aside that are over their share of the limit."""
    total = sum(file.size for file in files)
    gone: list[FileFound] = []
    for file in sorted(files, key=lambda file: file.modified):
        if total <= limits.max_bytes // _ASIDE_SHARE:
            break
        gone.append(file)
        total -= file.size
    return gone
