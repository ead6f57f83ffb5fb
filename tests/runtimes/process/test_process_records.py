"""What the process driver refuses, what it writes, and what it makes of damaged files."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from minikubelet.model.ids import PodUid
from minikubelet.ports.runtimeport import (
    ContainerConfig,
    DnsConfig,
    Mount,
    MountPropagation,
    PortMapping,
    RuntimeFault,
    SandboxConfig,
    Security,
)
from minikubelet.runtimes.process import processpolicy, processrecords, shimlog, shimspec
from minikubelet.runtimes.process.processruntime import ProcessRuntime
from tests.running import run
from tests.runtimes.contract.contract_programs import cri_lines

HERE = Path("/tmp")


def container(**fields: Any) -> ContainerConfig:
    usual: dict[str, Any] = {
        "uid": "u",
        "namespace": "default",
        "pod_name": "p",
        "name": "main",
        "attempt": 0,
        "image": "app:1",
        "hash": "h",
        "command": ("true",),
        "log_path": HERE / "0.log",
    }
    return ContainerConfig(**{**usual, **fields})


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"command": ()}, "CreateContainerError", "has no command and its image app:1 is not used"),
        ({"image": "/no/such/dir"}, "CreateContainerError", "is not a directory"),
        ({"security": Security(seccomp="RuntimeDefault")}, "", "seccompProfile"),
        ({"security": Security(apparmor="RuntimeDefault")}, "", "appArmorProfile"),
        ({"security": Security(read_only_root=True)}, "", "readOnlyRootFilesystem"),
        ({"security": Security(run_as_non_root=True, run_as_user=0)}, "", "runAsNonRoot|runAsUser"),
        ({"security": Security(drop_capabilities=("FLYING",))}, "", "no capability FLYING"),
        ({"mounts": (Mount(HERE, "data"),)}, "", "must be absolute"),
        ({"mounts": (Mount(HERE, "/data/../etc"),)}, "", "without .."),
        ({"mounts": (Mount(HERE, "/"),)}, "", "must be absolute"),
        ({"mounts": (Mount(HERE / "no-such", "/data"),)}, "", "does not exist"),
        ({"mounts": (Mount(HERE, "/d", propagation=MountPropagation.BIDIRECTIONAL),)}, "", "Bidirectional"),
        ({"env": (("A=B", "x"),)}, "", "'A=B' cannot be set"),
        ({"args": ("a\0b",)}, "", "NUL byte"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_name(fields: dict[str, object], reason: str, words: str) -> None:
    with pytest.raises(RuntimeFault, match=words) as caught:
        processpolicy.refuse_container(container(**fields))
    assert caught.value.reason == (reason or "CreateContainerConfigError")


@pytest.mark.parametrize(
    "security",
    [
        Security(run_as_user=4321),
        Security(run_as_group=4321),
        Security(supplemental_groups=(4321,)),
        Security(add_capabilities=("NET_ADMIN",)),
    ],
)
def test_without_root_no_one_else_can_be_become(security: Security, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 1000)
    with pytest.raises(RuntimeFault, match="root"):
        processpolicy.refuse_container(container(security=security))
    own = Security(run_as_user=1000, run_as_group=1000, run_as_non_root=True)
    processpolicy.refuse_container(container(security=own))


def test_what_does_no_harm_is_let_through() -> None:
    dropped = Security(privileged=True, seccomp="Unconfined", drop_capabilities=("ALL",))
    processpolicy.refuse_container(container(security=dropped))
    assert processpolicy.capability_numbers(("CAP_CHOWN", "net_admin")) == [0, 12]
    assert processpolicy.stop_signal("") == 15
    assert processpolicy.stop_signal("SIGQUIT") == processpolicy.stop_signal("quit") == 3
    with pytest.raises(RuntimeFault, match="SIGNONE"):
        processpolicy.stop_signal("SIGNONE")


def test_a_pod_is_told_what_it_does_not_get() -> None:
    plain = SandboxConfig(
        uid=PodUid("u"), namespace="n", name="p", attempt=0, hostname="p", log_directory=HERE, dns=DnsConfig()
    )
    moved = replace(plain, ports=(PortMapping(80, 8080), PortMapping(90, 90)), dns=None)
    (warning,) = processpolicy.sandbox_warnings(moved)
    assert warning.startswith("hostPort 8080: ")
    assert "dnsPolicy" in " ".join(processpolicy.sandbox_warnings(plain))
    with pytest.raises(RuntimeFault, match=r"net\.core\.somaxconn"):
        processpolicy.refuse_sandbox(replace(plain, sysctls=(("net.core.somaxconn", "1"),)))


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "-a", "a_b", "a\n", "x" * 300])
def test_no_name_leads_out_of_the_state_directory(name: str) -> None:
    with pytest.raises(RuntimeFault, match="cannot be part of a directory's name"):
        processrecords.make_id("uid", name, 0)
    with pytest.raises(RuntimeFault, match="cannot be part of a directory's name"):
        processrecords.make_id(name, "main", 0)
    assert processrecords.path_of(HERE, f"uid_{name}_0") is None or name == "a_b"


def test_an_id_leads_back_to_its_directory() -> None:
    made = processrecords.make_id("11-22.x", "main", 3)
    assert processrecords.path_of(HERE, made) == HERE / "11-22.x" / "main_3"
    assert processrecords.path_of(HERE, "docker://abc") is None
    assert processrecords.path_of(HERE, made + "\n") is None


_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.lists(_text, min_size=1), max_size=5))
def test_a_spec_survives_its_way_to_the_supervisor(spec: dict[str, list[str]]) -> None:
    assert shimspec.decode_spec(shimspec.encode_spec(spec)) == spec


@given(st.text("ab\n", max_size=60), st.integers(1, 9), st.integers(1, 7))
def test_a_log_holds_exactly_what_was_written(output: str, chunk: int, longest: int) -> None:
    """However the bytes arrive and lines are cut: put together again they are the output."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(shimlog, "LONGEST", longest)
        log = shimlog.CriLog(f"{directory}/0.log")
        for begin in range(0, len(output), chunk):
            log.write("stdout", output[begin : begin + chunk].encode())
        log.close()
        entries = cri_lines(Path(directory) / "0.log")
        assert "".join(text + ("\n" if tag == "F" else "") for _, tag, text in entries) == output
        assert max((len(text) for _, _, text in entries), default=0) <= longest


