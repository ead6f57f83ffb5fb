"""The table of fields is true: none is missing, honoured without a proof, or ignored in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Pod
from minikubelet.ports.runtimeport import (
    ContainerConfig,
    DnsConfig,
    PortMapping,
    Resources,
    SandboxConfig,
)
from minikubelet.runtimes.process.processpolicy import container_warnings, sandbox_warnings
from minikubelet.wire.honoured import NOT_HONOURED, not_honoured
from tests.wire import fieldtable
from tests.wire.fieldtable import Verdict

AGAIN = "run `python -m tests.wire.fieldtable` and commit docs/fields.md"
SANDBOX = SandboxConfig(
    uid=PodUid("u"), namespace="n", name="p", attempt=0, hostname="p", log_directory=Path("/l")
)
CONTAINER = ContainerConfig(
    uid=PodUid("u"), namespace="n", pod_name="p", name="c", attempt=0, image="i", hash="h",
    log_path=Path("/l/c/0.log"),
)  # fmt: skip


def test_the_page_is_what_schema_tests_and_agent_say() -> None:
    assert fieldtable.PAGE.read_text(encoding="utf-8") == fieldtable.page(), AGAIN


def test_every_field_of_the_schema_has_a_verdict_of_every_driver() -> None:
    types = fieldtable.schema()
    every = {f"{kind}.{name}" for kind, properties in types.items() for name in properties}
    assert len(every) > 400
    for told in fieldtable.verdicts().values():
        assert set(told) == every


def test_no_special_verdict_is_about_a_field_that_there_is_not() -> None:
    known = {f"{kind}.{name}" for kind, properties in fieldtable.schema().items() for name in properties}
    for driver in (fieldtable.EVERYWHERE, *fieldtable.DRIVERS.values()):
        assert set(driver) <= known


def test_what_is_honoured_has_a_test_that_names_it() -> None:
    """Mark the test with `fields("Type.field")`."""
    honoured = [
        name for name, told in fieldtable.verdicts()["docker"].items() if told.verdict is Verdict.HONOURED
    ]
    proofs = fieldtable.proofs()
    assert [name for name in honoured if name not in proofs] == []


def test_no_test_names_a_field_that_there_is_not() -> None:
    known = fieldtable.verdicts()["docker"]
    assert [name for name in fieldtable.proofs() if name not in known] == []


SHAPES: tuple[Any, ...] = (
    "x",
    {"claims": [{"name": "x"}]},
    [{"name": "x", "devicePath": "/x"}],
    [{"x": "y"}],
    {"x": "y"},
    True,
)


def sample(path: str) -> Pod:
    """A pod that sets the field of this path, with the first value that has a fitting shape."""
    for value in SHAPES:
        found = value
        for name in reversed(path.split(".")[1:]):
            beside = {"name": "v"} if name == "projected" else {}
            found = {name.removesuffix("[]"): [found] if name.endswith("[]") else found, **beside}
        try:
            return msgspec.convert({"spec": found}, Pod)
        except msgspec.ValidationError:
            continue
    raise AssertionError(f"none of the shapes is that of {path}")


@pytest.mark.parametrize("path", sorted(NOT_HONOURED))
def test_what_is_ignored_gives_a_warning(path: str) -> None:
    assert path in not_honoured(sample(path))


def test_what_processes_ignore_gives_a_warning() -> None:
    said = {
        "PodSpec.dnsConfig": sandbox_warnings(msgspec.structs.replace(SANDBOX, dns=DnsConfig())),
        "PodSpec.dnsPolicy": sandbox_warnings(msgspec.structs.replace(SANDBOX, dns=DnsConfig())),
        "PodSpec.hostAliases": sandbox_warnings(msgspec.structs.replace(SANDBOX, hosts=(("::1", "a"),))),
        "ContainerPort.hostPort": sandbox_warnings(
            msgspec.structs.replace(SANDBOX, ports=(PortMapping(80, 8080),))
        ),
        "ResourceRequirements.limits": container_warnings(
            msgspec.structs.replace(CONTAINER, resources=Resources(memory_limit=1 << 20))
        ),
    }
    ignored = [name for name, told in fieldtable.PROCESS.items() if told.verdict is Verdict.IGNORED]
    assert sorted(said) == sorted(ignored)
    assert all(said.values())
    assert sandbox_warnings(SANDBOX) == container_warnings(CONTAINER) == []
