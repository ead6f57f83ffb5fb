"""Mounts that stay in the agent's own container are found, by tables as kernels write them."""

from pathlib import Path

import pytest

from minikubelet.agent.enginepaths import may_mount, shares_mounts

TABLE = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime master:5 - overlay overlay rw
28 27 254:0 /var/lib/mk /var/lib/mk rw,relatime shared:12 master:1 - ext4 /dev/vda rw
29 28 0:40 / /var/lib/mk/pods/own rw - tmpfs tmpfs rw
30 27 254:0 /srv/with\\040blank /srv/with\\040blank rw shared:7 - ext4 /dev/vda rw
"""


@pytest.mark.parametrize(
    ("directory", "shared"),
    [
        ("/var/lib/mk", True),
        ("/var/lib/mk/pods", True),
        ("/var/lib/mk/pods/own/deep", False),
        ("/var/lib/mkx", False),
        ("/srv/with blank/x", True),
        ("/elsewhere", False),
    ],
)
def test_the_innermost_mount_decides(directory: str, shared: bool) -> None:
    assert shares_mounts(TABLE, Path(directory)) is shared


@pytest.mark.parametrize(
    ("caps", "may"), [("000001ffffffffff", True), ("00000000a80425fb", False), ("0000000000200000", True)]
)
def test_who_may_mount_has_the_capability(caps: str, may: bool) -> None:
    assert may_mount(f"Name:\tx\nCapPrm:\t0\nCapEff:\t{caps}\n") is may
