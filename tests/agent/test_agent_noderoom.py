"""What a node says at its start of what pods may ask of it."""

import pytest

from minikubelet.agent.noderoom import safe_sysctls


@pytest.mark.parametrize(
    ("kernel", "most"),
    [("6.1.0-13-amd64", "net.ipv4.tcp_wmem"), ("4.5.7", "net.ipv4.tcp_keepalive_probes"), ("?", "")],
)
def test_sysctls_are_safe_from_the_kernel_on_that_has_them_in_a_namespace(kernel: str, most: str) -> None:
    safe = safe_sysctls(kernel)
    assert safe[0] == "kernel.shm_rmid_forced"
    assert safe[-1] == (most or "net.ipv4.ip_unprivileged_port_start")
