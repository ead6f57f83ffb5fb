"""Where a pod's things lie on the node's disk, as under upstream's root directory.

Belongs here: spelling paths, and removing a pod's own directories. May not be here: volumes' content. A path
that a name would lead out of the pod's directory is refused.
"""

from __future__ import annotations

from pathlib import Path

from minikubelet.model.ids import PodUid, SlotKey, split_slot
from minikubelet.shell.volremoval import remove_tree


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

    def volumes(self, uid: PodUid) -> Path:
        """The directory of the pod's volumes."""
        return self.pod(uid) / "volumes"

    def volume(self, uid: PodUid, plugin: str, name: str) -> Path:
        """The directory of a volume, `volumes/kubernetes.io~<plugin>/<name>`."""
        return self.volumes(uid) / f"kubernetes.io~{plugin}" / one_part(name)

    def sub_paths(self, uid: PodUid) -> Path:
        """The directory of what subPaths are bound to."""
        return self.pod(uid) / "volume-subpaths"

    def sub_path(self, uid: PodUid, volume: str, container: str, mount: int) -> Path:
        """The place for one mount's subPath, `volume-subpaths/<volume>/<container>/<number>`."""
        return self.sub_paths(uid) / one_part(volume) / one_part(container) / str(mount)

    def hosts_file(self, uid: PodUid) -> Path:
        """The file behind /etc/hosts of the pod's containers."""
        return self.pod(uid) / "etc-hosts"

    def seccomp_profile(self, name: str) -> Path:
        """A profile of type Localhost, `seccomp/<name>`; ValueError for a name that leads out."""
        if name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"localhostProfile {name!r} must be a path beneath the seccomp directory")
        return self.root / "seccomp" / name

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
        """Remove all of a pod, what is mounted in it detached first; raises OSError.

        Only ever called when nothing of it runs.
        """
        remove_tree(self.log_directory(slot, uid))
        pod = self.pod(uid)
        if keep_definition:
            for entry in sorted(pod.iterdir()) if pod.is_dir() else ():
                if entry != self.definition(uid):
                    remove_tree(entry)
        else:
            remove_tree(pod)


def one_part(name: str) -> str:
    """A name that may stand as one part of a path; raises ValueError otherwise."""
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise ValueError(f"{name!r} cannot be a file name")
    return name
