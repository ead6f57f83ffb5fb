"""Takes secrets out of pods and texts before either reaches the reducer, the journal or a log.

Belongs here: which parts of a pod may hold secrets. May not be here: references to Secrets, which hold
none. Values are replaced as a whole, so a redacted pod has the same shape as the real one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from minikubelet.model.pod import (
    Container,
    ExecAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Pod,
    Probe,
)
from minikubelet.model.podvolumes import Volume
from minikubelet.wire.commandsecrets import TELLING_NAME, CommandLine, Redact, hide_in_text
from minikubelet.wire.podmarks import LAST_APPLIED

C = TypeVar("C", bound=Container)
REDACTED: Final = "[redacted]"

# Lengths are bounded so that no hostile argument makes a search quadratic.
_ASSIGNED = re.compile(
    rf"(?P<name>(?:^|(?<=[\s;&|'\"{{,?]))(?:--?)?{TELLING_NAME}\\?[\"']?\s{{0,8}}[=:]\s{{0,8}})"
    r"(?!\[redacted\])(?P<value>\"[^\"]*\"|'[^']*'|[^\s;&|]*[^\s;&|'\"},])",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?P<name>\b(?:bearer|basic)\s+)(?P<value>[A-Za-z0-9._~+/=-]{8,4096})", re.IGNORECASE)
_HEADER = re.compile(
    r"(?P<name>\b(?:(?:proxy-)?authorization|(?:set-)?cookie)\s{0,8}:\s{0,8})(?!\[redacted\])(?P<value>[^\s'\"][^'\"\r\n]{0,4095})",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?P<name>\b[a-zA-Z][a-zA-Z0-9+.-]{0,20}://)(?P<value>[^/\s'\"]{1,1024})(?=@)")
_DSN = re.compile(r"(?P<name>\b[\w.-]{1,64}:)(?P<value>[^\s:/'\"]{1,256})(?=@(?:tcp|unix)\()")
_SHAPED = re.compile(
    r"(?P<name>)(?P<value>\beyJ[\w-]{8,4096}\.eyJ[\w-]{8,8192}\.[\w-]{8,4096}"  # a JSON web token
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|sk_live_|rk_live_)[\w-]{16,255}"
    r"|\bAKIA[0-9A-Z]{16}\b|\bAIza[\w-]{35}"
    r"|(?<=-----BEGIN )[A-Z ]{0,24}PRIVATE KEY-----[^-]{1,16384})"
)
_TELLING: Final = re.compile(TELLING_NAME, re.IGNORECASE)
_BY_PLACE: Final = (_USERINFO, _DSN, _SHAPED, _HEADER, _BEARER, _ASSIGNED)
_SHORTEST = 4  # shorter values (`1`, `on`) are no secrets, and without them a message would lose its sense


def redact_pod(pod: Pod) -> Pod:
    """A copy without values of variables and HTTP headers, and kubectl's copy.

    Commands, annotations and volumes that no driver mounts lose what looks like a secret by name or place.
    """
    return _rewrite(pod, lambda value: REDACTED if value else value)


def secret_values(pod: Pod) -> tuple[str, ...]:
    """Every value that `redact_pod` takes out, longest first, for `redact_text`."""
    found: dict[str, None] = {}

    def collect(value: str) -> str:
        found.setdefault(value)
        return value

    _rewrite(pod, collect)
    return tuple(sorted((one for one in found if len(one) >= _SHORTEST), key=lambda one: (-len(one), one)))


def redact_text(text: str, values: Iterable[str] = ()) -> str:
    """A message without the given values, and without what looks like a secret by its name or place."""
    for value in values:
        text = text.replace(value, REDACTED)
    return _redact_words(text, lambda _: REDACTED)


def _rewrite(pod: Pod, redact: Redact) -> Pod:
    meta, spec = pod.metadata, pod.spec
    if meta.annotations:
        told = {name: _named(name, value, redact) for name, value in meta.annotations.items()}
        if LAST_APPLIED in told:
            told[LAST_APPLIED] = REDACTED
        meta = replace(meta, annotations=told)
    spec = replace(
        spec,
        volumes=tuple(_volume(one, redact) for one in spec.volumes),
        containers=tuple(_container(one, redact) for one in spec.containers),
        init_containers=tuple(_container(one, redact) for one in spec.init_containers),
        ephemeral_containers=tuple(_container(one, redact) for one in spec.ephemeral_containers),
    )
    return replace(pod, metadata=meta, spec=spec)


def _named(name: str, value: str, redact: Redact) -> str:
    """A value by the name that it has, such as `example.com/api-token`."""
    if _TELLING.fullmatch(name.rpartition("/")[2]):
        return redact(value)
    return _redact_words(value, redact)


def _volume(volume: Volume, redact: Redact) -> Volume:
    """Sources that no driver mounts are kept as they were written, and may hold anything."""
    held = ((name, getattr(volume, name)) for name in volume.__struct_fields__)
    raw = {name: value for name, value in held if isinstance(value, dict)}
    if not raw:
        return volume
    return replace(volume, **{name: _leaves(value, "", redact) for name, value in raw.items()})


def _leaves(value: Any, name: str, redact: Redact) -> Any:
    if isinstance(value, dict):
        return {key: _leaves(each, key, redact) for key, each in value.items()}
    if isinstance(value, list):
        return [_leaves(each, name, redact) for each in value]
    return _named(name, value, redact) if isinstance(value, str) else value


def _container(container: C, redact: Redact) -> C:
    return replace(
        container,
        env=tuple(replace(one, value=redact(one.value)) for one in container.env),
        command=_words(container.command, redact),
        args=_words(container.args, redact),
        liveness_probe=_probe(container.liveness_probe, redact),
        readiness_probe=_probe(container.readiness_probe, redact),
        startup_probe=_probe(container.startup_probe, redact),
        lifecycle=_lifecycle(container.lifecycle, redact),
    )


def _words(words: tuple[str, ...], redact: Redact) -> tuple[str, ...]:
    line = CommandLine(redact)
    return tuple(line.word(word if line.awaits(word) else _redact_words(word, redact)) for word in words)


def _redact_words(text: str, redact: Redact) -> str:
    for pattern in _BY_PLACE:
        text = pattern.sub(lambda match: match["name"] + redact(match["value"]), text)
    return hide_in_text(text, redact)


def _probe(probe: Probe | None, redact: Redact) -> Probe | None:
    if probe is None:
        return None
    return replace(probe, exec=_exec(probe.exec, redact), http_get=_http_get(probe.http_get, redact))


def _lifecycle(lifecycle: Lifecycle | None, redact: Redact) -> Lifecycle | None:
    if lifecycle is None:
        return None
    hooks = (_hook(lifecycle.post_start, redact), _hook(lifecycle.pre_stop, redact))
    return replace(lifecycle, post_start=hooks[0], pre_stop=hooks[1])


def _hook(hook: LifecycleHandler | None, redact: Redact) -> LifecycleHandler | None:
    if hook is None:
        return None
    return replace(hook, exec=_exec(hook.exec, redact), http_get=_http_get(hook.http_get, redact))


def _exec(action: ExecAction | None, redact: Redact) -> ExecAction | None:
    return None if action is None else replace(action, command=_words(action.command, redact))


def _http_get(action: HTTPGetAction | None, redact: Redact) -> HTTPGetAction | None:
    if action is None:
        return None
    headers = tuple(replace(one, value=redact(one.value)) for one in action.http_headers)
    return replace(action, http_headers=headers)