def test_streams_are_cut_apart_and_a_last_line_without_end_is_a_part(state_dir: Path) -> None:
    log = shimlog.CriLog(str(state_dir / "0.log"))
    log.write("stdout", b"one\ntw")
    log.write("stderr", b"oops\n")
    log.write("stdout", b"o\n\nend")
    log.close()
    assert cri_lines(state_dir / "0.log") == [
        ("stdout", "F", "one"),
        ("stderr", "F", "oops"),
        ("stdout", "F", "two"),
        ("stdout", "F", ""),
        ("stdout", "P", "end"),
    ]
    assert (state_dir / "0.log").stat().st_mode & 0o777 == 0o600
    assert shimlog.stamp(1_700_000_000_000_000_123) == "2023-11-14T22:13:20.000000123Z"


def test_a_log_that_cannot_be_written_ends_nothing(state_dir: Path) -> None:
    log = shimlog.CriLog(str(state_dir / "no" / "such" / "directory"))
    log.write("stdout", b"lost\n")
    full = shimlog.CriLog("/dev/full")
    full.write("stdout", b"lost\n")
    full.close()
    log.close()


def test_damaged_records_are_no_pods_and_no_crash(state_dir: Path) -> None:
    async def main() -> None:
        runtime = ProcessRuntime(state_dir, node="n")
        await runtime.connect()
        base = state_dir / "process" / "n"
        for name in ("uid/POD_0/sandbox.json", "uid/main_0/container.json", "other/POD_0/sandbox.json"):
            (base / name).parent.mkdir(parents=True)
            (base / name).write_bytes(b'{"id": "half')
        (base / "a file").touch()
        assert await runtime.list_pods() == []
        await runtime.remove_container("uid_main_0")
        await runtime.aclose()

    run(main())


def test_images_are_names_and_need_no_pull(state_dir: Path) -> None:
    async def main() -> None:
        runtime = ProcessRuntime(state_dir, node="n")
        found = await runtime.image_status("nginx:1.27")
        assert found is not None
        assert found.id == await runtime.pull_image("nginx:1.27") == "process:nginx:1.27"
        await runtime.remove_image("nginx:1.27")
        assert list(await runtime.list_images()) == []

    run(main())
