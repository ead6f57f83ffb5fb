"""The claim of a node's name: one agent a name and engine, and none once it is gone."""

import secrets

import pytest

from minikubelet.agent.agentplan import StartFault
from minikubelet.agent.nodename import claim_node


def test_a_name_is_borne_once_on_an_engine() -> None:
    """Two agents of one name would end each other's pods in turn."""
    name = f"node-{secrets.token_hex(4)}"
    with (
        claim_node(name, "docker"),
        claim_node(f"{name}-2", "docker"),
        pytest.raises(StartFault, match="--hostname-override"),
    ):
        claim_node(name, "docker")
    claim_node(name, "docker").close()
