"""What got slower between two results: `python -m bench compare BEFORE.json AFTER.json`.

Where both have samples, their medians are compared with a 95 % interval of the ratio, from a bootstrap; else
two numbers are. A value is worse when the whole interval is beyond `--tolerance` (and by more than
`--least` for times), so that neither noise nor a microsecond fails a build. Exit code: 0, or 1 when
something got worse, 2 for files that cannot be compared.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import msgspec

HIGHER_IS_BETTER = ("_per_s", "_per_cpu_s")
LOWER_IS_BETTER = (
    "p50", "p90", "p99", "max", "batch", "_us", "_ms", "_s", "_mib", "_bytes", "_percent", "_per_change",
)  # fmt: skip
_ROUNDS = 500


class Finding(msgspec.Struct, frozen=True):
    """One value that both results have: its ratio after to before, above 1 for worse, and the interval."""

    name: str
    before: float
    after: float
    ratio: float
    low: float
    high: float

    def worse(self, tolerance: float) -> bool:
        """Whether it got worse, noise taken into account."""
        return self.low > 1 + tolerance

    def better(self, tolerance: float) -> bool:
        """Whether it got better, noise taken into account."""
        return self.high < 1 / (1 + tolerance)


def main(argv: list[str]) -> int:
    """Compare two files; see the module."""
    parser = argparse.ArgumentParser(prog="bench compare", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument("--tolerance", type=float, default=0.15, help="of a median (default 0.15)")
    parser.add_argument("--single", type=float, default=0.3, help="of a number without samples (default 0.3)")
    parser.add_argument("--least", type=float, default=0.002, help="seconds that count (default 0.002)")
    parser.add_argument("-o", choices=["json", "table"], default="table", dest="output")
    options = parser.parse_args(argv)
    try:
        before, after = (_read(path) for path in (options.before, options.after))
    except (OSError, msgspec.DecodeError, TypeError) as error:
        sys.stderr.write(f"bench compare: {error}\n")
        return 2
    limits = {"tolerance": options.tolerance, "single": options.single, "least": options.least}
    found = compare(before, after, **limits)
    if not found:
        sys.stderr.write("bench compare: the two have no result in common\n")
        return 2
    worse = [each for each, allowed in found if each.worse(allowed)]
    if options.output == "json":
        print(msgspec.json.encode([each for each, _ in found]).decode())
    else:
        for each, allowed in found:
            word = "WORSE" if each.worse(allowed) else "better" if each.better(allowed) else "same"
            span = f"[{each.low:.2f}, {each.high:.2f}]"
            print(
                f"{word:7}{each.ratio:6.2f} x {span:14} {each.before:>12g} -> {each.after:<12g} {each.name}"
            )
    return 1 if worse else 0


def _read(path: Path) -> dict[str, dict[str, Any]]:
    return msgspec.json.decode(path.read_bytes(), type=dict[str, dict[str, Any]])


def compare(
    before: dict[str, Any], after: dict[str, Any], *, tolerance: float, single: float, least: float
) -> list[tuple[Finding, float]]:
    """What both have, each with the tolerance that it is judged by."""
    found: list[tuple[Finding, float]] = []
    for name in before.keys() & after.keys() - {"environment"}:
        old, new = before[name], after[name]
        sampled = old.get("samples") and new.get("samples")
        if sampled:
            found.append((_sampled(name, old["samples"], new["samples"], least), tolerance))
        for key in old.keys() & new.keys():
            sign = _sign(key, sampled=bool(sampled))
            if sign and _is_number(old[key]) and _is_number(new[key]):
                found.append((_alone(f"{name}: {key}", old[key], new[key], sign), single))
    return sorted(found, key=lambda item: -item[0].ratio)


def _sampled(name: str, old: list[float], new: list[float], least: float) -> Finding:
    """The ratio of medians, with a bootstrap interval; a difference that is too small to matter is none."""
    chance = Random(name)  # noqa: S311 - a script, no secret
    first, second = median(old), median(new)
    if abs(second - first) < least:
        return Finding(f"{name}: median", first, second, 1.0, 1.0, 1.0)
    ratios = sorted(
        median(chance.choices(new, k=len(new))) / max(median(chance.choices(old, k=len(old))), 1e-9)
        for _ in range(_ROUNDS)
    )
    low, high = ratios[int(0.025 * _ROUNDS)], ratios[int(0.975 * _ROUNDS)]
    return Finding(f"{name}: median", first, second, second / max(first, 1e-9), low, high)


def _alone(name: str, old: float, new: float, sign: int) -> Finding:
    if old <= 0 or new <= 0:
        return Finding(name, old, new, 1.0, 1.0, 1.0)
    ratio = new / old if sign > 0 else old / new
    return Finding(name, old, new, ratio, ratio, ratio)


def _sign(key: str, *, sampled: bool) -> int:
    """1 where less is better, -1 where more is, 0 for what is not to be compared."""
    if key.endswith(HIGHER_IS_BETTER):
        return -1
    if sampled and not key.startswith(("cpu", "rss", "journal", "batch")):
        return 0  # its samples have told
    return 1 if key.endswith(LOWER_IS_BETTER) else 0


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
