"""From contents of files to pods: law 7, holders of names, and facts that always lead to what is wanted."""

from hypothesis import given
from hypothesis import strategies as st

from minikubelet.model.ids import PodUid, SlotKey
from minikubelet.ports.sourceport import FileStatus, PodOffered, PodRetracted, SourceFact, VerdictsChanged
from minikubelet.sources.manifestadvance import advance
from minikubelet.sources.manifestset import (
    Entry,
    FileReading,
    Ignored,
    Listing,
    Loaded,
    ManifestState,
    Same,
    Unreadable,
    shown,
)
from minikubelet.wire.podmarks import CONFIG_SEEN
from tests.sources.sources_world import KeepingSink, read_lines


def loaded(name: str, content: str) -> Loaded:
    return Loaded(name, f"sha256:{content}", read_lines(content.encode(), name))


class Folder:
    """A state that is advanced look by look, and a sink of its facts."""

    def __init__(self) -> None:
        self.state = ManifestState("/manifests")
        self.sink = KeepingSink()
        self.last: tuple[SourceFact, ...] = ()

    def look(self, *entries: Entry, problem: str = "", now: str = "t0") -> None:
        self.state, self.last = advance(self.state, Listing(entries, problem), now=now)
        for fact in self.last:
            self.sink.put(fact)

    def status(self, name: str) -> FileStatus:
        return self.sink.verdicts[name].status


def test_a_broken_edit_keeps_the_last_good_pod_and_says_so() -> None:
    folder = Folder()
    folder.look(loaded("web", "web nginx:1"))
    folder.look(loaded("web", "web: oops nginx"))
    assert folder.sink.images == {"web": "nginx:1"}
    verdict = folder.sink.verdicts["web"]
    assert verdict.status is FileStatus.REJECTED
    assert verdict.kept == (SlotKey("default/web"),)
    assert verdict.hides_pods
    folder.look(loaded("web", "web nginx:2"))
    assert folder.sink.images == {"web": "nginx:2"}
    assert folder.status("web") is FileStatus.ACCEPTED


def test_a_file_that_was_never_read_may_define_what_an_earlier_life_ran() -> None:
    """The folder comes back while one of its files is being written: nothing unknown is to be ended yet."""
    folder = Folder()
    folder.look(problem="the folder does not exist")
    folder.look(Same("half"), loaded("web", "web nginx"))
    assert folder.sink.verdicts["half"].hides_pods
    folder.look(Same("half"), Same("web"))
    assert folder.sink.verdicts["half"].hides_pods
    folder.look(loaded("half", "half nginx"), Same("web"))
    assert folder.status("half") is FileStatus.ACCEPTED


def test_a_new_file_that_is_being_written_is_no_news_once_all_others_were_read() -> None:
    folder = Folder()
    folder.look(loaded("web", "web nginx"))
    folder.look(Same("web"), Same("half"))
    assert folder.last == ()


def test_an_empty_file_is_a_broken_edit_too() -> None:
    folder = Folder()
    folder.look(loaded("web", "web nginx:1"))
    folder.look(loaded("web", ""))
    assert folder.sink.images == {"web": "nginx:1"}
    assert "delete its file" in folder.sink.verdicts["web"].messages[0]


def test_a_broken_document_costs_its_own_file_nothing_else() -> None:
    """Good documents count at once, lost ones are kept while anything in the file is broken."""
    folder = Folder()
    folder.look(loaded("all", "a i1\nb i1\nc i1"))
    folder.look(loaded("all", "a i2\nbroken\nc i1"))
    assert folder.sink.images == {"a": "i2", "b": "i1", "c": "i1"}
    folder.look(loaded("all", "a i2\nc i1"))
    assert folder.sink.images == {"a": "i2", "c": "i1"}


def test_an_edit_offers_the_new_pod_before_it_retracts_the_old() -> None:
    folder = Folder()
    folder.look(loaded("web", "web nginx:1"))
    folder.look(loaded("web", "web nginx:2"))
    kinds = [type(fact) for fact in folder.last]
    assert kinds == [PodOffered, PodRetracted, VerdictsChanged]


def test_verdicts_come_after_the_pods_they_speak_of() -> None:
    """While a file is broken unknown pods are kept; when it is mended, its pod is known before that ends."""
    folder = Folder()
    folder.look(loaded("web", "broken"))
    folder.look(loaded("web", "web nginx:1"))
    assert [type(fact) for fact in folder.last] == [PodOffered, VerdictsChanged]


def test_the_first_file_in_order_wins_and_the_other_is_shadowed() -> None:
    folder = Folder()
    folder.look(loaded("b", "web two"), loaded("a", "web one"))
    assert folder.sink.images == {"web": "one"}
    assert folder.status("b") is FileStatus.SHADOWED
    assert "default/web is held by a" in folder.sink.verdicts["b"].messages[0]


def test_a_new_file_does_not_take_over_a_name_that_is_held() -> None:
    folder = Folder()
    folder.look(loaded("b", "web two"))
    folder.look(loaded("a", "web one"), Same("b"))
    assert folder.sink.images == {"web": "two"}
    assert folder.status("a") is FileStatus.SHADOWED
    folder.look(Same("a"))
    assert folder.sink.images == {"web": "one"}
    assert folder.status("a") is FileStatus.ACCEPTED


def test_a_broken_holder_still_holds() -> None:
    folder = Folder()
    folder.look(loaded("b", "web two"))
    folder.look(loaded("a", "web one"), loaded("b", "broken"))
    assert folder.sink.images == {"web": "two"}


