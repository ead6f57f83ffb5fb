"""One agent at a time writes a journal, and the second is told who is in its way."""

import asyncio
import os
from pathlib import Path

import pytest

from minikubelet.ports.journalport import JournalLockedError
from tests.journal.journal_world import open_disk, write_records


def test_a_second_agent_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        first = open_disk(tmp_path).journal
        await write_records(first, 2)
        with pytest.raises(
            JournalLockedError, match=rf"in use by another agent \(pid {os.getpid()}\).*stop that one"
        ):
            open_disk(tmp_path)
        await write_records(first, 2)
        await first.close()
        second = open_disk(tmp_path)
        assert len(list(second.records)) == 4
        await second.journal.close()

    asyncio.run(main())
