"""Eviction settings: upstream's defaults, what replaces them, and what is wrong with a threshold."""

import pytest

from minikubelet.core.signals import Signal
from minikubelet.model.settings import KubeletSettings
from minikubelet.wire.evictionsettings import eviction_rules, kept_free
from minikubelet.wire.settingsfile import SettingsFault, read_settings

HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
GIB = 1 << 30


def read(text: str) -> KubeletSettings:
    return read_settings((HEAD + text).encode()).settings.kubelet


def faults(text: str) -> str:
    with pytest.raises(SettingsFault) as caught:
        read(text)
    return "\n".join(caught.value.messages)


def test_the_defaults_are_upstreams() -> None:
    rules = eviction_rules(read(""))
    found = {t.signal.value: (t.amount, t.share, t.grace) for t in rules.thresholds}
    assert found == {
        "memory.available": (100 << 20, 0, 0),
        "nodefs.available": (0, 100_000, 0),
        "nodefs.inodesFree": (0, 50_000, 0),
        "imagefs.available": (0, 150_000, 0),
        "imagefs.inodesFree": (0, 50_000, 0),
    }
    assert (rules.transition, rules.most_grace) == (300_000_000, 0)
    assert kept_free(read(""), 8 * GIB, 100 * GIB) == (100 << 20, 10 * GIB)


def test_hard_thresholds_replace_the_defaults_unless_they_are_to_be_merged() -> None:
    one = read("evictionHard: {memory.available: 5%}\n")
    assert [t.signal for t in eviction_rules(one).thresholds] == [Signal.MEMORY_AVAILABLE]
    assert kept_free(one, 100 * GIB, 100 * GIB) == (5 * GIB, 0)
    merged = read("evictionHard: {memory.available: 1Gi}\nmergeDefaultEvictionSettings: true\n")
    assert len(eviction_rules(merged).thresholds) == 5
    assert kept_free(merged, 100 * GIB, 100 * GIB) == (GIB, 10 * GIB)
    off = read("evictionHard: {memory.available: 0%, nodefs.available: 100%, containerfs.available: 1%}\n")
    assert eviction_rules(off).thresholds == ()
    assert kept_free(off, GIB, GIB) == (0, 0)


def test_soft_thresholds_have_a_grace_and_both_may_have_to_be_exceeded_again() -> None:
    rules = eviction_rules(
        read(
            "evictionHard: {memory.available: 1Gi}\n"
            "evictionSoft: {memory.available: 2Gi, pid.available: 0%}\n"
            "evictionSoftGracePeriod: {memory.available: 1m30s, pid.available: 1s}\n"
            "evictionMinimumReclaim: {memory.available: 10%}\n"
            "evictionMaxPodGracePeriod: 60\nevictionPressureTransitionPeriod: 30s\n"
        )
    )
    hard, soft = rules.thresholds
    assert (hard.amount, hard.grace, hard.reclaim_share) == (GIB, 0, 100_000)
    assert (soft.amount, soft.grace, soft.reclaim_share) == (2 * GIB, 90_000_000, 100_000)
    assert (rules.most_grace, rules.transition) == (60, 30_000_000)


def test_what_is_wrong_is_named_with_its_field() -> None:
    said = faults(
        "evictionHard: {memory.free: 1Gi, memory.available: much, nodefs.available: 101%}\n"
        "evictionSoft: {nodefs.available: 5%, pid.available: '-1'}\n"
        "evictionSoftGracePeriod: {pid.available: soon, memory.available: 0s}\n"
        "evictionMaxPodGracePeriod: -1\n"
    )
    for key, name in (
        ("evictionHard", "memory.free"), ("evictionHard", "memory.available"),
        ("evictionHard", "nodefs.available"), ("evictionSoft", "pid.available"),
        ("evictionSoftGracePeriod", "nodefs.available"), ("evictionSoftGracePeriod", "pid.available"),
        ("evictionSoftGracePeriod", "memory.available"),
    ):  # fmt: skip
        assert any(key in line and name in line for line in said.splitlines())
    assert "evictionMaxPodGracePeriod: Invalid value" in said
