"""The lock at logind: held while the machine is up, let go of when the pods have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableMapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import structlog

from minikubelet.sources.logindsource import LogindSource
from tests.running import eventually, run
from tests.sources.logind_world import Logind, end_bus, logind, start_bus

pytestmark = pytest.mark.dbus


class Machine:
    """Notes what it is told; pods have ended when `over` is set."""

    seconds = 30

    def __init__(self) -> None:
        self.told: list[str] = []
        self.over = asyncio.Event()

    async def going_down(self) -> None:
        self.told.append("down")
        await self.over.wait()

    def stays_up(self) -> None:
        self.told.append("up")


@pytest.fixture
def system_bus(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a bus that is the system's for the test."""
    bus, address = start_bus(state_dir)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    yield address
    end_bus(bus)


def follow(machine: Machine) -> asyncio.Task[None]:
    return asyncio.create_task(LogindSource(machine, retry=0.01).run())


async def stop(following: asyncio.Task[None]) -> None:
    following.cancel()
    await asyncio.wait((following,))


async def waits(stand_in: Logind, held: int) -> None:
    await eventually(lambda: len(stand_in.locks) > 0 and stand_in.held() == held, f"{held} locks to be held")


def test_the_lock_is_held_until_the_pods_have_ended(system_bus: str) -> None:
    async def story() -> None:
        machine = Machine()
        async with logind(system_bus) as stand_in:
            following = follow(machine)
            await waits(stand_in, 1)
            assert stand_in.locks == [("shutdown", "minikubelet", "delay")]
            await stand_in.prepare(going=True)
            await eventually(lambda: machine.told == ["down"], "the machine to be told")
            await stand_in.prepare(going=True)  # said twice, it is one shutdown
            assert stand_in.held() == 1
            machine.over.set()
            await waits(stand_in, 0)
            await stop(following)
        assert machine.told == ["down"]

    run(story())


def test_a_shutdown_that_is_cancelled_is_told_and_waited_for_again(system_bus: str) -> None:
    async def story() -> None:
        machine = Machine()
        async with logind(system_bus, delay_seconds=5) as stand_in:
            with structlog.testing.capture_logs() as said:
                following = follow(machine)
                await waits(stand_in, 1)
            (short,) = [line for line in said if line["log_level"] == "warning"]
            assert (short["waits"], short["wanted"]) == ("5 s", "30 s")
            await stand_in.prepare(going=True)
            await eventually(lambda: machine.told == ["down"], "the machine to be told")
            await stand_in.prepare(going=False)
            await eventually(lambda: machine.told == ["down", "up"], "the machine to be told again")
            await eventually(lambda: len(stand_in.locks) == 2, "a new lock")
            await waits(stand_in, 1)
            await stop(following)
            await waits(stand_in, 0)

    run(story())


def test_a_lock_that_is_refused_is_said_once_and_asked_for_again(system_bus: str) -> None:
    async def story() -> None:
        machine = Machine()
        async with logind(system_bus) as stand_in:
            stand_in.refuses = True
            with structlog.testing.capture_logs() as said:
                following = follow(machine)
                await eventually(lambda: stand_in.asked > 2, "the lock to be asked for again")
                stand_in.refuses = False
                await waits(stand_in, 1)
                await eventually(lambda: len(said) > 1, "a word about it")
            await stop(following)
        assert [line["log_level"] for line in said] == ["warning", "info"]
        assert "gives no lock" in said[0]["event"]
        assert said[0]["error"] == "org.freedesktop.DBus.Error.AccessDenied: Permission denied"

    run(story())


def test_a_shutdown_that_was_cancelled_while_the_bus_was_lost_is_over(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus, address = start_bus(state_dir)
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)

    async def story() -> None:
        machine = Machine()
        following = follow(machine)
        async with logind(address) as stand_in:
            await waits(stand_in, 1)
            await stand_in.prepare(going=True)
            await eventually(lambda: machine.told == ["down"], "the machine to be told")
            end_bus(bus)
            (state_dir / "bus.sock").unlink(missing_ok=True)
        another, _address = start_bus(state_dir)
        try:
            async with logind(address) as stand_in:
                await waits(stand_in, 1)
                await eventually(lambda: machine.told == ["down", "up"], "the machine to be told again")
                await stop(following)
        finally:
            end_bus(another)

    run(story())


def at_level(said: Sequence[MutableMapping[str, Any]], level: str) -> list[MutableMapping[str, Any]]:
    """The lines of a level."""
    return [line for line in said if line["log_level"] == level]


def test_a_bus_that_comes_late_or_goes_is_waited_for_and_said_once(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"unix:path={state_dir / 'bus.sock'}"
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)

    async def story() -> None:
        with structlog.testing.capture_logs() as said:
            following = follow(Machine())
            await eventually(lambda: len(said) > 0, "a word about it")
            for number in (1, 2):
                bus, _address = start_bus(state_dir)
                async with logind(address) as stand_in:
                    await waits(stand_in, 1)
                    followed = partial(lambda wanted: len(at_level(said, "info")) == wanted, number)
                    await eventually(followed, "that it is followed")
                    end_bus(bus)
                    (state_dir / "bus.sock").unlink(missing_ok=True)
            await stop(following)
        assert said[0]["log_level"] == "warning"
        assert all("mount /run/dbus" in line["event"] for line in at_level(said, "warning"))
        # Between a bus and logind on it, what is wrong may change; none of it is said twice.
        assert all(one.get("error") != other.get("error") for one, other in pairwise(said))

    run(story())
