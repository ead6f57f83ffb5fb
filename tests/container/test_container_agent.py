"""The image on a real engine: an agent with the least rights runs pods through the mounted socket."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.container.container_world import LABEL, ContainerAgent, docker, manifest, running, until
from tests.engine import docker_probe

pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]
STAYS = "trap 'exit 0' TERM; while :; do sleep 3600 & wait; done"
MakeAgent = Callable[[], ContainerAgent]


def test_the_image_is_labelled_has_a_healthcheck_and_no_wheels_or_pip(image: str) -> None:
    (found,) = json.loads(docker("image", "inspect", image))
    assert found["Config"]["Labels"]["org.opencontainers.image.title"] == "minikubelet"
    assert found["Config"]["Entrypoint"] == ["minikubelet"]
    assert found["Config"]["Healthcheck"]["Test"] == ["CMD", "minikubelet", "healthz"]
    assert docker("run", "--rm", "--network", "none", image, "--version").startswith("minikubelet ")
    listed = docker("run", "--rm", "--network", "none", "--entrypoint", "ls", image, "/", "/opt/minikubelet")
    assert "minikubelet" in listed.split()
    assert not {"wheels", "pip"} & set(listed.split())
    assert {"dbus_fast", "grpc"} <= set(listed.split())


def test_an_agent_in_a_container_runs_a_pod_and_another_goes_on_with_it(make_agent: MakeAgent) -> None:
    """hostPath through the mapped root, JSON lines, exit code 0, and nothing restarted by the next agent."""
    agent = make_agent()
    (agent.base / "data").mkdir()
    agent.write("a.yaml", manifest("a", f"echo hello >/data/word; {STAYS}", agent.base / "data"))
    agent.create()
    agent.start()
    ids = agent.runs("a")
    assert docker("exec", agent.node, "minikubelet", "healthz") == "ok"
    word = agent.base / "data" / "word"
    until(lambda: word.exists() and word.read_text() == "hello\n", lambda: f"the word\n{agent.logs()}")
    docker("stop", "--time", "60", agent.node)
    code, log = agent.ended()
    lines = [json.loads(line) for line in log.splitlines()]
    assert (code, lines[-1]["msg"]) == (0, "stopped; containers go on")
    assert running(agent.node) == ids

    docker("rm", agent.node)
    agent.create()
    agent.start()
    agent.write("b.yaml", manifest("b", STAYS))
    assert agent.runs("a", "b").items() >= ids.items()


def test_files_of_a_group_s_volume_get_its_group(make_agent: MakeAgent) -> None:
    """fsGroup marks the directory, which takes a right of its own."""
    agent = make_agent()
    (agent.base / "data").mkdir()
    says = f"touch /d/f; stat -c '%a %g' /d /d/f >/data/word; {STAYS}"
    pod = json.loads(manifest("a", says, agent.base / "data"))
    pod["spec"]["securityContext"] = {"fsGroup": 4321}
    pod["spec"]["volumes"].append({"name": "d", "emptyDir": {}})
    pod["spec"]["containers"][0]["volumeMounts"].append({"name": "d", "mountPath": "/d"})
    agent.write("a.yaml", json.dumps(pod))
    agent.create()
    agent.start()
    word = agent.base / "data" / "word"
    until(lambda: word.exists() and word.read_text().count("\n") == 2, lambda: f"the word\n{agent.logs()}")
    assert word.read_text() == "2777 4321\n644 4321\n"


@pytest.mark.parametrize(
    ("socket", "sentence"),
    [
        ((), "is not there: the agent in an image"),
        (("--volume", "/srv:/var/run/docker.sock"), "is a directory"),
    ],
)
def test_an_image_without_the_engine_s_socket_starts_no_pods_as_processes(
    image: str, socket: tuple[str, ...], sentence: str
) -> None:
    words = ["docker", "run", "--rm", "--network", "none", *socket, image]
    words += ["run", "--pod-manifest-path", "/tmp", "--standalone"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, sentence in done.stdout + done.stderr) == (2, True), done


@pytest.mark.parametrize(
    ("rights", "elsewhere", "sentence"),
    [
        ((), True, "is not the engine's /srv/not-there-on-the-host"),
        (("--cap-add", "SYS_ADMIN"), False, "without sharing mounts with the host"),
    ],
)
def test_a_wrong_mount_is_found_at_the_start(
    make_agent: MakeAgent, rights: tuple[str, ...], elsewhere: bool, sentence: str
) -> None:
    agent = make_agent()
    agent.create(*rights, root=Path("/srv/not-there-on-the-host") if elsewhere else None)
    docker("start", agent.node)
    code, log = agent.ended()
    assert code == 2, log
    last = json.loads(log.splitlines()[-1])
    assert last["level"] == "error"
    assert sentence in last["msg"]
    assert "Traceback" not in log


def test_neighbours_and_strangers_are_never_touched(make_agent: MakeAgent) -> None:
    """Two agents on one engine have a pod of the same name each; one loses its file."""
    one, other = make_agent(), make_agent()
    stranger = docker(
        "run", "--detach", "--label", f"{LABEL}={one.node}", docker_probe.BUSYBOX, "sleep", "600"
    )
    for agent in (one, other):
        agent.write("same.yaml", manifest("same", STAYS))
        agent.create()
        agent.start()
    one.runs("same")
    theirs = other.runs("same")
    (one.manifests / "same.yaml").unlink()
    label = f"minikubelet.dev/node={one.node}"
    until(lambda: not docker_probe.containers(label), lambda: f"the pod to go\n{one.logs()}")
    assert other.runs("same") == theirs
    assert docker("inspect", "--format", "{{.State.Running}} {{.RestartCount}}", stranger) == "true 0"
