"""A system bus of the test's own with a stand-in for systemd-logind on it; the bus is the real dbus-daemon.

Belongs here: the bus, the stand-in, and what it sees of the lock. No systemd runs, and nothing goes down.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from dbus_fast import Message, Variant
from dbus_fast.aio import MessageBus

PATH = "/org/freedesktop/login1"
MANAGER = "org.freedesktop.login1.Manager"
CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/><allow eavesdrop="true"/>
  </policy>
</busconfig>
"""


class Logind:
    """`org.freedesktop.login1.Manager` as far as an inhibitor needs it; `locks` are those asked for."""

    def __init__(self, bus: MessageBus, delay_seconds: int) -> None:
        self._bus = bus
        self._delay = delay_seconds
        self._given: list[int] = []
        self._kept: list[int] = []
        self.locks: list[tuple[str, str, str]] = []
        self.refuses = False
        self.asked = 0

    def answer(self, message: Message) -> Message | None:
        """Answer Inhibit with one end of a pipe, which is open as long as the lock is held."""
        self.asked += message.member == "Inhibit"
        if message.member == "Inhibit" and self.refuses:
            return Message.new_error(message, "org.freedesktop.DBus.Error.AccessDenied", "Permission denied")
        if message.member == "Inhibit":
            what, who, _, mode = message.body
            kept, given = os.pipe()
            self._kept.append(kept)
            self._given.append(given)
            self.locks.append((what, who, mode))
            return Message.new_method_return(message, "h", [0], [given])
        if message.member == "Get":
            return Message.new_method_return(message, "v", [Variant("t", self._delay * 1_000_000)])
        return None

    async def prepare(self, *, going: bool) -> None:
        """Say that the machine is about to go down, or that it is not after all."""
        await self._bus.send(Message.new_signal(PATH, MANAGER, "PrepareForShutdown", "b", [going]))

    def held(self) -> int:
        """How many locks are held now."""
        for given in self._given:
            os.close(given)  # sent long ago: what is open now is with whoever asked
        self._given.clear()
        for kept in list(self._kept):
            if select.select([kept], [], [], 0)[0]:
                os.close(kept)
                self._kept.remove(kept)
        return len(self._kept)

    def close(self) -> None:
        """Let go of what is left."""
        for each in (*self._given, *self._kept):
            os.close(each)


def start_bus(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A bus that answers, and its address."""
    path = folder / "bus.sock"
    config = folder / "bus.conf"
    config.write_text(CONFIG.format(socket=path), encoding="utf-8")
    bus = subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address"], stdout=subprocess.PIPE
    )
    assert bus.stdout is not None
    assert bus.stdout.readline()
    return bus, f"unix:path={path}"


def end_bus(bus: subprocess.Popen[bytes]) -> None:
    """End it, and whoever is on it notices."""
    bus.kill()
    bus.communicate()


@contextlib.asynccontextmanager
async def logind(address: str, delay_seconds: int = 30) -> AsyncIterator[Logind]:
    """A stand-in for logind on the bus at this address."""
    bus: Any = await MessageBus(bus_address=address, negotiate_unix_fd=True).connect()
    stand_in = Logind(bus, delay_seconds)
    bus.add_message_handler(stand_in.answer)
    await bus.request_name("org.freedesktop.login1")
    try:
        yield stand_in
    finally:
        bus.disconnect()
        await bus.wait_for_disconnect()
        stand_in.close()
