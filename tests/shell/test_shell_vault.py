"""The vault: full pods in memory and on disk, readable by the agent alone."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from minikubelet.model.ids import PodUid
from minikubelet.model.pod import Container, EnvVar
from minikubelet.model.podenv import EnvVarSource, SecretKeySelector
from minikubelet.shell.podpaths import PodPaths
from minikubelet.shell.vault import Vault
from tests.running import run
from tests.shell.shell_world import SLOT, UID, pod


@pytest.fixture
def paths(tmp_path: Path) -> PodPaths:
    return PodPaths(tmp_path / "state", tmp_path / "logs")


def test_a_stored_pod_survives_a_restart(paths: PodPaths) -> None:
    run(Vault(paths).store(pod()))
    again = Vault(paths)
    again.load()
    assert again.get(UID) == pod()


def test_what_a_killed_agent_was_writing_is_removed(paths: PodPaths) -> None:
    run(Vault(paths).store(pod()))
    half = paths.definition(UID).with_suffix(".new")
    half.write_text('{"metadata":')
    again = Vault(paths)
    again.load()
    assert again.get(UID) == pod()
    assert not half.exists()


def test_the_definition_is_readable_by_its_owner_alone(paths: PodPaths) -> None:
    run(Vault(paths).store(pod()))
    assert paths.definition(UID).stat().st_mode & 0o777 == 0o600
    assert paths.pods().stat().st_mode & 0o777 == 0o700


def test_a_forgotten_pod_is_gone_but_one_stored_since_is_not(paths: PodPaths) -> None:
    vault = Vault(paths)
    run(vault.store(pod()))
    before = vault.serial(UID)
    run(vault.store(pod()))
    vault.forget(UID, before)
    assert vault.get(UID) == pod()
    vault.forget(UID, vault.serial(UID))
    assert vault.get(UID) is None


def test_a_pod_that_came_and_went_while_its_directory_was_removed_is_kept_when_it_comes_again(
    paths: PodPaths,
) -> None:
    """Found by simulation: in memory it was as before, and so it was not written."""
    vault = Vault(paths)
    run(vault.store(pod()))
    before = vault.serial(UID)
    run(vault.store(pod()))
    vault.retract(UID)
    paths.remove(SLOT, UID, keep_definition=False)
    vault.forget(UID, before)
    run(vault.store(pod()))
    again = Vault(paths)
    again.load()
    assert again.get(UID) == pod()


def test_a_file_that_cannot_be_read_is_said_and_left(paths: PodPaths) -> None:
    run(Vault(paths).store(pod()))
    broken = paths.pods() / "other" / "pod.json"
    broken.parent.mkdir()
    broken.write_text("{")
    vault = Vault(paths)
    with capture_logs() as logs:
        vault.load()
    assert vault.get(UID) == pod()
    assert vault.get(PodUid("other")) is None
    assert [line["file"] for line in logs] == [str(broken)]
    assert broken.exists()


def test_a_disk_that_refuses_keeps_the_pod_in_memory(paths: PodPaths) -> None:
    paths.root.mkdir()
    paths.pods().write_text("a file where the directory should be")
    vault = Vault(paths)
    with capture_logs() as logs:
        run(vault.store(pod()))
    assert vault.get(UID) == pod()
    assert logs[0]["log_level"] == "warning"


def test_what_a_disk_refused_is_kept_once_it_has_room(paths: PodPaths) -> None:
    """Found by simulation: a restart under a broken manifest would have found nothing."""
    paths.root.mkdir()
    paths.pods().write_text("a file where the directory should be")
    vault = Vault(paths)
    run(vault.store(pod()))
    run(vault.write_again())
    paths.pods().unlink()
    run(vault.write_again())
    again = Vault(paths)
    again.load()
    assert again.get(UID) == pod()


def test_texts_lose_the_secret_values_of_their_pod(paths: PodPaths) -> None:
    vault = Vault(paths)
    run(vault.store(pod(Container(name="main", env=(EnvVar(name="KEY", value="canary-4711"),)))))
    assert "canary-4711" not in vault.redact(UID, "bad value canary-4711")
    assert vault.redact(PodUid("none"), "as it is") == "as it is"


def test_texts_lose_the_values_of_the_definition_that_holds_now(paths: PodPaths) -> None:
    vault = Vault(paths)
    for value in ("canary-4711", "canary-0815"):
        run(vault.store(pod(Container(name="main", env=(EnvVar(name="KEY", value=value),)))))
        assert vault.redact(UID, f"bad value {value}") == "bad value [redacted]"
    vault.forget(UID, vault.serial(UID))
    assert vault.redact(UID, "canary-0815") == "canary-0815"


def test_paths_never_leave_their_places(paths: PodPaths) -> None:
    for name in ("..", ".", "", "a/b", "a\0b"):
        with pytest.raises(ValueError, match="cannot be a file name"):
            paths.pod(PodUid(name))
    for name in ("../../etc", "a/b"):
        with pytest.raises(ValueError, match="cannot be a file name"):
            paths.volume(UID, "empty-dir", name)


def test_removal_follows_no_links(paths: PodPaths, tmp_path: Path) -> None:
    """A volume may hold links to anywhere; what they lead to stays."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    volume = paths.volume(UID, "empty-dir", "v")
    volume.mkdir(parents=True)
    (volume / "link").symlink_to(outside)
    (paths.pod(UID) / "containers").symlink_to(outside)
    paths.remove(SLOT, UID, keep_definition=False)
    assert not paths.pod(UID).exists()
    assert (outside / "kept").exists()


def test_a_pod_directory_that_is_a_link_is_not_followed(paths: PodPaths, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    paths.pods().mkdir(parents=True)
    paths.pod(UID).symlink_to(outside)
    paths.remove(SLOT, UID, keep_definition=False)
    assert outside.is_dir()
    assert not paths.pod(UID).is_symlink()


def test_hidden_values_are_taken_out_whole_the_longest_first(paths: PodPaths) -> None:
    vault = Vault(paths)
    vault.hide(UID, ["hush", "hush-hush", "no"])
    assert vault.redact(UID, "hush-hush and hush, no?") == "[redacted] and [redacted], no?"


def test_after_a_restart_last_words_are_hidden_until_the_secrets_are_read(paths: PodPaths) -> None:
    source = EnvVarSource(secret_key_ref=SecretKeySelector(name="s", key="k"))
    run(Vault(paths).store(pod(Container(name="main", env=(EnvVar(name="KEY", value_from=source),)))))
    vault = Vault(paths)
    vault.load()
    assert vault.redact_words(UID, "the key is hush-hush") == "[redacted]"
    assert vault.redact_words(UID, "") == ""
    assert vault.redact(UID, 'secret "s" not found') == 'secret "s" not found'
    vault.hide(UID, ["hush-hush"])
    vault.read(UID)
    assert vault.redact_words(UID, "the key is hush-hush") == "the key is [redacted]"
