"""What those who make requests of probes and hooks have in common, without the libraries that make them.

Belongs here: answers, faults and upstream's words for them. May not be here: a connection.
"""

from __future__ import annotations

import os
from typing import Final, NamedTuple, Protocol

from minikubelet.model.pod import HTTPGetAction

USER_AGENT: Final = "kube-probe/1.36"


class HttpFault(Exception):
    """A request that got no answer."""


class HttpAnswer(NamedTuple):
    """Status and the beginning of the body; `elsewhere`: a redirect to another host was not followed."""

    status: int
    body: str
    elsewhere: bool = False


class Http(Protocol):
    """Makes requests of probes and hooks."""

    async def get(self, action: HTTPGetAction, host: str, port: int) -> HttpAnswer:
        """Make the request at a host's port; raises HttpFault. Bounded by its caller's timeout alone."""


def dial_error(host: str, port: int, error: OSError) -> str:
    """Why a connection could not be opened, in upstream's words."""
    known = error.errno is not None and error.errno > 0
    why = os.strerror(error.errno or 0) if known else error.strerror or str(error)
    return f"dial tcp {host}:{port}: {why.lower()}"
