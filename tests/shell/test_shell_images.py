"""Images: pull policies, names, and whose credentials a pull is given."""

import asyncio
import base64
import json
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.model.pod import Container, LocalObjectReference, Pod
from minikubelet.ports.objectport import Secret
from minikubelet.ports.runtimeport import ImageInfo, RegistryAuth, RuntimeFault
from minikubelet.shell.images import Images, default_policy
from minikubelet.shell.pullsecrets import (
    credentials_for,
    is_reference,
    of_engine,
    of_secret,
    repository,
)
from tests.running import eventually, run
from tests.shell.shell_world import FakeRuntime, pod
from tests.shell.volumes_world import FakeObjects


class Registry(FakeRuntime):
    """A runtime whose registry lets in one user only, where there is one."""

    def __init__(self, user: str = "") -> None:
        super().__init__()
        self.user = user
        self.tried: list[str] = []
        self.held: asyncio.Event | None = None

    async def pull_image(self, image: str, auth: RegistryAuth | None = None) -> str:
        who = auth.username if auth is not None else "anonymous"
        self.tried.append(who)
        if self.held is not None:
            await self.held.wait()
        if self.user not in ("", who):
            raise RuntimeFault("ErrImagePull", f"denied for {who}")
        return f"id-of-{image}"


class World:
    """Images of one runtime, with pull secrets a and b of the pod's namespace."""

    def __init__(self, user: str = "") -> None:
        self.runtime = Registry(user)
        self.objects = FakeObjects()
        self.hidden: list[str] = []
        self.asked = 0
        self.noted: list[tuple[str, str]] = []
        self.images = Images(self.runtime, 2, objects=self.objects, hide=self._hide, noted=self._note)

    def _note(self, slot: SlotKey, uid: PodUid, container: str, reason: str, message: str) -> None:
        assert (slot, uid, container) == ("kube-system/web", "uid-1", "main")
        self.noted.append((reason, message))

    def _hide(self, _: PodUid, values: Iterable[str]) -> None:
        self.hidden.extend(values)
        self.asked += 1

    def secret(self, name: str, server: str, user: str) -> None:
        """A pull secret of that name for a registry."""
        body = json.dumps({"auths": {server: {"username": user, "password": f"{user}-word"}}}).encode()
        kind = "kubernetes.io/dockerconfigjson"
        self.objects.secrets[f"kube-system/{name}"] = Secret(type=kind, data={".dockerconfigjson": body})

    def ensure(self, policy: str = "Always", image: str = "reg.io/app:1") -> str:
        return run(self.images.ensure(wanting(policy, image), "main"))


def wanting(policy: str, image: str) -> Pod:
    made = pod(Container(name="main", image=image, image_pull_policy=policy))
    secrets = (LocalObjectReference(name="a"), LocalObjectReference(name="b"), LocalObjectReference())
    return replace(made, spec=replace(made.spec, image_pull_secrets=secrets))


@pytest.fixture(autouse=True)
def _no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))


def test_if_not_present_pulls_only_what_is_missing() -> None:
    world = World()
    assert world.ensure("IfNotPresent") == "id-of-reg.io/app:1"
    world.runtime.images["reg.io/app:1"] = ImageInfo("there")
    assert world.ensure("IfNotPresent") == "there"
    assert world.runtime.tried == ["anonymous"]
    assert world.ensure("Always") == "id-of-reg.io/app:1"


def test_never_is_an_error_where_the_image_is_missing() -> None:
    with pytest.raises(RuntimeFault) as caught:
        World().ensure("Never")
    assert caught.value.reason == "ErrImageNeverPull"
    assert caught.value.message == 'Container image "reg.io/app:1" is not present with pull policy of Never'


@pytest.mark.parametrize("image", ["Upper", "a/Upper", "a b", "", "x:y:z", "reg.io/app:", "a//b", "-x"])
def test_what_is_no_name_is_said_before_anything_is_asked(image: str) -> None:
    world = World()
    with pytest.raises(RuntimeFault, match="couldn't parse image name") as caught:
        world.ensure("Always", image)
    assert caught.value.reason == "InvalidImageName"
    assert world.runtime.calls == []


def test_directories_are_images_too() -> None:
    world = World()
    world.runtime.images["dir:///srv/Root FS"] = ImageInfo("x")
    assert world.ensure("IfNotPresent", "dir:///srv/Root FS") == "x"


def test_secrets_are_tried_in_order_then_the_engines_own(tmp_path: Path) -> None:
    world = World("own")
    world.secret("a", "reg.io", "first")
    world.secret("b", "reg.io", "second")
    own = base64.b64encode(b"own:pass:word").decode()
    (tmp_path / "config.json").write_text(json.dumps({"auths": {"https://reg.io/v2/": {"auth": own}}}))
    assert world.ensure() == "id-of-reg.io/app:1"
    assert world.runtime.tried == ["first", "second", "own"]
    assert {"first-word", "second-word", "pass:word"} <= set(world.hidden)


def test_a_secret_that_is_missing_or_of_another_registry_does_not_matter() -> None:
    world = World()
    world.secret("b", "other.io", "second")
    assert world.ensure() == "id-of-reg.io/app:1"
    assert world.runtime.tried == ["anonymous"]


