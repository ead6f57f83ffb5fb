"""Volumes by type as containers see them: modes, owners, updates, sub-paths."""

import base64
import json
from typing import Any

import pytest

from tests.conformance.conformance_world import Obj, Seen, config_map, fields, pod, runs, secret

pytestmark = [pytest.mark.e2e, pytest.mark.docker]

CM = config_map("keys", {"one": "1", "two": "2"}, binaryData={"raw": base64.b64encode(b"\xff\0").decode()})
HUSH = secret("hush", {"word": "sesame", "other": "x"})
STAT = "stat -L -c '%a %u:%g'"


def mounts(script: str, volume: Obj, *at: Obj, user: int | None = None, **spec: Any) -> Obj:
    """A container that has a volume `v` at /v, or as told."""
    main: Obj = {"volumeMounts": list(at) or [{"name": "v", "mountPath": "/v"}]}
    if user is not None:
        main["securityContext"] = {"runAsUser": user}
    return runs(script, main=main, volumes=[{"name": "v", **volume}], **spec)


@pod(mounts(
    f"{STAT} /v; echo x > /v/f && umask 0 && touch /v/0666 && {STAT} /v/f /v/0666; stat -f -c %T /v",
    {"emptyDir": {"medium": "Memory"}}, user=1001,
))  # fmt: skip
@fields("Volume.emptyDir", "EmptyDirVolumeSource.medium", "PodSpec.volumes", "Volume.name",
        "Container.volumeMounts", "VolumeMount.name", "VolumeMount.mountPath")  # fmt: skip
def test_an_empty_dir_in_memory_is_open_to_any_user(ended: Seen) -> None:
    assert ended.log() == "777 0:0\n644 1001:0\n666 1001:0\ntmpfs\n"


@pod(mounts(f"{STAT} /v; echo x > /v/f && {STAT} /v/f; stat -f -c %T /v", {"emptyDir": {}}, user=1001))
@fields("Volume.emptyDir")
def test_an_empty_dir_on_disk_is_open_to_any_user(ended: Seen) -> None:
    assert ended.log().splitlines()[:2] == ["777 0:0", "644 1001:0"]
    assert ended.log().splitlines()[2] != "tmpfs"


