"""Where a pod's things lie on the node's disk, as under upstream's root directory.

Belongs here: spelling paths, making and removing a pod's own directories. May not be here: volumes'
content. A path that a name would lead out of the pod's directory is refused.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from minikubelet.model.ids import PodUid, SlotKey, split_slot


class PodPaths:
    """Spells the paths of pods under `root` (`pods/<uid>/…`) and `logs` (`<ns>_<name>_<uid>/…`)."""

    def __init__(self, root: Path, logs: Path) -> None:
        self.root = root
        self.logs = logs

    def pods(self) -> Path:
        """The directory of all pods."""
        return self.root / "pods"

    def pod(self, uid: PodUid) -> Path:
        """The directory of one pod."""
        return self.pods() / one_part(uid)

    def definition(self, uid: PodUid) -> Path:
        """The file that keeps the pod's full definition."""
        return self.pod(uid) / "pod.json"

    def volume(self, uid: PodUid, plugin: str, name: str) -> Path:
        """The directory of a volume, `volumes/kubernetes.io~<plugin>/<name>`."""
        return self.pod(uid) / "volumes" / f"kubernetes.io~{plugin}" / one_part(name)

    def termination_log(self, uid: PodUid, container: str, attempt: int) -> Path:
        """The file behind the container's terminationMessagePath."""
        return self.pod(uid) / "containers" / one_part(container) / f"{attempt}.termination"

    def log_directory(self, slot: SlotKey, uid: PodUid) -> Path:
        """The directory of the pod's container logs."""
        namespace, name = split_slot(slot)
        return self.logs / one_part(f"{namespace}_{name}_{uid}")

    def log(self, slot: SlotKey, uid: PodUid, container: str, attempt: int) -> Path:
        """The log file of one container instance."""
        return self.log_directory(slot, uid) / one_part(container) / f"{attempt}.log"

    def remove(self, slot: SlotKey, uid: PodUid, *, keep_definition: bool) -> None:
        """Remove all of a pod; raises OSError. Only ever called when nothing of it runs or is mounted."""
        _remove_tree(self.log_directory(slot, uid))
        pod = self.pod(uid)
        if keep_definition:
            for entry in sorted(pod.iterdir()) if pod.is_dir() else ():
                if entry != self.definition(uid):
                    _remove_tree(entry)
        else:
            _remove_tree(pod)


def one_part(name: str) -> str:
    """A name that may stand as one part of a path; raises ValueError otherwise."""
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} cannot be a file name")
    return name


def _remove_tree(path: Path) -> None:
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)
