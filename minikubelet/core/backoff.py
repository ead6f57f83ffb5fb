"""Back-off: how long what failed waits before it is tried again.

Belongs here: upstream's constants and the arithmetic on them (pkg/kubelet/kubelet.go, client-go's
flowcontrol/backoff.go). May not be here: the clock. Microseconds throughout.
"""

from __future__ import annotations

from typing import Final

SECOND: Final = 1_000_000
CRASH_INITIAL: Final = 10 * SECOND
CRASH_MAX: Final = 300 * SECOND
CRASH_FORGET: Final = 600 * SECOND
"""a container that ran for so long begins its back-off anew"""
RETRY_INITIAL: Final = 1 * SECOND
RETRY_MAX: Final = 60 * SECOND
CLOCK_SLACK: Final = 1 * SECOND
"""by how much a moment of the past may lie ahead before it is taken for one of a clock since set back"""
SHOWN_AS_FAILED: Final = 1 * SECOND
"""how long a failed start shows its own reason before it shows the back-off"""
MIRROR_PAUSE: Final = 300_000
"""for how long a mirror pod deleted by somebody stays away: `kubectl delete` must see it go"""
NEVER_MADE: Final = (
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "RegistryUnavailable",
    "CreateContainerConfigError",
)
"""reasons of failed starts that were given before the engine was asked to make a container"""
IMAGE_REASONS: Final = ("ErrImagePull", "ErrImageNeverPull", "InvalidImageName", "RegistryUnavailable")


def next_crash_delay(delay: int) -> int:
    """The delay after the next exit, given the one in force: 10 s, doubled up to 300 s."""
    return min(CRASH_MAX, delay * 2) if delay else CRASH_INITIAL


def delay_after_run(delay: int, ran_for: int) -> int:
    """The delay in force after a run of that length: none after ten minutes."""
    return 0 if ran_for >= CRASH_FORGET else delay


def is_of_pull(reason: str) -> bool:
    """Whether a start failed for its image."""
    return reason in IMAGE_REASONS


def retry_delay(tries: int, reason: str = "") -> int:
    """The wait after so many failures in a row: images as crashes, the engine's calls from one second."""
    if is_of_pull(reason):
        return _doubled(CRASH_INITIAL, CRASH_MAX, tries)
    return _doubled(RETRY_INITIAL, RETRY_MAX, tries)


def longest_wait(tries: int, reason: str = "") -> int:
    """What may be left of the wait after so many failures unless the clock was set back."""
    return retry_delay(max(tries, 1), reason) + CLOCK_SLACK


def _doubled(initial: int, most: int, tries: int) -> int:
    return min(most, initial << min(tries - 1, 16))
