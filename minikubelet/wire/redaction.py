"""Takes secrets out of pods and texts before either reaches the reducer, the journal or a log.

Belongs here: which parts of a pod may hold secrets. May not be here: references to Secrets, which hold
none. Values are replaced as a whole, so a redacted pod has the same shape as the real one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Final

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
from minikubelet.wire.podmarks import LAST_APPLIED

REDACTED: Final = "[redacted]"

# Lengths are bounded so that no hostile argument makes a search quadratic.
_WORD = (
    r"[\w.-]{0,64}(?:pass(?:word|wd|phrase)?|token|secret|(?:api|access|private)[-_]?key|credentials?|authorization)"
    r"[\w.-]{0,64}"
)
_ASSIGNED = re.compile(
    rf"(?P<name>(?:^|(?<=[\s;&|'\"]))(?:--?)?{_WORD}\s{{0,8}}[=:]\s{{0,8}})"
    r"(?P<value>\"[^\"]*\"|'[^']*'|[^\s;&|]+)",
    re.IGNORECASE,
)
_FLAG = re.compile(rf"--?{_WORD}", re.IGNORECASE)
_BEARER = re.compile(r"(?P<name>\b(?:bearer|basic)\s+)(?P<value>[A-Za-z0-9._~+/=-]{8,4096})", re.IGNORECASE)
_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]{0,20}://)(?P<value>[^/\s@'\"]{1,1024})@")
_SHORTEST = 4  # shorter values (`1`, `on`) are no secrets, and without them a message would lose its sense

_Redact = Callable[[str], str]


def redact_pod(pod: Pod) -> Pod:
    """A copy without values of variables and HTTP headers, secrets in commands, and kubectl's copy."""
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


def _rewrite(pod: Pod, redact: _Redact) -> Pod:
    meta, spec = pod.metadata, pod.spec
    if LAST_APPLIED in meta.annotations:
        meta = replace(meta, annotations={**meta.annotations, LAST_APPLIED: REDACTED})
    spec = replace(
        spec,
        containers=tuple(_container(one, redact) for one in spec.containers),
        init_containers=tuple(_container(one, redact) for one in spec.init_containers),
    )
    return replace(pod, metadata=meta, spec=spec)


def _container(container: Container, redact: _Redact) -> Container:
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


def _words(words: tuple[str, ...], redact: _Redact) -> tuple[str, ...]:
    kept: list[str] = []
    after_flag = False
    for word in words:
        kept.append(redact(word) if after_flag and not word.startswith("-") else _redact_words(word, redact))
        after_flag = _FLAG.fullmatch(word) is not None
    return tuple(kept)


def _redact_words(text: str, redact: _Redact) -> str:
    text = _USERINFO.sub(lambda match: f"{match['scheme']}{redact(match['value'])}@", text)
    text = _BEARER.sub(lambda match: match["name"] + redact(match["value"]), text)
    return _ASSIGNED.sub(lambda match: match["name"] + redact(match["value"]), text)


def _probe(probe: Probe | None, redact: _Redact) -> Probe | None:
    if probe is None:
        return None
    return replace(probe, exec=_exec(probe.exec, redact), http_get=_http_get(probe.http_get, redact))


def _lifecycle(lifecycle: Lifecycle | None, redact: _Redact) -> Lifecycle | None:
    if lifecycle is None:
        return None
    hooks = (_hook(lifecycle.post_start, redact), _hook(lifecycle.pre_stop, redact))
    return replace(lifecycle, post_start=hooks[0], pre_stop=hooks[1])


def _hook(hook: LifecycleHandler | None, redact: _Redact) -> LifecycleHandler | None:
    if hook is None:
        return None
    return replace(hook, exec=_exec(hook.exec, redact), http_get=_http_get(hook.http_get, redact))


def _exec(action: ExecAction | None, redact: _Redact) -> ExecAction | None:
    return None if action is None else replace(action, command=_words(action.command, redact))


def _http_get(action: HTTPGetAction | None, redact: _Redact) -> HTTPGetAction | None:
    if action is None:
        return None
    headers = tuple(replace(one, value=redact(one.value)) for one in action.http_headers)
    return replace(action, http_headers=headers)
