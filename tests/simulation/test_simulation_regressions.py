"""Upstream's regressions as scenarios: what went wrong in a kubelet once goes well here.

The judges of the simulation look at every one of them; what is asserted beside is that the scenario took
place at all. With upstream's bug planted (`upstream_bugs`), each of them fails.
"""

import pytest

from minikubelet.runtimes.simulated.simulatedoptions import SimulationOptions
from minikubelet.simulation.simscenario import Kind
from tests.simulation.simulation_world import at, play
from tests.simulation.upstream_bugs import UPSTREAM


def test_112814_a_static_pod_is_not_run_twice() -> None:
    """Its manifest is edited while the agent is away, which then finds no API server."""
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 8),
        at(4, Kind.API_DOWN, "", 12),
        at(4.5, Kind.AGENT_KILL, "", 2000, 1),
        at(5, Kind.FILE_PUT, "s0", 1, 8),
        at(10, Kind.FILE_PUT, "s0", 2, 8),
    )
    assert not report.violations
    assert report.lives == 2


def test_113145_a_force_deleted_pod_does_not_stay_terminating() -> None:
    """The engine fails while the pod ends, of which nobody hears any more."""
    report = play(
        at(0, Kind.API_PUT, "a0", 1, 5),
        at(3, Kind.ENGINE_DOWN, "", 3),
        at(3.1, Kind.API_DELETE, "a0", 30),
        at(3.2, Kind.API_FORCE, "a0"),
    )
    assert not report.violations
    assert report.coverage["PodWithdrawn", "ending"]
    assert report.coverage["CommandFailed", "ending"]


def test_121003_a_container_that_has_just_started_is_not_started_again() -> None:
    """What is seen of the pod was seen before that, and is heard after: calls are slow, some much slower."""
    for seed in (10, 11, 16, 22):
        report = play(
            at(0, Kind.FILE_PUT, "s0", 0, seed % 8),
            at(0, Kind.API_PUT, "a0", 0, seed % 7),
            *(at(3 + n, Kind.EXIT, "", 1, n) for n in range(4)),
            runtime=SimulationOptions(seed=seed, latency=0.2, tail=0.3),
        )
        assert not report.violations
        assert report.coverage["ContainerStarted", "active"] >= 3


def test_121796_ends_that_nothing_tells_of_are_seen() -> None:
    """Every event of the engine is lost."""
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        at(3, Kind.EXIT, "", 1, 0),
        runtime=SimulationOptions(lost=1.0),
    )
    assert not report.violations
    assert report.coverage["ContainerStarted", "active"] >= 2


def test_129355_a_state_that_was_true_before_is_no_news() -> None:
    """Events are late, and come twice: the pod is looked at while it changes."""
    for seed in (16, 22):
        report = play(
            at(0, Kind.FILE_PUT, "s0", 0, seed % 8),
            at(0, Kind.API_PUT, "a0", 0, seed % 7),
            *(at(3 + n, Kind.EXIT, "", 1, n) for n in range(4)),
            runtime=SimulationOptions(seed=seed, latency=0.2, tail=0.3, late=0.5, delay=2.0, doubled=0.5),
        )
        assert not report.violations
        assert report.coverage["PodObserved", "active"] >= 3


def test_84783_a_state_that_was_torn_is_rebuilt() -> None:
    """The agent is killed in the middle of a write, and the next life in the middle of another."""
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        at(2, Kind.AGENT_KILL, "", 10, 150),
        at(2.1, Kind.EXIT, "", 1, 0),
        at(6, Kind.AGENT_KILL, "", 10, 3),
        at(6.1, Kind.FILE_PUT, "s0", 1, 1),
    )
    assert not report.violations
    assert report.lives == 3


def test_135711_an_agent_starts_after_a_loss_of_power_on_a_full_disk() -> None:
    """Half of what was written last is there, and nothing can be written to mend it."""
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        at(2, Kind.POWER_LOSS, "", 500, 150),
        at(2.1, Kind.EXIT, "", 1, 0),
        at(2.2, Kind.DISK_FULL, "", 8),
        at(6, Kind.EXIT, "", 1, 0),
    )
    assert not report.violations
    assert report.lives == 2


def test_139502_a_mirror_that_cannot_be_deleted_delays_no_restart() -> None:
    """The API server is away from before the edit until after the end: what is edited runs, and again.

    Every run ends with one more edit, hence the fourth start.
    """
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        at(2, Kind.API_DOWN, "", 60),
        at(2.5, Kind.FILE_PUT, "s0", 1, 1),
        at(15, Kind.EXIT, "", 1, 0),
    )
    assert not report.violations
    assert report.coverage["ContainerStarted", "active"] == 4


def test_137309_a_mirror_does_not_stay_pending() -> None:
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        at(0.03, Kind.MIRROR_DELETE, "s0", 1),
        at(0.5, Kind.MIRROR_EDIT, "s0"),
        at(0.9, Kind.WATCH_EXPIRE),
    )
    assert not report.violations
    assert report.coverage["MirrorSeen", "active"] >= 2


def test_134908_a_static_pod_is_started_again_after_edits_there_and_back() -> None:
    """What is wanted again is still ending."""
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 8),
        at(3, Kind.FILE_PUT, "s0", 1, 8),
        at(4, Kind.FILE_PUT, "s0", 0, 8),
    )
    assert not report.violations
    assert report.coverage["PodSet", "ending"]


def test_133579_a_restart_of_the_agent_restarts_nothing() -> None:
    """Nor are startup probes that have passed asked again."""
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 16),
        at(0, Kind.FILE_PUT, "s1", 0, 17),
        at(0, Kind.API_PUT, "a0", 0, 3),
        at(5, Kind.AGENT_KILL, "", 1000, 1),
        at(9, Kind.AGENT_STOP, "", 1000),
    )
    assert not report.violations
    assert report.coverage["ContainerProbed", "active"] >= 2
    assert report.lives == 3


def test_136962_a_backup_file_defines_nothing() -> None:
    """The file of before stays beside the one that is edited then, as `s0.yaml~` and `s0.yaml.backup`.

    Each edit withdraws the pod of before: the one here, and the one that every run ends with.
    """
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        at(3, Kind.FILE_BACKUP, "s0", 0, 5),
        at(6, Kind.FILE_BACKUP, "s0", 1, 0),
        at(8, Kind.FILE_PUT, "s0", 1, 1),
        at(11, Kind.AGENT_KILL, "", 1000, 1),
    )
    assert not report.violations
    assert report.lives == 2
    assert report.coverage["PodWithdrawn", "active"] + report.coverage["PodWithdrawn", "ending"] == 2


@pytest.mark.parametrize("issue", UPSTREAM)
def test_with_upstreams_bug_the_scenario_fails(issue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (regression,) = (each for name, each in globals().items() if name.startswith(f"test_{issue}_"))
    UPSTREAM[issue](monkeypatch)
    with pytest.raises(AssertionError):
        regression()
