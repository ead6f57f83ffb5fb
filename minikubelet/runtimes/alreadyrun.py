"""What every driver says to a second start of what has ended.

Belongs here: that one fault. May not be here: how a driver finds out that it has.
"""

from __future__ import annotations

from minikubelet.model.observed import ObservedContainer
from minikubelet.ports.runtimeport import RuntimeFault


def already_run(reason: str, shown: ObservedContainer) -> RuntimeFault:
    """It is not started once more: the fault tells how it ended."""
    return RuntimeFault(
        reason, "it has already run", container_id=shown.id, exit_code=shown.exit_code, ended=shown.reason
    )
