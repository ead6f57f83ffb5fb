"""Images from a registry that asks for a password: secrets, policies, digests, and what a failure says."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.conformance_world import Obj, Seen, fields, pod, runs, secret
from tests.conformance.conftest import Place
from tests.conformance.registry_world import PASSWORD, USER, Registry

pytestmark = [pytest.mark.e2e, pytest.mark.docker, pytest.mark.registry]

GOOD = {"kind": "Secret", "type": "kubernetes.io/dockerconfigjson", "metadata": {"name": "good"},
        "data": {".dockerconfigjson": "@GOOD@"}}  # fmt: skip
WRONG = {**GOOD, "metadata": {"name": "wrong"}, "data": {".dockerconfigjson": "@WRONG@"}}
OPAQUE = secret("opaque", {"a": "b"})
WHICH = "echo which $WHICH"


def pulls(image: str, *secrets: str, policy: str | None = None) -> Obj:
    """A pod of an image of the registry that says which one it is."""
    refs = [{"name": name} for name in secrets]
    main = {"image": f"@REGISTRY@/{image}", "imagePullPolicy": policy}
    return runs(WHICH, main=main, imagePullSecrets=refs)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The registry with its images; the engine has older ones of two, and credentials for one's path."""
    base = tmp_path_factory.mktemp("registry")
    registry = Registry(base / "r")
    try:
        for name in ("given", "second", "wrong", "none", "of-engine/app"):
            registry.push(name, which="1")
        for name in ("always", "present"):
            registry.push(name, which="new")
            registry.have(name, which="old")
        digest = registry.push("by-digest", which="1")
        yield Place(env={"DOCKER_CONFIG": str(_engines(base, registry))}, words=_words(registry, digest))
    finally:
        registry.close()


def _engines(base: Path, registry: Registry) -> Path:
    directory = base / "docker"
    directory.mkdir()
    (directory / "config.json").write_text(registry.secret("/of-engine"), encoding="utf-8")
    return directory


def _words(registry: Registry, digest: str) -> dict[str, str]:
    def coded(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    return {
        "@GOOD@": coded(registry.secret()), "@WRONG@": coded(registry.secret(password="no-" + PASSWORD)),
        "@REGISTRY@": registry.address, "@DIGEST@": digest,
    }  # fmt: skip


def failed(seen: Seen) -> str:
    """What the failed pull says, once it has been tried and backed off from; no password is in it."""
    message = seen.waiting("ImagePullBackOff")
    assert message.startswith("Back-off pulling image")
    told = "\n".join([message, *seen.told("Failed"), *seen.told("BackOff"), seen.cluster.agent.tail()])
    assert PASSWORD not in told
    assert base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode() not in told
    return message


@pod(pulls("given:1", "good"), GOOD)
@fields("PodSpec.imagePullSecrets", "LocalObjectReference.name", "Container.image")
def test_a_secret_of_the_pod_opens_the_registry(ended: Seen) -> None:
    assert ended.log() == "which 1\n"
    assert ended.container()["imageID"]


@pod(pulls("second:1", "no-such", "opaque", "wrong", "good"), OPAQUE, WRONG, GOOD)
@fields("PodSpec.imagePullSecrets")
def test_secrets_that_do_not_help_do_no_harm(ended: Seen) -> None:
    assert ended.log() == "which 1\n"


@pod(pulls("wrong:1", "wrong"), WRONG)
def test_a_wrong_password_fails_the_pull_and_is_not_told(seen: Seen) -> None:
    assert "unauthorized" in failed(seen)


@pod(pulls("none:1"))
def test_without_credentials_the_pull_fails(seen: Seen) -> None:
    assert "no basic auth credentials" in failed(seen)


@pod(pulls("no-such-image:1", "good"), GOOD)
def test_an_image_that_the_registry_does_not_have(seen: Seen) -> None:
    assert "manifest unknown" in failed(seen)


@pod(runs(WHICH, main={"image": "127.0.0.1:1/nobody:1"}))
def test_a_registry_that_does_not_answer(seen: Seen) -> None:
    assert "connection refused" in failed(seen)


@pod(pulls("of-engine/app:1"))
def test_the_engines_own_credentials_are_used_last(ended: Seen) -> None:
    assert ended.log() == "which 1\n"


@pod(pulls("by-digest@@DIGEST@", "good"), GOOD)
@fields("Container.image")
def test_an_image_by_its_digest(ended: Seen) -> None:
    assert ended.log() == "which 1\n"


@pod(pulls("always:1", "good", policy="Always"), GOOD)
@fields("Container.imagePullPolicy")
def test_always_fetches_what_the_registry_has_now(ended: Seen) -> None:
    assert ended.log() == "which new\n"


@pod(pulls("present:1", policy="IfNotPresent"))
@fields("Container.imagePullPolicy")
def test_what_is_present_is_not_fetched_again(ended: Seen) -> None:
    assert ended.log() == "which old\n"


@pod(pulls("given-never:1", "good", policy="Never"), GOOD)
@fields("Container.imagePullPolicy")
def test_never_fetches_nothing(seen: Seen) -> None:
    message = seen.waiting("ErrImageNeverPull")
    assert message.endswith('/given-never:1" is not present with pull policy of Never')
