"""Connections into a pod's network: made in its namespace where that is allowed, else to its address.

Belongs here: sockets of another network namespace. May not be here: what goes through them, or the engine.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

_CLONE_NEWNET: Final = 0x40000000
_LOOPBACKS: Final = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


async def connect_inside(
    container_id: str, pid: int | None, outside: Sequence[str], port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the loopback of the container's network; OSError when nobody listens.

    `pid` is a process of the container on this host, None if there is none that could be reached: then, and
    where namespaces are not ours to enter, the addresses `outside` are tried.
    """
    for family, address in _LOOPBACKS if pid is not None else ():
        inside = await _socket_inside(container_id, pid or 0, family)
        if inside is None:
            break
        try:
            await asyncio.get_running_loop().sock_connect(inside, (address, port))
            return await asyncio.open_connection(sock=inside)
        except ConnectionRefusedError:
            inside.close()
            if family is _LOOPBACKS[-1][0]:
                raise
        except OSError:
            inside.close()
            raise
        except BaseException:
            inside.close()
            raise
    failure: OSError = OSError(f"the pod has no address for port {port}")
    for address in outside:
        try:
            return await asyncio.open_connection(address, port)
        except OSError as error:
            failure = error
    raise failure


async def _socket_inside(container_id: str, pid: int, family: socket.AddressFamily) -> socket.socket | None:
    """A socket of that process's network; made in a thread that ends with it, since it cannot go back."""
    executor = ThreadPoolExecutor(1, "network-namespace")
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, _make_inside, container_id, pid, family)
    except (OSError, AttributeError):
        return None
    finally:
        executor.shutdown(wait=False)


def _make_inside(container_id: str, pid: int, family: socket.AddressFamily) -> socket.socket:
    descriptor = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Read after the namespace was opened, so that a reused pid cannot lead to a stranger's.
        if container_id not in Path(f"/proc/{pid}/cgroup").read_text():
            raise ProcessLookupError(f"process {pid} is not of container {container_id[:12]}")
        library = ctypes.CDLL(None, use_errno=True)
        if library.setns(descriptor, _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(descriptor)
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    return made
