"""Static pod files read with the real codec."""

from pathlib import Path

from minikubelet.model.ids import SlotKey
from minikubelet.ports.sourceport import FileStatus
from minikubelet.sources.filesource import judge_folder
from minikubelet.sources.manifestreading import manifest_reader

GOOD = """apiVersion: v1
kind: Pod
metadata:
  name: web
spec:
  containers:
  - name: main
    image: nginx:1
"""


def test_a_folder_of_real_manifests_gets_its_verdicts(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD.replace("    image: nginx:1\n", ""))
    (tmp_path / "c.yaml").write_text("kind: Deployment\napiVersion: apps/v1\n")
    (tmp_path / "d.yaml").write_text(GOOD + "---\n" + GOOD.replace("web", "db"))
    (tmp_path / "e.yaml").write_text("")
    reader = manifest_reader(node_name="node-1", namespace="kube-system")
    verdicts = {verdict.file: verdict for verdict in judge_folder(tmp_path, reader)}
    assert {name: verdict.status.value for name, verdict in verdicts.items()} == {
        "a.yaml": "accepted",
        "b.yaml": "rejected",
        "c.yaml": "rejected",
        "d.yaml": "accepted",
        "e.yaml": "rejected",
    }
    assert verdicts["a.yaml"].pods == (SlotKey("kube-system/web-node-1"),)
    assert "spec.containers[0].image: Required value" in verdicts["b.yaml"].messages[0]
    assert [name for name, verdict in verdicts.items() if verdict.hides_pods] == ["b.yaml", "e.yaml"]
    assert "Deployment" in verdicts["c.yaml"].messages[0]
    assert any("is held by a.yaml" in text for text in verdicts["d.yaml"].messages)
    assert verdicts["a.yaml"].status is FileStatus.ACCEPTED
