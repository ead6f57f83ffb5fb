"""Why goes back to what began it, and why-not names every guard that holds something back."""

import fcntl
import json
import time
from pathlib import Path
from typing import Any

import pytest

from minikubelet.core.behaviours import TODAY
from minikubelet.core.events import MirrorGone
from minikubelet.model.ids import Source
from minikubelet.model.pod import ProbeKind
from tests.replay.history_scripts import SCRIPTS
from tests.replay.replay_world import JOB, Ran, run_command, shop
from tests.replay.scripted_pods import slot_of
from tests.replay.scripted_world import World

Capture = pytest.CaptureFixture[str]
PLAIN = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: i}]}\n"


def ask(capsys: Capture, path: Path, world: World, *words: str) -> Ran:
    world.write_segments(path / "journal")
    return run_command(capsys, *words, default=path / "journal")


def test_a_restart_goes_back_to_its_exit_code_and_its_manifest(tmp_path: Path, capsys: Capture) -> None:
    ran = ask(capsys, tmp_path, shop(), "why", "web/app", "restart", "--at", "30")
    assert ran.code == 0
    told = ran.out.splitlines()
    assert "start container app (restart 1), because the container had exited" in told[-2]
    assert "app exited with 1 Error" in ran.out
    assert "(web.yaml#0 sha256:" in ran.out
    seqs = [int(line.split("seq ")[1].split()[0]) for line in told[1:] if " seq " in line]
    assert seqs == sorted(seqs)


def test_every_generation_is_told_with_its_uid_and_what_the_edit_changed(
    tmp_path: Path, capsys: Capture
) -> None:
    world = shop()
    uids = [g.uid for s in world.reducer.slots.values() for g in s.generations if s.key == "shop/web-node-a"]
    ran = ask(capsys, tmp_path, world, "why", "shop/web/app", "start")
    assert ran.out.count("shop/web-node-a, uid ") == 2
    assert uids[-1][:12] in ran.out
    assert 'spec.containers[app].image: "registry.corp.example:5000/team/app:1" →' in ran.out
    assert "the timer fired" in ran.out
    everything = ask(capsys, tmp_path, world, "why", "web/app", "start", "--all")
    assert everything.out.count("→ start container app") > ran.out.count("→ start container app")


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("kill", "stop container side (grace 5s), because another definition of the pod took its place"),
        ("back-off", "app waiting CrashLoopBackOff"),
        ("refusal", "container app could not be started: ErrImagePull"),
        ("mirror", "create the mirror pod, because a static pod has to have a mirror pod"),
        ("status", "containerStatuses[app].state"),
        ("cleanup", "clean up what is left of the pod"),
        ("ready", 'conditions[Ready].status: "True" → "False"'),
    ],
)
def test_each_action_finds_its_decisions(tmp_path: Path, capsys: Capture, action: str, said: str) -> None:
    ran = ask(capsys, tmp_path, shop(), "why", "web", action, "--all")
    assert ran.code == 0
    assert said in ran.out


def test_what_never_happened_is_said_with_exit_code_1(tmp_path: Path, capsys: Capture) -> None:
    ran = ask(capsys, tmp_path, shop(), "why", "web", "eviction")
    assert (ran.code, "nothing was decided" in ran.out) == (1, True)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("wep",), "did you mean shop/web?"),
        (("shop/wep",), "did you mean shop/web?"),
        (("web/ap",), "did you mean app?"),
        (("web", "stat"), "did you mean"),
        (("web", "--at", "noon"), "is no moment"),
        (("a/b/c/d",), "names no pod"),
        (("web", "some/journal"), "--journal some/journal"),
        (("web", "start", "some/journal"), "--journal some/journal"),
        (("nothing-like-it",), "pods in it: default/job, shop/web"),
    ],
)
def test_a_typo_is_met_with_what_there_is(
    tmp_path: Path, capsys: Capture, words: tuple[str, ...], hint: str
) -> None:
    ran = ask(capsys, tmp_path, shop(), "why", *words)
    assert (ran.code, ran.out) == (2, "")
    assert hint in ran.err


