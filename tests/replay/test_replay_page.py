"""The timeline's page in a real browser: what a person clicks and types does what it says."""

import asyncio
from pathlib import Path

import pytest

from minikubelet.core.commands import StartContainer
from minikubelet.replay.replayhistory import open_journal
from minikubelet.replay.replaymoments import Moment
from minikubelet.replay.standing import stand_at
from minikubelet.replay.timelinebars import Bars
from minikubelet.replay.timelinepage import write_page
from minikubelet.replay.timelinerows import Filter, Row, rows
from tests.replay.browser_world import Page, open_page
from tests.replay.replay_world import WEB, shop
from tests.replay.scripted_world import World
from tests.running import eventually, run

pytestmark = pytest.mark.browser
RECORD = "document.getElementById('record')?.textContent ?? ''"
PANEL = "document.getElementById('panel').dataset.seq"
HITS = "document.getElementById('hits').textContent"


def make_page(path: Path, *damage: str) -> list[Row]:
    return written(shop(), path, *damage)


def written(world: World, path: Path, *damage: str) -> list[Row]:
    world.write_segments(path / "journal")
    found = list(rows(open_journal(path / "journal"), Filter()))
    bars = Bars()
    for row in found:
        bars.take(row)
    write_page(path / "page.html", "node-a", found, bars, damage)
    return found


async def click_mark(page: Page, seq: int) -> None:
    await page.value(f"timeline.zoomTo({seq}, 300)")
    x, y = await page.value(
        f"(() => {{ const r = document.getElementById('view').getBoundingClientRect();"
        f" const [x, y] = timeline.place({seq}); return [r.left + x, r.top + y]; }})()"
    )
    await page.click(x, y)


def test_a_click_shows_the_record_and_its_causes(tmp_path: Path) -> None:
    found = make_page(tmp_path)
    start = next(r for r in found if isinstance(r.body, StartContainer) and r.body.attempt == 2)

    async def main() -> None:
        async with open_page(tmp_path / "page.html", tmp_path / "profile") as page:
            await click_mark(page, start.seq)
            await eventually(lambda: page.value(f"({RECORD}).includes('StartContainer')"), "the record")
            assert await page.value(PANEL) == str(start.seq)
            assert set(start.causes) <= set(await page.value("timeline.related"))
            buttons = "document.querySelectorAll('#panel li button')"
            assert await page.value(f"{buttons}.length") >= len(start.causes)
            await page.value(f"{buttons}[0].click()")
            await eventually(lambda: page.value(f"{PANEL} === '{start.causes[0]}'"), "the cause's record")
            assert page.errors == []

    run(main())


def test_a_search_counts_and_walks_through_its_hits(tmp_path: Path) -> None:
    found = make_page(tmp_path)
    expected = [row.seq for row in found if "OOMKilled" in row.text]

    async def main() -> None:
        async with open_page(tmp_path / "page.html", tmp_path / "profile") as page:
            await page.value("document.getElementById('search').focus()")
            await page.type("oomkilled web")
            assert await page.value("timeline.hits") == expected
            assert (await page.value(HITS)).startswith(f"{len(expected)} hit")
            await page.value("document.getElementById('next').click()")
            assert await page.value(PANEL) == str(expected[0])
            assert page.errors == []

    run(main())


def test_damage_of_the_journal_is_said(tmp_path: Path) -> None:
    async def main() -> None:
        for number, damage in enumerate([(), ("1.mkj: records 5 to 9 are missing",)]):
            make_page(tmp_path, *damage)
            async with open_page(tmp_path / "page.html", tmp_path / f"profile-{number}") as page:
                told = await page.value("document.getElementById('damage').innerText")
                assert ("records 5 to 9" in told) is bool(damage)
                assert await page.value("document.getElementById('damage').hidden") is not bool(damage)
                assert page.errors == []

    run(main())


def test_zoom_pan_and_theme_change_what_is_drawn(tmp_path: Path) -> None:
    make_page(tmp_path)

    async def main() -> None:
        async with open_page(tmp_path / "page.html", tmp_path / "profile") as page:
            whole = await page.value("timeline.span")
            wheel = {"type": "mouseWheel", "x": 600, "y": 300, "deltaX": 0, "deltaY": -300, "modifiers": 2}
            await page.call("Input.dispatchMouseEvent", **wheel)
            await eventually(lambda: page.value(f"timeline.span < {whole}"), "the zoom")
            light = await page.screenshot(tmp_path / "light.png")
            await page.value("document.getElementById('theme').click()")
            await page.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
            dark = await asyncio.wait_for(page.screenshot(tmp_path / "dark.png"), 60)
            assert light != dark
            assert page.errors == []

    run(main())


def test_a_clock_that_was_set_back_hides_nothing(tmp_path: Path) -> None:
    """An hour back in the middle: all marks and bars are there, and each can be brought into view."""
    world = World()
    world.start()
    pod = world.manifest(WEB)
    world.exit(pod, "setup", 0)
    world.pass_time(100)
    world.exit(pod, "app", 1, "Error")
    world.segment()
    world.at -= 3600 * 1_000_000
    for _ in range(3):
        world.exit(pod, "app", 1, "Error")
        world.pass_time(60)
    found = written(world, tmp_path)
    first, last = found[0], found[-1]
    assert last.at < first.at

    async def main() -> None:
        async with open_page(tmp_path / "page.html", tmp_path / "profile") as page:
            assert await page.value("timeline.span") > 3500e6
            for row in (first, last):
                await click_mark(page, row.seq)
                await eventually(lambda: page.value(f"({RECORD}).length > 0"), "a record")
                assert await page.value(PANEL) in {str(each.seq) for each in found if each.at == row.at}
            assert page.errors == []

    run(main())
    reader = open_journal(tmp_path / "journal")
    assert next(rows(reader, Filter(since=Moment(at=first.at)))).seq == first.seq
    seen = stand_at(reader, Moment(at=first.at + 5_000_000))
    assert seen.at == first.at + 5_000_000
    assert seen.seq < max(row.seq for row in found if row.at > first.at)
