"""A canary in every place where a secret can stand is found nowhere that is kept, logged or shown."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from minikubelet.journal.journalreader import JournalReader
from tests.e2e.agent_process import AgentProcess
from tests.e2e.e2e_manifests import STAYS

pytestmark = [pytest.mark.e2e, pytest.mark.kubectl]

REDACTED = "[redacted]"
PLACES = (
    "literal", "argument", "flag", "header", "key", "bulk", "volume", "pull", "annotation", "broken",
    "edited", "user", "glued", "url", "scheme", "mark",
)  # fmt: skip
CANARY = {place: f"canary-{place}-5d1e8f" for place in PLACES}


def _container(name: str, command: list[str], **fields: Any) -> dict[str, Any]:
    basis = {"name": name, "image": "busybox:1.36", "imagePullPolicy": "IfNotPresent", "command": command}
    return basis | {"env": [{"name": "LITERAL", "value": CANARY["literal"]}]} | fields


def _pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    kept = {"kubectl.kubernetes.io/last-applied-configuration": CANARY["annotation"]}
    kept |= {"example.com/api-token": CANARY["mark"]}
    meta = {"name": name, "annotations": kept}
    whole = {"terminationGracePeriodSeconds": 1, "containers": list(containers)} | spec
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": whole}


def _of_files() -> dict[str, dict[str, Any]]:
    """Static pods: one that stays and is probed, those that fail and say what they know, and a broken one."""
    headers = [{"name": "X-Key", "value": CANARY["header"]}]
    get = {"host": "127.0.0.1", "port": 1, "httpHeaders": headers}
    stays = _container(
        "main", ["sh", "-c", STAYS, f"--password={CANARY['argument']}"],
        args=["--token", CANARY["flag"], "curl", "-u", f"me:{CANARY['user']}", f"https://u:{CANARY['url']}@host/"],
        readinessProbe={"httpGet": get, "periodSeconds": 1},
        lifecycle={"preStop": {"httpGet": get}},
    )  # fmt: skip
    probed = _container(
        "main", ["sh", "-c", f"{STAYS}; mysql -u root -p{CANARY['glued']} shop"],
        args=["-H", f"Authorization: Custom {CANARY['scheme']}"],
        livenessProbe={"exec": {"command": ["sh", "-c", "echo $LITERAL; exit 1"]}, "failureThreshold": 1},
    )  # fmt: skip
    hooked = _container(
        "main", ["sh", "-c", STAYS],
        lifecycle={"postStart": {"exec": {"command": ["sh", "-c", "echo $LITERAL >&2; exit 1"]}}},
    )  # fmt: skip
    broken = _pod("broken", _container("main", ["sh"], env=[{"nam": CANARY["broken"], "value": "x"}]))
    return {
        "stays.json": _pod("stays", stays),
        "probed.json": _pod("probed", probed),
        "hooked.json": _pod("hooked", hooked),
        "broken.json": broken,
    }


def _of_api(node: str) -> list[dict[str, Any]]:
    """Secrets, and a pod that tells them in its last words and in the path of a program that is not there."""
    login = {"auths": {"registry.example": {"username": "u", "password": CANARY["pull"]}}}
    pull = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pull"},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": json.dumps(login)},
    }  # fmt: skip
    data = {place: CANARY[place] for place in ("key", "bulk", "volume")}
    told = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": data}
    given = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}}
    env = {"env": [given], "envFrom": [{"secretRef": {"name": "s"}}]}
    mounted = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    from_log = "FallbackToLogsOnError"
    words = "echo $KEY $bulk $(cat /v/volume); exit 3"
    pod = _pod(
        "tells",
        _container("last", ["sh", "-c", words], terminationMessagePolicy=from_log, **env, **mounted),
        _container("absent", ["/no/such/$(KEY)/$(bulk)"], **env),
        nodeName=node,
        imagePullSecrets=[{"name": "pull"}],
        volumes=[{"name": "v", "secret": {"secretName": "s"}}],
    )  # fmt: skip
    return [pull, told, pod]


def _state(agent: AgentProcess, pod: str, container: str) -> str:
    """The states of a container as text."""
    statuses = agent.pods().get(pod, {}).get("status", {}).get("containerStatuses", [])
    return next(
        (json.dumps([s["state"], s.get("lastState")]) for s in statuses if s["name"] == container), ""
    )


def _restarts(agent: AgentProcess, pod: str) -> int:
    statuses = agent.pods().get(agent.name(pod), {}).get("status", {}).get("containerStatuses", [])
    return sum(one["restartCount"] for one in statuses)


def _forms(value: str) -> list[bytes]:
    return [value.encode(), base64.b64encode(value.encode()).rstrip(b"=")]


def _found(data: bytes) -> list[str]:
    return [place for place in PLACES if any(form in data for form in _forms(CANARY[place]))]


def _shown(agent: AgentProcess) -> dict[str, bytes]:
    """Everything that is kept, logged, shown and exported, by what it is."""
    out, journal = agent.base / "out", agent.root / "journal"
    out.mkdir()
    told: dict[str, bytes] = {"log": agent.log.read_bytes()}
    told |= {path.name: path.read_bytes() for path in sorted(journal.rglob("*")) if path.is_file()}
    told["snapshots"] = b"".join(bytes(one.body) for one in JournalReader(journal).snapshots())
    for words in (
        ("export", "-o", str(out / "a.mkx")),
        ("export", "--anonymise", "-o", str(out / "b.mkx")),
        ("timeline", "--html", str(out / "c.html")),
        ("timeline", "--perfetto", str(out / "d.json")),
        ("timeline", "-o", "json"),
        ("state", "-o", "yaml"),
        ("why", "stays", "--all", "-o", "json"),
        ("why", "tells", "status", "--all"),
        ("why-not", "tells", "ready"),
        ("tail", "-n", "100000", "-o", "json"),
    ):
        done = agent.command(*words)
        assert done.returncode in (0, 1), done.stderr
        told[" ".join(words[:3])] = (done.stdout + done.stderr).encode()
    return told | {path.name: _unpacked(path) for path in sorted(out.iterdir())}


def _unpacked(path: Path) -> bytes:
    data = path.read_bytes()
    if path.suffix == ".mkx":
        return gzip.decompress(data)
    if path.suffix == ".html":
        packed = re.findall(rb'"(H4sI[^"]+)"', data)
        assert packed
        return data + b"".join(gzip.decompress(base64.b64decode(one)) for one in packed)
    return data


def test_no_canary_is_kept_logged_shown_or_exported(process_agent: AgentProcess) -> None:
    agent = process_agent
    agent.flags = ["-v", "4"]
    files = _of_files()
    for name, manifest in files.items():
        agent.write(name, json.dumps(manifest))
    agent.start()
    file = agent.base / "apply.json"
    items = {"apiVersion": "v1", "kind": "List", "items": _of_api(agent.node)}
    file.write_text(json.dumps(items), encoding="utf-8")
    agent.kubectl("apply", "-f", str(file))
    agent.until(lambda: REDACTED in _state(agent, "tells", "last"), "the redacted last words")
    agent.until(lambda: REDACTED in _state(agent, "tells", "absent"), "the redacted refusal of the runtime")
    agent.until(lambda: _restarts(agent, "probed"), "the restart after a probe that tells a secret")
    agent.running("stays")
    edited = json.dumps(files["stays.json"]).replace(CANARY["argument"], CANARY["edited"])
    before = agent.running("stays")
    agent.write("stays.json", edited)
    agent.until(lambda: agent.running("stays") != before, "the edited pod to run")
    agent.kill()
    agent.start().running("stays")
    assert agent.terminate() == 0
    agent.verified()
    shown = _shown(agent)
    assert [name for name, data in shown.items() if not data] == []
    assert {name: found for name, data in shown.items() if (found := _found(data))} == {}
    for name in ("snapshots", "a.mkx", "b.mkx", "state -o yaml"):
        assert REDACTED.encode() in shown[name], name
    probed = [
        row["text"] for row in json.loads(shown["timeline -o json"]) if row["kind"] == "ContainerProbed"
    ]
    assert any(REDACTED in text for text in probed), probed


def test_the_search_would_find_a_canary_in_each_form() -> None:
    for place in PLACES:
        for data in (CANARY[place].encode(), base64.b64encode(CANARY[place].encode())):
            assert _found(b"x" + data + b"y") == [place]
