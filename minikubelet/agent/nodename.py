"""The node's name as a claim: of all agents on this machine's engine, one bears it.

Belongs here: the claim and its refusal. May not be here: what the name means to drivers.
Two agents that own the same labels would take each other's pods for leftovers, and end them in turn.
"""

from __future__ import annotations

import hashlib
import socket

from minikubelet.agent.agentplan import StartFault


def claim_node(name: str, runtime: str) -> socket.socket:
    """Hold a node's name on a runtime for as long as the socket is open; raises StartFault if it is taken.

    An address of Linux's abstract namespace: it goes with the process, however that ends, and agents in
    containers see it where they share the host's network.
    """
    digest = hashlib.sha256(f"{runtime} {name}".encode()).hexdigest()[:32]
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0minikubelet/{digest}")
    except OSError as error:
        claim.close()
        raise StartFault(
            f"another agent already runs as node {name} on this {runtime} engine, and would take this one's "
            "pods for its own; give this one another name with --hostname-override"
        ) from error
    return claim
