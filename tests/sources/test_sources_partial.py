"""A look at the files that changed leads to what a look at the whole folder leads to."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from minikubelet.ports.sourceport import VerdictsChanged
from minikubelet.sources.manifestadvance import advance
from minikubelet.sources.manifestfiles import Look, Request, look
from minikubelet.sources.manifestset import (
    Entry,
    Gone,
    Ignored,
    Listing,
    Loaded,
    ManifestState,
    Same,
    Unreadable,
)
from minikubelet.sources.partiallook import look_again
from tests.sources.sources_world import read_lines

NAMES = st.sampled_from(["a", "b", "c", "d"])
CONTENTS = st.lists(st.sampled_from(["web one", "web two", "db one", "web: is broken", "db two"]), max_size=3)


def loaded(name: str, lines: list[str]) -> Loaded:
    text = "\n".join(lines)
    return Loaded(name, f"sha256:{text}", read_lines(text.encode(), name))


ENTRIES = st.one_of(
    st.builds(loaded, NAMES, CONTENTS),
    st.builds(Unreadable, NAMES, st.just("cannot be read: Permission denied")),
    st.builds(Ignored, NAMES, st.just("is a directory, not a file")),
    st.builds(Gone, NAMES),
)


@given(st.lists(st.lists(ENTRIES, max_size=3, unique_by=lambda entry: entry.name), max_size=8))
def test_partial_listings_lead_to_the_same_pods_verdicts_and_facts(steps: list[list[Entry]]) -> None:
    part = whole = ManifestState("/manifests")
    there: dict[str, None] = {}
    for number, changes in enumerate([[], *steps]):
        now = f"t{number}"
        there.update(dict.fromkeys(entry.name for entry in changes if not isinstance(entry, Gone)))
        for entry in changes:
            if isinstance(entry, Gone):
                there.pop(entry.name, None)
        changed = {entry.name: entry for entry in changes}
        everything = tuple(changed.get(name, Same(name)) for name in sorted(there))
        whole, expected = advance(whole, Listing(everything), now=now)
        part, told = advance(part, Listing(tuple(changes), partial=number > 0), now=now)
        assert told == expected
    assert part.desired == whole.desired
    assert part.verdicts == whole.verdicts
    assert part.holders == whole.holders


def begun(folder: Path, *files: str) -> Look:
    for name in files:
        (folder / name).write_text(f"{name} one")
    return look(Request(path=folder, reader=read_lines))


def again(folder: Path, before: Look, *names: str) -> Look:
    only = frozenset(names)
    return look_again(Request(path=folder, reader=read_lines, known=before.known, dirty=only, only=only))


def test_only_the_named_files_are_looked_at(tmp_path: Path) -> None:
    before = begun(tmp_path, "a", "b")
    (tmp_path / "a").write_text("a two")
    (tmp_path / "b").write_text("b two")
    found = again(tmp_path, before, "a")
    assert found.listing.partial
    assert [(type(entry), entry.name) for entry in found.listing.entries] == [(Loaded, "a")]
    assert found.known["b"] == before.known["b"]


def test_a_rename_of_which_only_the_old_name_was_told_is_seen_whole(tmp_path: Path) -> None:
    before = begun(tmp_path, "a", "b")
    (tmp_path / "a").rename(tmp_path / "c")
    found = again(tmp_path, before, "a")
    assert [(type(entry), entry.name) for entry in found.listing.entries] == [(Gone, "a"), (Loaded, "c")]
    assert sorted(found.known) == ["b", "c"]


def test_a_file_that_an_editor_sets_aside_is_said_to_be_renamed(tmp_path: Path) -> None:
    before = begun(tmp_path, "a", "b")
    (tmp_path / "a").rename(tmp_path / "a~")
    assert again(tmp_path, before, "a").renamed == ("a",)


def test_a_folder_that_is_gone_is_a_problem_and_no_end_of_its_pods(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    before = begun(folder, "a")
    folder.rename(tmp_path / "elsewhere")
    found = again(folder, before, "a")
    assert found.listing.problem
    assert not found.listing.partial


def test_a_folder_that_goes_on_changing_is_still_told_of_its_verdicts(tmp_path: Path) -> None:
    state, _ = advance(ManifestState("/manifests"), begun(tmp_path, "a").listing, now="t0")
    broken = Listing((loaded("a", ["web: is broken"]),), partial=True)
    _, facts = advance(state, broken, now="t1")
    (verdicts,) = facts
    assert isinstance(verdicts, VerdictsChanged)
    assert verdicts.verdicts[0].kept