def test_renaming_a_file_restarts_nothing() -> None:
    folder = Folder()
    folder.look(loaded("a", "web one"), now="t0")
    folder.look(loaded("z", "web one"), now="t1")
    assert folder.sink.retracted == []
    offered = folder.sink.pods["default/web"]
    assert offered.origin.startswith("z#0 ")
    assert offered.pod.metadata.annotations[CONFIG_SEEN] == "t0"


def test_a_pod_known_from_before_keeps_the_time_it_was_first_seen() -> None:
    uid = PodUid("uid-default-web-one")
    state = ManifestState("/manifests", first_seen={uid: "long ago"})
    state, _ = advance(state, Listing((loaded("a", "web one"),)), now="t9")
    wanted = state.desired[SlotKey("default/web")]
    assert wanted.pod.metadata.annotations[CONFIG_SEEN] == "long ago"


def test_one_pod_twice_in_a_file_counts_once() -> None:
    folder = Folder()
    folder.look(loaded("a", "web one\nweb two"))
    assert folder.sink.images == {"web": "one"}
    assert folder.status("a") is FileStatus.ACCEPTED
    assert "document 2" in folder.sink.verdicts["a"].messages[0]


def test_unreadable_keeps_and_special_files_do_not() -> None:
    folder = Folder()
    folder.look(loaded("a", "web one"))
    folder.look(Unreadable("a", "cannot be read"))
    assert folder.sink.images == {"web": "one"}
    assert folder.sink.verdicts["a"].hides_pods
    folder.look(Ignored("a", "is a directory"))
    assert folder.sink.images == {}
    assert not folder.sink.verdicts["a"].hides_pods


def test_a_folder_that_cannot_be_listed_keeps_all_and_an_empty_one_ends_all() -> None:
    folder = Folder()
    folder.look(loaded("a", "web one"))
    folder.look(problem="does not exist")
    assert folder.sink.images == {"web": "one"}
    assert folder.sink.verdicts["/manifests"].kept == (SlotKey("default/web"),)
    folder.look(Same("a"))
    assert "/manifests" not in folder.sink.verdicts
    folder.look()
    assert folder.sink.images == {}


def test_a_look_that_finds_nothing_new_says_nothing() -> None:
    folder = Folder()
    folder.look(loaded("a", "web one"), loaded("b", "broken"))
    folder.look(Same("a"), Same("b"))
    assert folder.last == ()


def test_names_are_shown_so_that_they_can_be_encoded() -> None:
    assert shown("caf\u00e9.yaml") == "caf\u00e9.yaml"
    shown("a\udcffb\n\x1b[2J").encode("utf-8")
    assert shown("a\udcffb\n") == "a\\xffb\\n"


LINES = st.sampled_from(["p i1", "p i2", "q i1", "q i2", "r i1", "broken"])
CONTENTS = st.lists(LINES, max_size=3).map("\n".join)
FOLDERS = st.dictionaries(st.sampled_from("abc"), CONTENTS, max_size=3)


@given(st.lists(FOLDERS, max_size=8))
def test_facts_lead_to_what_the_state_wants_and_no_broken_file_ends_a_pod(
    folders: list[dict[str, str]],
) -> None:
    """Whatever happens in a folder: facts and state agree, and files that go on but break end no pod."""
    folder = Folder()
    before: dict[str, str] = {}
    for contents in folders:
        held = {slot: wanted.file for slot, wanted in folder.state.desired.items()}
        folder.look(*(loaded(name, content) for name, content in contents.items()))
        wanted = {slot: desired.uid for slot, desired in folder.state.desired.items()}
        assert {slot: offered.uid for slot, offered in folder.sink.pods.items()} == wanted
        for slot, file in held.items():
            reading = read_lines(contents.get(file, "").encode(), file)
            if file in contents and (reading.errors or not reading.pods):
                assert slot in wanted
            if file in contents and contents[file] == before.get(file):
                assert folder.state.desired[slot].file == file
        good = {
            pod.slot for name, content in contents.items() for pod in read_lines(content.encode(), name).pods
        }
        assert good <= wanted.keys()
        before = contents


@given(FOLDERS)
def test_the_order_of_a_listing_means_nothing(contents: dict[str, str]) -> None:
    """A folder looked at in any order gives the same pods and verdicts."""
    entries = tuple(loaded(name, content) for name, content in contents.items())
    first, _ = advance(ManifestState("/m"), Listing(entries), now="t")
    second, _ = advance(ManifestState("/m"), Listing(tuple(reversed(entries))), now="t")
    assert first == second


def test_a_reading_may_warn_and_be_accepted() -> None:
    folder = Folder()
    reading = read_lines(b"web one", "a")
    folder.look(Loaded("a", "h", FileReading(reading.pods, (), ("unknown field",))))
    assert folder.status("a") is FileStatus.ACCEPTED
    assert folder.sink.verdicts["a"].messages == ("unknown field",)


def test_a_restart_hands_no_name_on_to_a_file_that_was_shadowed() -> None:
    before = Folder()
    before.look(loaded("b", "web two"))
    before.look(loaded("a", "web one"), Same("b"))
    held = before.state.desired[SlotKey("default/web")]
    after = Folder()
    after.state = ManifestState("/manifests", first_seen={held.uid: "t0"})
    after.look(loaded("a", "web one"), loaded("b", "web two"))
    assert after.sink.images == {"web": "two"}
    assert after.status("a") is FileStatus.SHADOWED
    after.look(loaded("a", "web one"))
    assert after.sink.images == {"web": "one"}