@pod(mounts("dd if=/dev/zero of=/v/big bs=64k count=64 2>&1 | tail -n1; df -k /v | tail -n1",
            {"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}))  # fmt: skip
@fields("EmptyDirVolumeSource.sizeLimit")
def test_an_empty_dir_in_memory_holds_no_more_than_its_limit(ended: Seen) -> None:
    assert "1024" in ended.log().split()


@pod(mounts(
    "until [ -e /v/theirs ]; do sleep 0.1; done; cat /v/theirs", {"emptyDir": {}},
    others=[{
        "name": "other", "image": "busybox:1.36", "command": ["sh", "-c", "echo shared > /w/theirs"],
        "volumeMounts": [{"name": "v", "mountPath": "/w"}],
    }],
))  # fmt: skip
@fields("PodSpec.containers", "VolumeMount.mountPath")
def test_containers_of_a_pod_share_a_volume(ended: Seen) -> None:
    assert ended.log() == "shared\n"


READ_ONLY = {"name": "v", "mountPath": "/v", "readOnly": True}


@pod(mounts("touch /v/x 2>&1; touch /w/x && echo written", {"emptyDir": {}},
            READ_ONLY, {"name": "v", "mountPath": "/w"}))  # fmt: skip
@fields("VolumeMount.readOnly")
def test_a_read_only_mount_of_a_volume_that_is_writable_elsewhere(ended: Seen) -> None:
    assert ended.log() == "touch: /v/x: Read-only file system\nwritten\n"


@pod(
    mounts(
        f"{STAT} /v/one; cat /v/one /v/two; od -An -tx1 /v/raw; touch /v/x 2>&1",
        {"configMap": {"name": "keys"}},
    ),
    CM,
)
@fields("Volume.configMap", "ConfigMapVolumeSource.name")
def test_a_config_map_as_files(ended: Seen) -> None:
    assert ended.log() == "644 0:0\n12 ff 00\ntouch: /v/x: Read-only file system\n"


@pod(mounts(
    f"ls /v; {STAT} /v/path/to/one /v/two; cat /v/path/to/one",
    {"configMap": {"name": "keys", "defaultMode": 0o400, "items": [
        {"key": "one", "path": "path/to/one"}, {"key": "two", "path": "two", "mode": 0o444},
    ]}},
), CM)  # fmt: skip
@fields("ConfigMapVolumeSource.items", "ConfigMapVolumeSource.defaultMode", "KeyToPath.key", "KeyToPath.path",
        "KeyToPath.mode")  # fmt: skip
def test_chosen_keys_of_a_config_map_with_paths_and_modes(ended: Seen) -> None:
    assert ended.log() == "path\ntwo\n400 0:0\n444 0:0\n1"


@pod(mounts(
    f"id -G; {STAT} /v/one; cat /v/one",
    {"configMap": {"name": "keys", "defaultMode": 0o400}}, user=1000,
    securityContext={"fsGroup": 1001, "runAsGroup": 1000},
), CM)  # fmt: skip
@fields("PodSecurityContext.fsGroup", "PodSpec.securityContext", "PodSecurityContext.runAsGroup")
def test_a_user_reads_a_config_map_through_the_fs_group(ended: Seen) -> None:
    assert ended.log() == "1000 1001\n440 0:1001\n1"


@pod(mounts("ls /v; echo end", {"configMap": {"name": "no-such", "optional": True}}))
@fields("ConfigMapVolumeSource.optional")
def test_an_optional_config_map_that_is_missing_is_an_empty_volume(ended: Seen) -> None:
    assert ended.log() == "end\n"


@pod(mounts("cat /v/late 2>/dev/null || echo none; until [ -e /v/late ]; do sleep 0.2; done; cat /v/late",
            {"configMap": {"name": "comes-late", "optional": True}}))  # fmt: skip
@fields("ConfigMapVolumeSource.optional")
def test_an_optional_config_map_that_comes_later_is_seen(running: Seen) -> None:
    running.cluster.agent.until(lambda: running.log() == "none\n", "the container to look")
    running.cluster.create(config_map("comes-late", {"late": "now"}))
    assert running.ended().log() == "none\nnow"


@pod(mounts("until grep -q new /v/k; do sleep 0.2; done; ls /v; cat /e", {"configMap": {"name": "changes"}},
            {"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/e", "subPath": "k"}),
     config_map("changes", {"k": "old", "goes": "x"}))  # fmt: skip
@fields("Volume.configMap", "VolumeMount.subPath")
def test_a_change_of_a_config_map_reaches_its_volume_but_no_sub_path(running: Seen) -> None:
    running.cluster.patch("configmaps", "changes", {"data": {"k": "new", "goes": None}})
    assert running.ended().log() == "k\nold"


@pod(mounts("until grep -q new /v/k; do sleep 0.2; done; cat /v/k", {"secret": {"secretName": "turns"}}),
     secret("turns", {"k": "old"}))  # fmt: skip
@fields("Volume.secret")
def test_a_change_of_a_secret_reaches_its_volume(running: Seen) -> None:
    running.cluster.patch("secrets", "turns", {"data": {"k": base64.b64encode(b"new").decode()}})
    assert running.ended().log() == "new"


@pod(
    mounts("cat /v/k", {"configMap": {"name": "fixed"}}), config_map("fixed", {"k": "still"}, immutable=True)
)
def test_an_immutable_config_map_is_mounted(ended: Seen) -> None:
    assert ended.log() == "still"


@pod(mounts(
    f"{STAT} /v/word /v/d/other; cat /v/word; stat -f -c %T /v",
    {"secret": {"secretName": "hush", "defaultMode": 0o400, "items": [
        {"key": "word", "path": "word"}, {"key": "other", "path": "d/other", "mode": 0o440},
    ]}},
), HUSH)  # fmt: skip
@fields("Volume.secret", "SecretVolumeSource.secretName", "SecretVolumeSource.items",
        "SecretVolumeSource.defaultMode")  # fmt: skip
def test_a_secret_as_files_in_memory(ended: Seen) -> None:
    assert ended.log() == "400 0:0\n440 0:0\nsesametmpfs\n"


@pod(mounts("ls /v; echo end", {"secret": {"secretName": "no-such", "optional": True}}))
@fields("SecretVolumeSource.optional")
def test_an_optional_secret_that_is_missing_is_an_empty_volume(ended: Seen) -> None:
    assert ended.log() == "end\n"


DOWNWARD = [
    {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
    {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}, "mode": 0o400},
    {"path": "notes", "fieldRef": {"fieldPath": "metadata.annotations"}},
    {"path": "cpu", "resourceFieldRef": {"containerName": "main", "resource": "limits.cpu", "divisor": "1m"}},
]


@pod(mounts(
    f"cat /v/name; echo; cat /v/labels; echo; {STAT} /v/labels /v/name; cat /v/cpu; echo;"
    " until grep -q blue /v/labels && grep -q told /v/notes; do sleep 0.2; done; echo changed",
    {"downwardAPI": {"items": DOWNWARD, "defaultMode": 0o444}}, metadata={"labels": {"colour": "red"}},
))  # fmt: skip
@fields("Volume.downwardAPI", "DownwardAPIVolumeSource.items", "DownwardAPIVolumeSource.defaultMode",
        "DownwardAPIVolumeFile.path", "DownwardAPIVolumeFile.fieldRef", "DownwardAPIVolumeFile.mode",
        "DownwardAPIVolumeFile.resourceFieldRef")  # fmt: skip
def test_fields_of_the_pod_as_files_follow_its_labels_and_annotations(running: Seen) -> None:
    change = {"metadata": {"labels": {"colour": "blue"}, "annotations": {"note": "told"}}}
    running.cluster.patch("pods", running.name, change)
    node = running.cluster.ask("GET", f"/api/v1/nodes/{running.cluster.agent.node}")["status"]["allocatable"]
    cpu = int(node["cpu"]) * 1000
    first = f'{running.name}\ncolour="red"\n400 0:0\n444 0:0\n{cpu}\nchanged\n'
    assert running.ended().log() == first


@pod(mounts(
    f"cat /v/one /v/s/word /v/name; echo; {STAT} /v/one; cat /v/token",
    {"projected": {"defaultMode": 0o440, "sources": [
        {"configMap": {"name": "keys", "items": [{"key": "one", "path": "one"}]}},
        {"secret": {"name": "hush", "items": [{"key": "word", "path": "s/word"}]}},
        {"downwardAPI": {"items": DOWNWARD[:1]}},
        {"serviceAccountToken": {"path": "token", "audience": "them", "expirationSeconds": 600}},
        {"configMap": {"name": "no-such", "optional": True}},
        {"secret": {"name": "no-such", "optional": True}},
    ]}},
    serviceAccountName="default",
), CM, HUSH)  # fmt: skip
@fields(
    "Volume.projected", "ProjectedVolumeSource.sources", "ProjectedVolumeSource.defaultMode",
    "VolumeProjection.configMap", "VolumeProjection.secret", "VolumeProjection.downwardAPI",
    "ConfigMapProjection.name", "ConfigMapProjection.items",
    "ConfigMapProjection.optional", "SecretProjection.name", "SecretProjection.items",
    "SecretProjection.optional", "DownwardAPIProjection.items", "VolumeProjection.serviceAccountToken",
    "ServiceAccountTokenProjection.path", "ServiceAccountTokenProjection.audience",
    "ServiceAccountTokenProjection.expirationSeconds",
)  # fmt: skip
def test_a_projected_volume_joins_all_its_sources(ended: Seen) -> None:
    *lines, token = ended.log().split("\n")
    assert lines == [f"1sesame{ended.name}", "440 0:0"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["aud"] == ["them"]
    assert claims["sub"] == "system:serviceaccount:default:default"
    assert claims["exp"] - claims["iat"] >= 600


@pod(mounts("ls /v; cat /v/sub/f; touch /s/g; ls /v/sub", {"emptyDir": {}},
            {"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/s", "subPath": "sub"},
            initContainers=[{
                "name": "first", "image": "busybox:1.36",
                "command": ["sh", "-c", "mkdir /v/sub; echo made > /v/sub/f"],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            }]))  # fmt: skip
@fields("VolumeMount.subPath")
def test_a_sub_path_is_a_part_of_the_volume(ended: Seen) -> None:
    assert ended.log() == "sub\nmade\nf\ng\n"


@pod(runs("touch /s/f; ls /v", volumes=[{"name": "v", "emptyDir": {}}], main={
    "env": [{"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
    "volumeMounts": [
        {"name": "v", "mountPath": "/v"}, {"name": "v", "mountPath": "/s", "subPathExpr": "of-$(WHO)"},
    ],
}))  # fmt: skip
@fields("VolumeMount.subPathExpr")
def test_a_sub_path_may_be_made_of_variables(ended: Seen) -> None:
    assert ended.log() == f"of-{ended.name}\n"


@pod(mounts("cat /v/version | head -c 5", {"hostPath": {"path": "/proc", "type": "Directory"}}))
@fields("Volume.hostPath", "HostPathVolumeSource.path", "HostPathVolumeSource.type")
def test_a_path_of_the_host(ended: Seen) -> None:
    assert ended.log() == "Linux"


@pod(mounts("echo ran", {"hostPath": {"path": "/proc"}},
            {"name": "v", "mountPath": "/v", "mountPropagation": "HostToContainer"}))  # fmt: skip
@fields("VolumeMount.mountPropagation")
def test_mounts_of_the_host_can_cross_into_the_container(ended: Seen) -> None:
    """Where the host does not share the mount, the engine refuses by name."""
    (mount,) = (m for m in ended.asked()["HostConfig"]["Mounts"] if m["Target"] == "/v")
    assert mount["BindOptions"]["Propagation"] == "rslave"
    end = ended.container()["state"]["terminated"]
    assert end["reason"] == "Completed" or "not a shared or slave mount" in end["message"]


@pod(mounts("touch /v/f 2>&1", {"emptyDir": {}}, {**READ_ONLY, "recursiveReadOnly": "IfPossible"}))
@fields("VolumeMount.recursiveReadOnly")
def test_a_mount_that_is_read_only_all_the_way_down_if_possible(ended: Seen) -> None:
    assert ended.log() == "touch: /v/f: Read-only file system\n"


@pod(mounts("ls -ln /v/f | awk '{print $4}'; stat -c '%a %g' /v", {"emptyDir": {}}, user=1000,
            securityContext={"fsGroup": 2000, "fsGroupChangePolicy": "OnRootMismatch"},
            initContainers=[{
                "name": "first", "image": "busybox:1.36", "command": ["sh", "-c", "touch /v/f"],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
            }]))  # fmt: skip
@fields("PodSecurityContext.fsGroupChangePolicy", "PodSecurityContext.fsGroup")
def test_what_is_made_in_a_volume_belongs_to_the_fs_group(ended: Seen) -> None:
    assert ended.log() == "2000\n2777 2000\n"


@pod(
    runs(
        "ls /var/run/secrets/kubernetes.io/serviceaccount 2>&1; echo end", automountServiceAccountToken=False
    )
)
@fields("PodSpec.automountServiceAccountToken")
def test_no_token_is_mounted_where_none_is_wanted(ended: Seen) -> None:
    assert ended.log().endswith("end\n")
    assert "token" not in ended.log()
