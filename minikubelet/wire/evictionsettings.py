"""Eviction settings: upstream's maps of signals to thresholds, as the rules that the core decides by.

Belongs here: reading `memory.available: 100Mi` and `nodefs.available: 10%`, with what is wrong in words. May
not be here: what follows from a threshold. After upstream's eviction/helpers.go, ParseThresholdConfig.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from minikubelet.core.signals import WHOLE, EvictionRules, Signal, Threshold
from minikubelet.model.podquantity import parse_quantity, whole
from minikubelet.model.settings import KubeletSettings
from minikubelet.wire.durations import parse_duration
from minikubelet.wire.fieldpaths import Findings

DEFAULT_HARD: Final = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}
_SIGNALS: Final = {signal.value: signal for signal in Signal}
_SECOND: Final = 1_000_000
_NEVER: Final = ("0%", "100%")
_WITHOUT_EFFECT: Final = ("containerfs.available", "containerfs.inodesFree", "allocatableMemory.available")


def eviction_rules(kubelet: KubeletSettings) -> EvictionRules:
    """The rules of settings that have been checked."""
    hard = _hard(kubelet)
    thresholds = [_threshold(kubelet, name, text, 0) for name, text in hard.items() if _counts(name, text)]
    for name, text in kubelet.eviction_soft.items():
        if _counts(name, text):
            grace = round(parse_duration(kubelet.eviction_soft_grace_period[name]) * _SECOND)
            thresholds.append(_threshold(kubelet, name, text, grace))
    return EvictionRules(
        thresholds=tuple(thresholds),
        transition=round(kubelet.eviction_pressure_transition_period * _SECOND),
        most_grace=kubelet.eviction_max_pod_grace_period,
    )


def kept_free(kubelet: KubeletSettings, memory: int, disk: int) -> tuple[int, int]:
    """Bytes of memory and of the node's disk that the hard thresholds keep from pods."""
    amounts = []
    for name, capacity in ((Signal.MEMORY_AVAILABLE.value, memory), (Signal.NODEFS_AVAILABLE.value, disk)):
        text = _hard(kubelet).get(name, "0")
        amount, share = _amount(text) if _counts(name, text) else (0, 0)
        amounts.append(amount or capacity * share // WHOLE)
    return amounts[0], amounts[1]


def check_eviction(kubelet: KubeletSettings, findings: Findings) -> None:
    """Add what is wrong with the thresholds."""
    maps = (
        ("evictionHard", kubelet.eviction_hard or {}),
        ("evictionSoft", kubelet.eviction_soft),
        ("evictionMinimumReclaim", kubelet.eviction_minimum_reclaim),
    )
    for key, given in maps:
        for name, text in given.items():
            if name not in _SIGNALS and name not in _WITHOUT_EFFECT:
                findings.unsupported((key, name), name, tuple(_SIGNALS))
            elif (wrong := _wrong(text)) is not None:
                findings.invalid((key, name), text, wrong)
    for name in kubelet.eviction_soft:
        period = kubelet.eviction_soft_grace_period.get(name)
        if period is None:
            why = "a grace period must be specified for the soft eviction threshold"
            findings.required(("evictionSoftGracePeriod", name), why)
    for name, text in kubelet.eviction_soft_grace_period.items():
        try:
            if parse_duration(text) <= 0:
                findings.invalid(("evictionSoftGracePeriod", name), text, "must be greater than 0")
        except ValueError as error:
            findings.invalid(("evictionSoftGracePeriod", name), text, str(error))


def _hard(kubelet: KubeletSettings) -> dict[str, str]:
    if kubelet.eviction_hard is None:
        return DEFAULT_HARD
    return {**(DEFAULT_HARD if kubelet.merge_default_eviction_settings else {}), **kubelet.eviction_hard}


def _counts(name: str, text: str) -> bool:
    """Whether it is a threshold at all; 0 % and 100 % switch one off."""
    return name in _SIGNALS and text not in _NEVER


def _threshold(kubelet: KubeletSettings, name: str, text: str, grace: int) -> Threshold:
    amount, share = _amount(text)
    reclaim, reclaim_share = _amount(kubelet.eviction_minimum_reclaim.get(name, "0"))
    return Threshold(
        signal=_SIGNALS[name],
        amount=amount,
        share=share,
        grace=grace,
        reclaim=reclaim,
        reclaim_share=reclaim_share,
    )


def _amount(text: str) -> tuple[int, int]:
    """An amount, or a share in millionths."""
    if text.endswith("%"):
        return 0, int(Fraction(text[:-1]) * WHOLE / 100)
    return whole(text), 0


def _wrong(text: str) -> str | None:
    try:
        value = Fraction(text[:-1]) if text.endswith("%") else parse_quantity(text)
    except ValueError:
        return "must be a quantity such as 100Mi, or a percentage such as 10%"
    too_much = text.endswith("%") and value > 100  # noqa: PLR2004 - per cent
    return "must be at least 0, and at most 100%" if value < 0 or too_much else None
