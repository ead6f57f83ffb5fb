"""The command: progress and exit codes, a failure made small, kept, and written as a test."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from minikubelet.cli import main, parser
from minikubelet.simulation import simcommand
from minikubelet.simulation.simcommand import as_test
from minikubelet.simulation.simjobs import run_all
from minikubelet.simulation.simrun import Report, run
from minikubelet.simulation.simscenario import Kind, Scenario, scenario
from minikubelet.simulation.simshrink import Shrinker
from tests.simulation.planted import timers_never_fire
from tests.simulation.simulation_world import at


def test_seeds_that_keep_every_promise(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seeds", "2", "--duration", "5s", "--pods", "2"]) == 0
    said = capsys.readouterr().out
    assert "2 seeds" in said
    assert "none → active" in said
    assert "every promise was kept" in said


def test_json_says_what_was_covered(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--seed", "7", "--duration", "5s", "--faults", "files,crash", "-o", "json"]) == 0
    said = msgspec.json.decode(capsys.readouterr().out)
    assert said["seeds"] == 1
    assert said["coverage"]["AgentStarted node"] >= 1
    assert said["transitions"]["none active"] >= 1


def test_a_failure_is_kept_and_opens_again(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a planted bug: the scenario shrinks, and its journal replays and tells why."""
    timers_never_fire(monkeypatch)
    written = tmp_path / "test_found.py"
    arguments = ["simulate", "--seeds", "4", "--duration", "5s", "--save", str(tmp_path), "--pytest"]
    assert main([*arguments, str(written)]) == 1
    kept = min(tmp_path.glob("seed-*"))
    assert f"minikubelet simulate --seed {kept.name[5:]} --duration 5s" in capsys.readouterr().out
    small = msgspec.json.decode((kept / "scenario.json").read_bytes(), type=Scenario)
    assert run(small).violations[0].promise == "liveness"
    assert main(["simulate", "--scenario", str(kept / "scenario.json"), "--no-shrink"]) == 1
    assert main(["replay", str(kept / "journal"), "--verify"]) == 0
    assert "SCENARIO" in written.read_text(encoding="utf-8")


def test_an_interrupt_says_what_came_of_the_seeds_so_far(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(scenarios: Iterable[Scenario], _jobs: int) -> Iterator[tuple[Scenario, Report]]:
        for each in scenarios:
            yield each, (report := run(each))
            if report.violations:
                raise KeyboardInterrupt

    timers_never_fire(monkeypatch)
    monkeypatch.setattr(simcommand, "run_all", interrupted)
    assert main(["simulate", "--duration", "5s", "--no-shrink"]) == 130
    said = capsys.readouterr().out.splitlines()
    assert " broke liveness at " in said[0]
    assert said[-1] == "interrupted: so far, one seed broke a promise"


def test_several_processes_say_what_one_says(capsys: pytest.CaptureFixture[str]) -> None:
    """More batches than processes, so that some are back before others are handed out."""
    said = []
    for jobs in ("1", "2"):
        arguments = ["--seeds", "70", "--duration", "1s", "--pods", "1", "--jobs", jobs, "-o", "json"]
        assert main(["simulate", *arguments]) == 0
        said.append(msgspec.json.decode(capsys.readouterr().out))
        del said[-1]["seconds"]
    assert said[0] == said[1]
    assert said[0]["seeds"] == 70


def test_reports_come_in_the_order_of_the_seeds() -> None:
    scenarios = [scenario(seed, duration=1, pods=1, faults=("crash",)) for seed in range(20)]
    ran = list(run_all(iter(scenarios), jobs=2))
    assert [each for each, _ in ran] == scenarios
    assert [report.digest for _, report in ran[-2:]] == [run(each).digest for each in scenarios[-2:]]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--seeds", "0"],
        ["--seed", "x"],
        ["--pods", "99"],
        ["--duration", "soon"],
        ["--faults", "gremlins"],
        ["--jobs", "many"],
    ],
)
def test_wrong_usage_is_said(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", *wrong])
    assert ended.value.code == 2
    assert wrong[1] in capsys.readouterr().err


def test_a_file_that_is_no_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = tmp_path / "x.json"
    wrong.write_text("{}", encoding="utf-8")
    assert main(["simulate", "--scenario", str(wrong)]) == 2
    assert "is no scenario" in capsys.readouterr().err


def told(kinds: set[Kind]) -> Callable[[Scenario], str]:
    return lambda tried: "broken" if kinds <= {each.kind for each in tried.actions} else ""


def test_shrinking_leaves_what_is_needed() -> None:
    every = [at(number, kind, "s0") for number, kind in enumerate(Kind)]
    big = Scenario(seed=1, duration=9, actions=tuple(every))
    needed = {Kind.EXIT, Kind.FILE_PUT}
    small = Shrinker(told(needed), "broken").shrink(big)
    assert {each.kind for each in small.actions} == needed


def test_shrinking_gives_up_after_so_many_tries() -> None:
    big = scenario(3, duration=20, pods=3, faults=("files",))
    shrinker = Shrinker(lambda _tried: "broken", "broken", tries=1)
    assert len(shrinker.shrink(big).actions) < len(big.actions)
    assert shrinker.left == 0


def test_a_scenario_as_a_test_is_python() -> None:
    small = scenario(3, duration=2, pods=1, faults=("files",))
    compile(as_test(small, "grace"), "test_found.py", "exec")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--save", "/proc/none/x"), "--save /proc/none/x: "),
        (("--pytest", "/none/t.py"), "its directory is not there"),
        (("--pytest", __file__), "there is such a file"),
    ],
)
def test_where_a_failure_cannot_be_kept_no_seed_is_run(
    capsys: pytest.CaptureFixture[str], words: tuple[str, str], said: str
) -> None:
    assert main(["simulate", "--seeds", "1", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ("--seed", "1", "--seeds", "2"),
        ("--seed", "1", "--scenario", "x.json"),
        ("--duration", "0.0001s"),
        ("--duration", "99999999h"),
        ("--faults", ","),
        ("--faults", "none,crash"),
        ("--faults", "all,crash"),
    ],
)
def test_what_would_be_ignored_or_never_end_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["simulate", *words])
    assert ended.value.code == 2


def test_the_order_of_faults_makes_no_other_scenario() -> None:
    orders = [
        parser().parse_args(["simulate", "--faults", faults]) for faults in ("crash,files", "files,crash")
    ]
    assert orders[0].faults == orders[1].faults == ("files", "crash")


def test_a_seed_that_is_kept_again_replaces_the_one_before(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    timers_never_fire(monkeypatch)
    old = tmp_path / "seed-0" / "journal" / "99999999999999999999.mkj"
    for _ in range(2):
        main(["simulate", "--seeds", "1", "--duration", "5s", "--no-shrink", "--save", str(tmp_path)])
        if old.parent.exists():
            assert not old.exists()
            old.touch()


def test_shrinking_takes_back_nothing_that_it_has_left_out() -> None:
    """Each change is made to what was found so far."""
    whole = scenario(3, duration=5, pods=2, faults=("files", "runtime", "probes", "disk"))
    small = Shrinker(lambda _: "broken", "broken").shrink(whole)
    assert not small.actions
    assert (small.slow_disk, small.flaky, small.ill) == (0.0, 0.0, 0.0)
    assert not any((small.runtime.faults, small.runtime.hangs, small.runtime.lost, small.api.conflict))
