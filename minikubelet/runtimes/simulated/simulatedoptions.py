"""How a simulated engine behaves: latencies, faults and events, all drawn from a seed.

Belongs here: options of a `simulated://` endpoint and the draws from them. May not be here: containers.
"""

from __future__ import annotations

import re
from random import Random
from urllib.parse import parse_qsl, urlsplit

import msgspec

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m)?")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, None: 1.0}
_DURATIONS = ("latency", "hang", "delay")
_SPREAD = 0.5
_TAIL = 20.0


class SimulationOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Durations in seconds, the others are chances from 0 to 1.

    `latency` is a call's median (log-normal about it), `tail` the chance that it takes twenty times as long.
    `faults`: a call fails, half of the time after it has had its effect. `hangs`: it takes `hang` longer.
    `lost`, `doubled` and `late` are of events; late ones come up to `delay` later.
    """

    seed: int = 0
    latency: float = 0.0
    tail: float = 0.0
    faults: float = 0.0
    hangs: float = 0.0
    hang: float = 600.0
    lost: float = 0.0
    doubled: float = 0.0
    late: float = 0.0
    delay: float = 10.0


class Fate(msgspec.Struct, frozen=True):
    """What becomes of one call: seconds it takes, and whether it fails before or after its effect."""

    seconds: float
    fails_before: bool = False
    fails_after: bool = False


def parse_endpoint(endpoint: str) -> SimulationOptions:
    """Options of `simulated://?seed=1&latency=20ms&faults=0.01`; ValueError names what is wrong."""
    parts = urlsplit(endpoint)
    if parts.scheme != "simulated" or parts.netloc or parts.path not in ("", "/"):
        raise ValueError(f"{endpoint!r} is not of the form simulated://?seed=1&latency=20ms")
    values: dict[str, float] = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in SimulationOptions.__struct_fields__:
            known = ", ".join(SimulationOptions.__struct_fields__)
            raise ValueError(f"{endpoint!r}: there is no option {name!r}; there are {known}")
        values[name] = _value(endpoint, name, text)
    return msgspec.convert(values, SimulationOptions)


def _value(endpoint: str, name: str, text: str) -> float:
    if name == "seed" and text.isdecimal():
        return int(text)
    if name in _DURATIONS and (found := _DURATION.fullmatch(text)):
        return float(found[1]) * _UNITS[found[2]]
    if name not in (*_DURATIONS, "seed") and re.fullmatch(r"0(\.\d+)?|1(\.0+)?", text):
        return float(text)
    wanted = {"seed": "a whole number"}.get(name, "20ms or 1.5s" if name in _DURATIONS else "from 0 to 1")
    raise ValueError(f"{endpoint!r}: {name} is {text!r}, but has to be {wanted}")


class Draws:
    """Chance from a seed: each kind of thing has its own sequence per subject.

    So what becomes of one container's calls does not hang on how those of others interleave with them.
    """

    def __init__(self, options: SimulationOptions) -> None:
        self._options = options
        self._counts: dict[tuple[str, str], int] = {}

    def _random(self, kind: str, subject: str) -> Random:
        count = self._counts[kind, subject] = self._counts.get((kind, subject), 0) + 1
        return Random(f"{self._options.seed} {kind} {subject} {count}")  # noqa: S311 - no secret

    def fate(self, call: str, subject: str) -> Fate:
        """What becomes of the next call of that name about that subject."""
        random, options = self._random(call, subject), self._options
        seconds = options.latency * random.lognormvariate(0, _SPREAD)
        if random.random() < options.tail:
            seconds *= _TAIL
        if random.random() < options.hangs:
            seconds += options.hang
        fails, after = random.random() < options.faults, random.random() < 1 / 2
        return Fate(seconds, fails_before=fails and not after, fails_after=fails and after)

    def deliveries(self, subject: str) -> list[float]:
        """Delays in seconds after which the next event about the subject is delivered; none: it is lost."""
        random, options = self._random("event", subject), self._options
        if random.random() < options.lost:
            return []
        delays = [0.0] * (2 if random.random() < options.doubled else 1)
        late = options.delay * random.random()
        return [late if random.random() < options.late else delay for delay in delays]
