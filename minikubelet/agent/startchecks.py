"""Checks before the first decision: what would end the agent once its containers run is found before.

Belongs here: what can be told from files and paths of this machine alone. May not be here: whether anybody
answers; an agent runs its static pods without.
"""

from __future__ import annotations

import os
from pathlib import Path

from minikubelet.agent.agentplan import AgentPlan, StartFault, Upstream
from minikubelet.apiclient.apierrors import KubeconfigError
from minikubelet.apiclient.apikubeconfig import load_kubeconfig

_LONGEST_SOCKET = 107
"""bytes of a Unix socket's path (unix(7), sun_path without its end)"""


def check_start(plan: AgentPlan) -> None:
    """The kubeconfig, the directory of certificates and the path of the socket; raises StartFault."""
    socket = os.fsencode(plan.places.socket)
    if len(socket) > _LONGEST_SOCKET:
        raise StartFault(
            f"{plan.places.socket} is {len(socket)} bytes long, and a Unix socket's path has at most"
            f" {_LONGEST_SOCKET}; name a shorter directory with --root-dir"
        )
    try:
        plan.cert_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StartFault(
            f"the directory of certificates {plan.cert_dir} cannot be made: {error.strerror};"
            " name another with --cert-dir"
        ) from error
    if plan.upstream is Upstream.JOINED:
        _check_kubeconfig(plan)


def check_host_root(plan: AgentPlan) -> None:
    """The state directory is the engine's as well, at one path: it has to be there below the host's root.

    Asked once the engine has seen that directory, or does not answer yet; raises StartFault.
    """
    host = Path(plan.settings.agent.host_root)
    seen = host / plan.places.root.relative_to("/")
    try:
        same = seen.samefile(plan.places.root)
    except OSError:
        same = False
    if not same:
        raise StartFault(
            f"hostRoot {host} does not show the host's root: the state directory {plan.places.root} is not at"
            f" {seen}; mount the host's root there, as in -v /:{host}:ro"
        )


def _check_kubeconfig(plan: AgentPlan) -> None:
    """The file that the agent begins with: that of the bootstrap only while there is no other."""
    file, which = plan.kubeconfig or plan.places.kubeconfig, "kubeconfig"
    if plan.bootstrap_kubeconfig is not None:
        if file.exists():
            return
        file, which = plan.bootstrap_kubeconfig, "bootstrap-kubeconfig"
    try:
        load_kubeconfig(file)
    except (KubeconfigError, OSError) as error:
        raise StartFault(f"--{which}: {error}") from error
