"""Anonymise: events and states without a name that tells whose they are, in the same shape.

Belongs here: where names stand. May not be here: which alias a name gets (`aliases`), or decisions: those are
made anew from the anonymised events. Whatever is not known to be harmless becomes an alias.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from minikubelet.core.events import AnyEvent
from minikubelet.core.reducer import Snapshot as State
from minikubelet.model.podbase import Raw
from minikubelet.model.podvolumes import Volume
from minikubelet.replay.aliases import Aliases
from minikubelet.wire.records import encode_event, encode_snapshot

HARMLESS: Final = frozenset(
    (
        "apiVersion", "kind", "source", "sources", "synced", "stage", "life", "phase", "command", "runtime",
        "status", "type", "qos", "qosClass", "restartPolicy", "imagePullPolicy", "protocol", "dnsPolicy",
        "terminationMessagePolicy", "effect", "operator", "scheme", "medium", "mountPropagation",
        "preemptionPolicy", "startTime", "startedAt", "finishedAt", "lastTransitionTime", "lastProbeTime",
        "lane", "probe", "unhealthy", "ended", "signal", "supplementalGroupsPolicy",
    )
)  # fmt: skip
HARMLESS_LISTS: Final = frozenset(
    ("sources", "synced", "conditions", "seen", "lacking", "huge_pages", "sysctls")
)
_AMOUNTS: Final = frozenset(("limits", "requests", "allocatedResources", "capacity", "overhead"))
_CONTAINERS: Final = frozenset(
    (
        "containers",
        "initContainers",
        "ephemeralContainers",
        "containerStatuses",
        "initContainerStatuses",
        "ephemeralContainerStatuses",
        "hashes",
        "pending",
        "retries",
    )
)
_IDS: Final = frozenset(
    (
        "uid", "mirror_uid", "hash", "boot", "image_id", "imageID", "id", "sandbox_id", "container_id",
        "containerID", "target", "dead", "strays", "present", "mirror_asked", "resourceVersion",
    )
)  # fmt: skip
_ADDRESSES: Final = frozenset(("ips", "ip", "podIP", "hostIP", "node_ips", "clusterIP"))
_NODES: Final = frozenset(("node", "nodeName", "nominatedNodeName"))
_REASON = re.compile(r"[A-Z][A-Za-z]*")
_MARKS: Final = ("kubernetes.io/config.",)
_SHOWN_FILE = re.compile(r"^(?P<file>.*?)(?P<rest>#\d+(?: sha256:[0-9a-f]+)?)?$", re.DOTALL)
_RESOURCE = re.compile(r"cpu|memory|ephemeral-storage|storage|pods|hugepages-\w+|pid")
_ENDED = frozenset(("exit_code", "exitCode", "finished_at", "finishedAt", "life"))
"""by one of these it is known how a program ended, and the message beside it is what that has said"""
_VOLUME_SOURCES = frozenset(
    field.encode_name for field in msgspec.structs.fields(Volume) if field.type != Raw | None
)
"""a volume's name and the sources that are modelled; what others hold is anybody's"""


class Anonymiser:
    """Rewrites events and states; let it see all of them with `learn` before it rewrites the first."""

    def __init__(self, nodes: list[str]) -> None:
        self.aliases = Aliases(nodes)
        self._learning = False

    def learn(self, value: AnyEvent | State) -> None:
        """Take the names in, so that texts that come before a name is first used are rewritten too."""
        self._learning = True
        self._walk(_plain(value), "", "", in_list=False)
        self._learning = False

    def event(self, event: AnyEvent) -> AnyEvent:
        """The event under aliases."""
        event_under_aliases: AnyEvent = msgspec.convert(
            self._walk(_plain(event), "", "", in_list=False), AnyEvent
        )
        return event_under_aliases

    def state(self, state: State) -> State:
        """The state under aliases."""
        return msgspec.convert(self._walk(_plain(state), "", "", in_list=False), State)

    def _walk(self, value: Any, key: str, parent: str, *, in_list: bool) -> Any:
        if isinstance(value, dict):
            return self._dict(value, key)
        if isinstance(value, list):
            if key == "hashes" and all(isinstance(item, list) for item in value):
                return [[self.aliases.of("container", n), self.aliases.identity(h)] for n, h in value]
            if key == "labels":
                return [[self.aliases.of("label", k), self.aliases.of("label", v)] for k, v in value]
            if key == "gates":
                return [[self.aliases.of("text", condition), status] for condition, status in value]
            if key in ("rejected", "foreign", "shadowed") and parent == "":
                return [[self._file(file), self._text(what)] for file, what in value]
            return [self._walk(item, key, parent, in_list=True) for item in value]
        if isinstance(value, str):
            return self._string(value, key, parent, in_list=in_list)
        return value

    def _dict(self, value: dict[str, Any], key: str) -> dict[str, Any]:
        if key == "annotations":
            return {k: self.aliases.identity(v) for k, v in value.items() if k.startswith(_MARKS)}
        if key in ("labels", "nodeSelector", "matchLabels"):
            return {self.aliases.of("label", k): self.aliases.of("label", v) for k, v in value.items()}
        if key in _AMOUNTS:
            return {self._resource(k): v for k, v in value.items()}
        if key == "volumes":
            value = {k: v for k, v in value.items() if k in _VOLUME_SOURCES}
        by_name = key in _CONTAINERS and not _is_record(value)
        if not by_name:
            said = value.get("kind") != "ContainerStartFailed" and (
                value.get("kind") == "ContainerProbed" or not _ENDED.isdisjoint(value)
            )
            keys = {k: "output" if said and k == "message" else k for k in value}
            return {k: self._walk(v, keys[k], key, in_list=False) for k, v in value.items()}
        return {self._lane(k): self._walk(v, _key_of(v, key), key, in_list=False) for k, v in value.items()}

    def _resource(self, name: str) -> str:
        return name if _RESOURCE.fullmatch(name) else self.aliases.of("resource", name)

    def _lane(self, text: str) -> str:
        return self.aliases.identity(text) if ":" in text else self.aliases.of("container", text)

    def _string(self, text: str, key: str, parent: str, *, in_list: bool) -> str:  # noqa: C901, PLR0912 - one arm a field
        names = self.aliases
        if key in ("slot", "key") and "/" in text and parent in ("", "slots", "generations"):
            return names.slot(text)
        if key == "name":
            return self._name(text, parent)
        if key == "crowded":
            return names.slot(text)
        if parent == "matchExpressions" and key in ("key", "values"):
            return names.of("label", text)
        if parent == "matchFields" and key in ("key", "values"):
            return text if key == "key" else names.node(text)
        if key in ("namespace", "static_namespace"):
            return names.of("ns", text)
        if key in ("container", "containers", "targetContainerName"):
            return names.of("container", text)
        if key == "lane":
            return self._lane(text)
        if key == "hashes":
            return names.identity(text)
        if key in _IDS:
            return names.identity(text)
        if key in _NODES:
            return names.node(text)
        if key in _ADDRESSES:
            return names.address(text)
        if key == "image" and not in_list:
            return names.image(text)
        if key == "origin":
            return self._file(text)
        if key in ("message", "waiting_message", "disruption"):
            return self._text(text)
        if key in ("reason", "waiting_reason"):
            return text if _REASON.fullmatch(text) else self._text(text)
        if parent == "ownerReferences":
            return names.of("text", text)
        if (key in HARMLESS and not in_list) or key in HARMLESS_LISTS:
            return text
        return names.of("text", text)

    def _name(self, text: str, parent: str) -> str:
        if parent in _CONTAINERS:
            return self.aliases.of("container", text)
        if parent in ("metadata", "pod"):
            return self.aliases.pod(text)
        if parent in ("os", "sysctls"):
            return text
        return self.aliases.node(text) if parent == "node" else self.aliases.of("text", text)

    def _file(self, text: str) -> str:
        """`web.yaml#0 sha256:…`, `resourceVersion 42`, or a file."""
        if text.startswith("resourceVersion ") or text.isdigit() or not text:
            return text
        found = _SHOWN_FILE.match(text)
        file, rest = (found["file"], found["rest"] or "") if found else (text, "")
        document, _, digest = rest.partition(" sha256:")
        shown = f" sha256:{self.aliases.identity(digest)}" if digest else ""
        return f"{self.aliases.of('file', file)}{document}{shown}"

    def _text(self, text: str) -> str:
        return text if self._learning else self.aliases.text(text)


def _key_of(value: Any, mapping: str) -> str:
    """The key under which a value of a mapping by name is rewritten; one thing with fields has none."""
    return "" if isinstance(value, dict) and not _is_record(value) else mapping


def _is_record(value: dict[str, Any]) -> bool:
    """Whether a dict is one thing with fields and not a mapping by name."""
    return "name" in value and isinstance(value["name"], str)


def _plain(value: AnyEvent | State) -> Any:
    encoded = encode_snapshot(value) if isinstance(value, State) else encode_event(value)
    return msgspec.json.decode(encoded)
