"""Flags in the environment, and logs as JSON lines."""

import json
from pathlib import Path

import pytest
import structlog

from minikubelet.agent import lifetime
from minikubelet.agent.agentlogging import configure_logging
from minikubelet.agent.agentplan import StartFault
from minikubelet.cli import main, parser
from minikubelet.model.settings import LogFormat, LoggingSettings


def test_flags_come_from_the_environment_and_a_written_flag_counts_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "ROOT_DIR": "/srv/x",
        "HOSTNAME_OVERRIDE": "env",
        "STANDALONE": "true",
        "V": "4",
        "LOGGING_FORMAT": "json",
    }.items():
        monkeypatch.setenv(f"MINIKUBELET_{name}", value)
    options = parser().parse_args(["run", "--hostname-override", "flag"])
    assert (options.root_dir, options.hostname_override) == (Path("/srv/x"), "flag")
    assert (options.standalone, options.verbosity, options.logging_format) == (True, 4, "json")
    assert parser().parse_args(["apiserver"]).root_dir == Path("/srv/x")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("LOGGING_FORMAT", "xml", "text, json"),
        ("V", "much", "invalid int value"),
        ("STANDALONE", "maybe", "true or false"),
    ],
)
def test_nonsense_in_the_environment_is_wrong_usage(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"MINIKUBELET_{name}", value)
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["run"])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_server_is_told_durations_with_their_unit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--root-dir", str(tmp_path), "--node-monitor-grace-period", "15"]
    assert main(["apiserver", *flags]) == 2
    assert "--node-monitor-grace-period 15: a duration is a number with a unit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [(StartFault("not there"), 2, ("error", "not there")), (KeyError(), 1, ("critical", "the agent failed"))],
)
def test_how_an_agent_ends_is_a_json_line_too(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fault: Exception,
    code: int,
    said: tuple[str, str],
) -> None:
    def fails(_: object) -> None:
        raise fault

    monkeypatch.setattr(lifetime, "make_plan", fails)
    monkeypatch.setattr(lifetime, "_log", structlog.get_logger())  # whose stream ends with the test
    assert main(["run", "--logging-format", "json"]) == code
    out, err = capsys.readouterr()
    last = json.loads(out)
    assert ((last["level"], last["msg"]), err) == (said, "")
    assert ("Traceback" in last.get("exception", "")) is (code == 1)
    if code == 1:
        with pytest.raises(KeyError):
            main(["run", "--logging-format", "text"])


def test_json_goes_to_standard_output_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(LoggingSettings(format=LogFormat.JSON))
    log = structlog.get_logger("test")
    log.info("two\nlines", path=Path("/x"))
    log.debug("not said")
    out, err = capsys.readouterr()
    (line,) = out.splitlines()
    said = json.loads(line)
    assert (said["msg"], said["level"], said["path"], err) == ("two\nlines", "info", "/x", "")
    assert said["ts"].endswith("Z")