def test_a_name_in_two_namespaces_has_to_be_told_apart(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    world.manifest(PLAIN)
    world.manifest(PLAIN.replace("name: a", "name: a, namespace: other"), file="b.yaml")
    ran = ask(capsys, tmp_path, world, "why", "a")
    assert (ran.code, "default/a-node-a or other/a-node-a" in ran.err) == (2, True)
    assert ask(capsys, tmp_path, world, "why", "other/a").code == 0


def test_causes_older_than_the_journal_are_told_from_its_snapshot(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    world.write_segments(tmp_path / "journal")
    for old in sorted((tmp_path / "journal").iterdir())[:-1]:
        old.unlink()
    ran = run_command(capsys, "why", "web/app", "restart", default=tmp_path / "journal")
    assert ran.code == 0
    assert "older than this journal: the pod's definition from web.yaml#0" in ran.out


def test_without_a_journal_the_option_is_named(capsys: Capture) -> None:
    ran = run_command(capsys, "why", "web")
    assert (ran.code, "--journal" in ran.err) == (2, True)


def test_back_off_ends_at_a_moment_told_from_the_one_asked_for(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    assert "back-off ends in 20s" in ask(capsys, tmp_path, world, "why-not", "web/app", "restart").out
    later = ask(capsys, tmp_path, world, "why-not", "web/app", "restart", "--at", "2026-05-28T20:28:08Z")
    assert "back-off ends in 10.1s" in later.out
    assert "it exited with 2 Error" in later.out


def test_a_new_pod_waits_for_the_old_one(tmp_path: Path, capsys: Capture) -> None:
    world = shop()
    edit = next(r.seq for r in world.records if r.causes and b"PodReplaced" in bytes(r.body)) - 1
    ran = ask(capsys, tmp_path, world, "why-not", "web", "start", "--at", str(edit))
    assert "waiting for old pod uid" in ran.out
    assert "its grace period ends in 5s" in ran.out


def test_a_failing_sandbox_is_told_with_its_message(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.broken_sandboxes["default/a-node-a"] = 9
    world.start()
    world.manifest(PLAIN)
    world.pass_time(4)
    ran = ask(capsys, tmp_path, world, "why-not", "a", "start")
    assert "sandbox failed 3 times: StartSandbox: SandboxError: bridge br0" in ran.out
    assert "tried again in" in ran.out


def test_a_runtime_not_listed_and_a_source_not_synced_hold_back(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start(listed=False)
    world.manifest(PLAIN)
    assert "has not been listed yet" in ask(capsys, tmp_path, world, "why-not", "a", "start").out


def test_a_broken_manifest_holds_cleanup_back(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    pod = world.manifest(PLAIN)
    world.start(gone=pod.metadata.uid, rejected=(("web.yaml", "line 3: no"),))
    held = ask(capsys, tmp_path, world, "why-not", "a", "delete")
    assert "1 broken manifest(s) (web.yaml) hold cleanup back" in held.out
    assert pod.metadata.uid[:12] in held.out


def test_a_kill_goes_back_to_the_probe_that_failed(tmp_path: Path, capsys: Capture) -> None:
    ran = ask(capsys, tmp_path, SCRIPTS["probed"](TODAY), "why", "probed/app", "kill", "--all")
    assert "the liveness probe of container app failed: dial tcp" in ran.out
    assert (
        "stop container app (grace 3s), because the container had failed its startup or liveness" in ran.out
    )


def test_unreadiness_names_the_probe_and_what_it_said(tmp_path: Path, capsys: Capture) -> None:
    world = SCRIPTS["probed"](TODAY)
    failed = next(r.seq for r in world.records if b"statuscode: 503" in bytes(r.body))
    ran = ask(capsys, tmp_path, world, "why-not", "probed", "ready", "--at", str(failed))
    assert "container app: its readiness probe failed at" in ran.out
    assert "HTTP probe failed with statuscode: 503" in ran.out
    early = next(r.seq for r in world.records if b'"ContainerStarted"' in bytes(r.body))
    ran = ask(capsys, tmp_path, world, "why-not", "probed", "ready", "--at", str(early))
    assert "container app: its startup probe has not passed yet" in ran.out


def test_what_a_probe_printed_stays_in_its_line(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    pod = world.manifest(PLAIN.replace("image: i", "image: i, readinessProbe: {exec: {command: [x]}}"))
    world.probe(pod, "c", ProbeKind.READINESS, passed=False, message="first\nsecond\x1b[2J\n")
    for words in (("timeline",), ("why-not", "a", "ready")):
        assert ": first⏎second\\x1b[2J\n" in ask(capsys, tmp_path, world, *words).out


def test_a_pod_that_is_gone_is_no_typo(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    pod = world.manifest(PLAIN)
    world.withdraw(pod)
    world.segment()
    world.start()
    ran = ask(capsys, tmp_path, world, "why-not", "a", "delete")
    assert (ran.code, "nothing is known of it at that moment" in ran.out) == (1, True), ran
    ran = ask(capsys, tmp_path, world, "state", "--pod", "a")
    assert (ran.code, "nothing is known of it at seq" in ran.err) == (1, True), ran


def test_a_broken_manifest_is_told_where_its_pod_is_asked_for(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start(rejected=(("lost.yaml", "line 6: spec.containers[0].image: Required value"),))
    world.manifest(PLAIN, file="a.yaml")
    for words in (("why", "lost"), ("why-not", "lost/main", "start")):
        ran = ask(capsys, tmp_path, world, *words)
        assert ran.code == 2
        assert "lost.yaml makes no pod: line 6: spec.containers[0].image: Required value" in ran.err
    assert "lost.yaml" not in ask(capsys, tmp_path, world, "why", "a", "refusal").out
    assert "lost.yaml" not in ask(capsys, tmp_path, world, "why", "b").err


def test_a_chain_that_is_part_of_another_is_told_once(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    pod = world.manifest(PLAIN, source=Source.API)
    world.delete(pod, grace=5)
    last = chains(capsys, tmp_path, world, "why", "a-node-a", "delete")
    assert [chain["steps"][-1]["kind"] for chain in last] == ["DeleteApiPod"]
    everything = chains(capsys, tmp_path, world, "why", "a-node-a", "delete", "--all")
    assert [chain["steps"][-1]["kind"] for chain in everything] == [
        "RemoveSandbox", "CleanUpPod", "DeleteApiPod",
    ]  # fmt: skip


def test_a_wait_before_a_restart_is_a_back_off_and_another_is_not(tmp_path: Path, capsys: Capture) -> None:
    assert "→ back off until " in ask(capsys, tmp_path, shop(), "why", "web/app", "restart").out
    world = World()
    world.start()
    slot = world.reducer.slots[slot_of(world.manifest(PLAIN))]
    assert slot.mirror is not None
    world.tell(MirrorGone(slot=slot.key, uid=slot.mirror.uid))
    world.work()
    world.pass_time(2)
    told = ask(capsys, tmp_path, world, "why", "a", "mirror").out
    assert ("→ wait until " in told, "back off" in told) == (True, False)


def test_a_journal_that_an_agent_writes_is_asked_about_now(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = shop()
    ended = ask(capsys, tmp_path, world, "why-not", "web/app", "restart").out
    assert "the journal's end" in ended.splitlines()[0]
    now = world.at + 7_000_000
    monkeypatch.setattr(time, "time_ns", lambda: now * 1000)
    with (tmp_path / "journal" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = ask(capsys, tmp_path, world, "why-not", "web/app", "restart").out
        assert "now, 2026-05-28" in told.splitlines()[0]
        assert "back-off ends in 1" in told
        asked = ask(capsys, tmp_path, world, "why-not", "web/app", "restart", "--at", "119").out
        assert asked.splitlines()[1:] == ended.splitlines()[1:]
    assert ask(capsys, tmp_path, world, "why-not", "web/app", "restart").out == ended


def test_a_job_that_has_finished_is_not_started_again(tmp_path: Path, capsys: Capture) -> None:
    ran = ask(capsys, tmp_path, shop(), "why-not", "job/work", "restart")
    assert "restartPolicy OnFailure starts nothing of it again" in ran.out


def test_what_runs_is_ready_and_nothing_holds_it_back(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    world.manifest(PLAIN)
    ran = ask(capsys, tmp_path, world, "why-not", "a", "ready")
    assert (ran.code, "it is ready" in ran.out) == (1, True)
    assert "it runs since" in ask(capsys, tmp_path, world, "why-not", "a", "start").out


def test_the_causes_of_unreadiness_name_condition_and_container(tmp_path: Path, capsys: Capture) -> None:
    ran = ask(capsys, tmp_path, shop(), "why-not", "web", "ready")
    assert "condition Ready is False (ContainersNotReady: containers with unready status: [app" in ran.out
    assert "container app: back-off ends in" in ran.out


def test_an_api_pod_waits_for_its_grace_period(tmp_path: Path, capsys: Capture) -> None:
    world = World()
    world.start()
    pod = world.manifest(JOB, source=Source.API)
    world.stubborn = ("work",)
    world.delete(pod, grace=7)
    ran = ask(capsys, tmp_path, world, "why-not", "job-node-a", "delete")
    assert "container work is being stopped since" in ran.out
    assert "its grace period ends in 7s" in ran.out


def chains(capsys: Capture, path: Path, world: World, *words: str) -> Any:
    ran = ask(capsys, path, world, *words, "-o", "json")
    return json.loads(ran.out)


def test_chains_as_json_say_what_the_text_says(tmp_path: Path, capsys: Capture) -> None:
    words = ("why", "web/app", "restart", "--at", "30")
    text = ask(capsys, tmp_path, shop(), *words).out
    (chain,) = chains(capsys, tmp_path, shop(), *words)
    assert (chain["pod"], chain["container"], chain["action"]) == ("shop/web-node-a", "app", "restart")
    assert chain["uid"][:12] in text
    known = {step["seq"]: step for step in chain["steps"]}
    assert list(known) == sorted(known)
    assert known[chain["seq"]]["kind"] == "StartContainer"
    for step in chain["steps"]:
        assert step["text"] in text
        assert step["at"] > 0
        assert set(step["causes"]) <= set(known)
    begun_by = [step["kind"] for step in chain["steps"] if not step["causes"]]
    assert begun_by == ["PodSet"]


def test_an_edit_is_told_field_by_field_and_its_secrets_are_not(tmp_path: Path, capsys: Capture) -> None:
    def told(before: str, after: str) -> list[str]:
        world = World()
        world.start()
        world.edit(world.manifest(before), after)
        found = chains(capsys, tmp_path / str(len(list(tmp_path.iterdir()))), world, "why", "a", "kill")
        return next(step["changed"] for step in found[-1]["steps"] if step["changed"])

    args = PLAIN.replace("image: i", "image: i, args: [x, --level=1, --password=one]")
    secret = args.replace("=one", "=two")
    head, *lines = told(args, secret.replace("level=1", "level=2"))
    assert head.startswith("changed against seq ")
    assert lines == ['spec.containers[c].args[1]: "--level=1" → "--level=2"']
    (only,) = told(args, secret)
    assert only.endswith("no field that the journal holds; it holds no secret values")
    many = PLAIN.replace(
        "name: a", f"name: a, labels: {{{', '.join(f'l{number}: x' for number in range(20))}}}"
    )
    _, *lines = told(many, many.replace(": x", ": z"))
    assert len(lines) == 9
    assert lines[-1] == "… and 12 more fields"


def test_guards_as_json_say_what_the_text_says(tmp_path: Path, capsys: Capture) -> None:
    words = ("why-not", "web/app", "restart")
    text = ask(capsys, tmp_path, shop(), *words).out
    held = chains(capsys, tmp_path, shop(), *words)
    assert "back-off ends in 20s" in held[-1]["guards"][-1]
    assert all(guard in text for one in held for guard in one["guards"])
    assert (held[-1]["pod"], held[-1]["action"], held[-1]["container"]) == (
        "shop/web-node-a", "restart", "app",
    )  # fmt: skip
    ran = ask(capsys, tmp_path, shop(), "why", "web", "eviction", "-o", "json")
    assert (ran.code, json.loads(ran.out)) == (1, [])