def test_the_last_refusal_is_told() -> None:
    world = World("nobody")
    world.secret("a", "reg.io", "first")
    with pytest.raises(RuntimeFault, match="denied for first"):
        world.ensure()


def test_one_pull_serves_all_that_wait_for_it() -> None:
    world = World()

    async def main() -> None:
        world.runtime.held = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(world.images.ensure(wanting("Always", "reg.io/app:1"), "main"))
            await eventually(lambda: world.asked == 5, "all to have their credentials")
            await asyncio.sleep(0)  # and to take the one step from there to the pull
            world.runtime.held.set()

    run(main())
    assert world.runtime.tried == ["anonymous"]


def test_the_user_of_an_image() -> None:
    world = World()
    world.runtime.images["a"] = ImageInfo("x", user="www")
    assert (run(world.images.user("a")), run(world.images.user("b"))) == ("www", "")


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("a", "Always"),
        ("a:latest", "Always"),
        ("a:1", "IfNotPresent"),
        ("reg:5000/a", "Always"),
        ("reg:5000/a:1", "IfNotPresent"),
        (f"a@sha256:{'0' * 64}", "IfNotPresent"),
    ],
)
def test_default_policies(image: str, policy: str) -> None:
    assert default_policy(image) == policy
    assert is_reference(image)


@pytest.mark.parametrize(
    ("image", "where"),
    [
        ("busybox", "index.docker.io/library/busybox"),
        ("busybox:1", "index.docker.io/library/busybox"),
        ("user/app", "index.docker.io/user/app"),
        ("docker.io/library/busybox:1", "index.docker.io/library/busybox"),
        ("localhost/a", "localhost/a"),
        ("Host/a", "Host/a"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b"),
        (f"reg.io/a@sha256:{'0' * 64}", "reg.io/a"),
    ],
)
def test_where_an_image_is_pulled_from(image: str, where: str) -> None:
    assert repository(image) == where


@pytest.mark.parametrize(
    ("address", "image", "fits"),
    [
        ("https://index.docker.io/v1/", "busybox", True),
        ("docker.io", "user/app", True),
        ("reg.io", "reg.io/a/b:1", True),
        ("http://reg.io/v2/", "reg.io/a", True),
        ("reg.io/a", "reg.io/a/b", True),
        ("reg.io/a", "reg.io/ab", False),
        ("reg.io:5000", "reg.io/a", False),
        ("reg.io:5000", "reg.io:5000/a", True),
        ("*.reg.io", "eu.reg.io/a", True),
        ("*.reg.io", "a.eu.reg.io/a", False),
        ("*.io", "eu.reg.io/a", False),
        ("reg.io", "evil-reg.io/a", False),
    ],
)
def test_which_credentials_belong_to_an_image(address: str, image: str, fits: bool) -> None:
    auth = RegistryAuth(username="u", password="p", server=address)
    assert credentials_for(image, [(address, auth)]) == ([auth] if fits else [])


def test_both_kinds_of_secrets_and_the_longest_path_first() -> None:
    old = Secret(
        type="kubernetes.io/dockercfg",
        data={".dockercfg": msgspec.json.encode({"reg.io": {"username": "u", "password": "p"}})},
    )
    assert [auth.username for _, auth in of_secret(old)] == ["u"]
    auths = {"reg.io": {"identitytoken": "t"}, "reg.io/a": {"username": "deep"}, "bad": {"auth": "!"}, "x": 1}
    new = Secret(
        type="kubernetes.io/dockerconfigjson",
        data={".dockerconfigjson": msgspec.json.encode({"auths": auths})},
    )
    found = credentials_for("reg.io/a/b", of_secret(new))
    assert [(auth.username, auth.identity_token) for auth in found] == [("deep", ""), ("", "t")]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"auths": []}', b"\xff", b'{"auths": {"a": null}}'])
def test_what_cannot_be_read_holds_nothing(body: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(body)
    assert of_engine() == []
    assert of_secret(Secret(type="kubernetes.io/dockerconfigjson", data={".dockerconfigjson": body})) == []
    assert of_secret(Secret(type="Opaque", data={".dockercfg": body})) == []


def test_a_pull_is_noted_with_its_time_and_the_images_size() -> None:
    """As upstream, the time with and without waiting for other pulls; one that fails is told elsewhere."""
    world = World()
    world.runtime.images["reg.io/app:1"] = ImageInfo("id", size=4321)
    world.ensure()
    assert world.noted[0] == ("Pulling", 'Pulling image "reg.io/app:1"')
    reason, message = world.noted[1]
    assert reason == "Pulled"
    assert re.fullmatch(
        r'Successfully pulled image "reg.io/app:1" in \d+m?s \(\d+m?s including waiting\)\. '
        r"Image size: 4321 bytes\.",
        message,
    )
    refused = World("nobody")
    with pytest.raises(RuntimeFault):
        refused.ensure()
    assert [reason for reason, _ in refused.noted] == ["Pulling"]


def test_an_image_that_is_there_is_noted_and_not_pulled() -> None:
    world = World()
    world.runtime.images["reg.io/app:1"] = ImageInfo("id")
    world.ensure("IfNotPresent")
    assert world.noted == [("Pulled", 'Container image "reg.io/app:1" already present on machine')]
