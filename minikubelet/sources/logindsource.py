"""Logind: learning from systemd-logind that the machine goes down, and having it wait for the pods.

Belongs here: the inhibitor lock and the signal, on the system bus (upstream: nodeshutdown/systemd). May not
be here: what is done then. `dbus_fast` is imported only where the machine is to wait.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, Final, Protocol

import structlog

log = structlog.get_logger()

RETRY_SECONDS: Final = 30.0
"""after which a bus that is not there is tried again; a container may be given it later"""

_LOGIN: Final = ("org.freedesktop.login1", "/org/freedesktop/login1")
_MANAGER: Final = "org.freedesktop.login1.Manager"
_RULE: Final = f"type='signal',interface='{_MANAGER}',member='PrepareForShutdown',path='{_LOGIN[1]}'"


_NOT_WAITED: Final = "a shutdown of this machine will not wait for pods: systemd-logind "
_NO_BUS: Final = (
    f"{_NOT_WAITED}cannot be asked on the system bus; in a container, mount /run/dbus/system_bus_socket"
)
_NO_LOCK: Final = (
    f"{_NOT_WAITED}gives no lock; that takes root or a rule of polkit, and a machine that is not going down"
)


class _NoLockError(Exception):
    """Logind answers, and refuses."""


class Machine(Protocol):
    """Whoever is told; `going_down` returns once the machine need not wait any longer."""

    @property
    def seconds(self) -> int:
        """How long it may have to wait."""

    async def going_down(self) -> None:
        """The machine is about to go down; cancelled where it stays up after all."""

    def stays_up(self) -> None:
        """It does not go down after all."""


class LogindSource:
    """Holds a delay lock at logind while the machine is up, and lets go of it when the pods have ended."""

    def __init__(self, machine: Machine, retry: float = RETRY_SECONDS) -> None:
        self._machine = machine
        self._retry = retry
        self._said = ""
        self._ending: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Follow logind until cancelled; a bus that cannot be reached is said once and tried again."""
        from dbus_fast.errors import AuthError, DBusError, InvalidAddressError  # noqa: PLC0415 - see module

        try:
            while True:
                try:
                    await self._follow()
                except _NoLockError as error:
                    self._complain(_NO_LOCK, str(error))
                except (OSError, EOFError, AuthError, DBusError, InvalidAddressError) as error:
                    self._complain(_NO_BUS, f"{type(error).__name__}: {error}")
                await asyncio.sleep(self._retry)
        finally:
            if self._ending is not None:
                self._ending.cancel()

    def _complain(self, sentence: str, error: str) -> None:
        if error != self._said:
            log.warning(sentence, error=error)
        self._said = error

    async def _follow(self) -> None:
        from dbus_fast import BusType  # noqa: PLC0415 - see module
        from dbus_fast.aio import MessageBus  # noqa: PLC0415 - see module

        bus: Any = await MessageBus(bus_type=BusType.SYSTEM, negotiate_unix_fd=True).connect()
        told: asyncio.Queue[bool | None] = asyncio.Queue()
        lost = asyncio.create_task(bus.wait_for_disconnect())
        lost.add_done_callback(lambda _: told.put_nowait(None))
        try:
            bus.add_message_handler(lambda message: _hear(message, told))
            await _call(bus, "AddMatch", "s", [_RULE], to=("org.freedesktop.DBus", "/org/freedesktop/DBus"))
            await self._check_delay(bus)
            await self._serve(bus, told)
        finally:
            bus.disconnect()
            await asyncio.gather(lost, return_exceptions=True)

    async def _serve(self, bus: Any, told: asyncio.Queue[bool | None]) -> None:
        """Until the bus is lost, which does not keep pods from ending that have begun to."""
        # No lock is given while the machine goes down: that it stays up was said to a bus that was lost.
        lock: int | None = await _inhibit(bus)
        self._said = ""
        await self._stays_up()
        log.info("a shutdown of this machine waits for pods", seconds=self._machine.seconds)
        try:
            while (going := await told.get()) is not None:
                if going and lock is not None:
                    self._ending = asyncio.create_task(self._end(lock))
                    lock = None
                elif not going and self._ending is not None:
                    await self._stays_up()
                    lock = await _inhibit(bus)
        finally:
            if lock is not None:
                os.close(lock)
        raise ConnectionResetError("the system bus has gone")

    async def _stays_up(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait((self._ending,))
            self._ending = None
            self._machine.stays_up()

    async def _end(self, lock: int) -> None:
        try:
            await self._machine.going_down()
        finally:
            os.close(lock)

    async def _check_delay(self, bus: Any) -> None:
        body = [_MANAGER, "InhibitDelayMaxUSec"]
        reply = await _call(bus, "Get", "ss", body, interface="org.freedesktop.DBus.Properties")
        most = reply.body[0].value / 1_000_000
        if most < self._machine.seconds:
            log.warning(
                "the machine waits for a shorter time than shutdownGracePeriod: raise InhibitDelayMaxSec in "
                "/etc/systemd/logind.conf and reload systemd-logind",
                waits=f"{most:g} s",
                wanted=f"{self._machine.seconds} s",
            )


def _hear(message: Any, told: asyncio.Queue[bool | None]) -> None:
    if message.member == "PrepareForShutdown" and message.interface == _MANAGER and message.body:
        told.put_nowait(bool(message.body[0]))


async def _inhibit(bus: Any) -> int:
    """The file descriptor that keeps the machine up while it is open."""
    from dbus_fast.errors import DBusError  # noqa: PLC0415 - see module

    body = ["shutdown", "minikubelet", "Pods are ended in order", "delay"]
    try:
        reply = await _call(bus, "Inhibit", "ssss", body)
    except DBusError as error:
        raise _NoLockError(f"{error.type}: {error}") from None
    return int(reply.unix_fds[reply.body[0]])


async def _call(
    bus: Any,
    member: str,
    signature: str,
    body: list[Any],
    *,
    to: tuple[str, str] = _LOGIN,
    interface: str = "",
) -> Any:
    from dbus_fast import Message, MessageType  # noqa: PLC0415 - see module
    from dbus_fast.errors import DBusError  # noqa: PLC0415 - see module

    name, path = to
    reply = await bus.call(
        Message(
            destination=name,
            path=path,
            interface=interface or (_MANAGER if to is _LOGIN else name),
            member=member,
            signature=signature,
            body=body,
        )
    )
    if reply.message_type is MessageType.ERROR:
        raise DBusError(reply.error_name, str(reply.body[0]) if reply.body else member)
    return reply
