"""Upstream's regressions as scenarios: what went wrong in a kubelet once goes well here.

The judges of the simulation look at every one of them; what is asserted beside is that the scenario took
place at all.
"""

from minikubelet.simulation.simscenario import Kind
from tests.simulation.simulation_world import at, play


def test_112814_a_static_pod_is_not_run_twice() -> None:
    """An edit while the old pod heeds no SIGTERM, and a restart of the agent in between."""
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 8),
        at(4, Kind.FILE_PUT, "s0", 1, 8),
        at(4.5, Kind.AGENT_KILL, "", 200, 1),
        at(5, Kind.FILE_PUT, "s0", 2, 8),
    )
    assert not report.violations
    assert report.lives == 2


def test_113145_a_force_deleted_pod_does_not_stay_terminating() -> None:
    report = play(
        at(0, Kind.API_PUT, "a0", 1, 3),
        at(3, Kind.API_DELETE, "a0", 30),
        at(3.01, Kind.API_FORCE, "a0"),
        at(3.02, Kind.API_PUT, "a0", 2, 3),
    )
    assert not report.violations
    assert report.coverage["PodWithdrawn", "ending"] + report.coverage["PodWithdrawn", "none"] >= 1


def test_121003_an_exit_between_two_looks_is_seen() -> None:
    """Events of one container overtake a look that began before them."""
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        *(at(3 + n / 1000, Kind.EXIT, "", 1, n) for n in range(6)),
    )
    assert not report.violations
    assert report.coverage["PodObserved", "active"] >= 3


def test_121796_events_that_are_lost_are_made_up_for() -> None:
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        at(3, Kind.ENGINE_RESTART),
        at(3.001, Kind.EXIT, "", 1, 0),
        at(3.002, Kind.FILE_REMOVE, "s0"),
    )
    assert not report.violations


def test_129355_a_pod_deleted_while_the_engine_restarts_goes() -> None:
    report = play(
        at(0, Kind.API_PUT, "a0", 1, 3),
        at(3, Kind.ENGINE_DOWN, "", 3),
        at(3.5, Kind.API_DELETE, "a0", 1),
    )
    assert not report.violations


def test_84783_a_state_that_was_torn_is_rebuilt() -> None:
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        *(at(1 + n / 3, Kind.POWER_LOSS, "", 10, 3 * n + n % 3) for n in range(9)),
    )
    assert not report.violations
    assert report.lives >= 5


def test_135711_an_agent_starts_on_a_full_disk() -> None:
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        at(2, Kind.DISK_FULL, "", 8),
        at(3, Kind.AGENT_KILL, "", 100, 1),
        at(5, Kind.EXIT, "", 1, 0),
    )
    assert not report.violations
    assert report.lives == 2


def test_139502_a_mirror_that_cannot_be_deleted_delays_no_restart() -> None:
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        at(2, Kind.API_DOWN, "", 15),
        at(2.5, Kind.FILE_PUT, "s0", 1, 1),
        at(3, Kind.EXIT, "", 1, 0),
    )
    assert not report.violations
    assert report.coverage["ContainerStarted", "active"] >= 2


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
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        at(2, Kind.FILE_PUT, "s0", 1, 1),
        at(2.01, Kind.FILE_PUT, "s0", 0, 1),
        at(2.02, Kind.FILE_PUT, "s0", 1, 1),
        at(4, Kind.FILE_PUT, "s0", 0, 1),
    )
    assert not report.violations


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
    """The file of before stays beside the one that is edited then, as `s0.yaml~` and `s0.yaml.backup`."""
    report = play(
        at(0, Kind.FILE_PUT, "s0", 0, 1),
        at(3, Kind.FILE_BACKUP, "s0", 0, 5),
        at(6, Kind.FILE_BACKUP, "s0", 1, 0),
        at(8, Kind.FILE_PUT, "s0", 1, 1),
        at(11, Kind.AGENT_KILL, "", 1000, 1),
    )
    assert not report.violations
    assert report.lives == 2
    assert report.coverage["PodWithdrawn", "active"] + report.coverage["PodWithdrawn", "ending"] == 1
