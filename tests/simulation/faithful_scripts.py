"""Scripts: what happens to a pod, step by step, whatever runtime it is on.

Belongs here: one function for each story, with what has to be seen on the way. May not be here: how a step is
done. Each pod ends within its script, so that its end is compared as well.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeAlias

from tests.simulation.faithful_play import Play
from tests.simulation.faithful_programs import MEMORY_LIMIT, exits, missing, serves, sleeps

Script: TypeAlias = Callable[[Play], Coroutine[Any, Any, None]]
SCRIPTS: Final[dict[str, Script]] = {}


def script(function: Script) -> Script:
    """Add a script under its name, as pods are named."""
    SCRIPTS[function.__name__.replace("_", "-")] = function
    return function


@script
async def runs_and_is_deleted(play: Play) -> None:
    await play.create(play.make("main", serves()))
    await play.ready()
    await play.settled()
    await play.delete(5)
    await play.gone()


@script
async def heeds_sigterm_late(play: Play) -> None:
    await play.create(play.make("main", serves(term=1)), terminationGracePeriodSeconds=20)
    await play.ready()
    await play.delete(20)
    await play.gone()


@script
async def ignores_sigterm(play: Play) -> None:
    await play.create(play.make("main", serves(term=None)))
    await play.ready()
    await play.delete(1)
    await play.gone()


@script
async def crashes_and_backs_off(play: Play) -> None:
    await play.create(play.make("main", serves()))
    await play.running("main")
    play.cue("main", 1)
    await play.running("main", attempt=1)
    play.cue("main", 3)
    await play.waiting("main", "CrashLoopBackOff")
    play.mark()
    await play.running("main", attempt=2)
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def ends_well_and_runs_again(play: Play) -> None:
    await play.create(play.make("main", serves()))
    await play.running("main")
    play.cue("main", 0)
    await play.running("main", attempt=1)
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def runs_out_of_memory(play: Play) -> None:
    await play.create(play.make("main", serves(), resources=MEMORY_LIMIT))
    await play.running("main")
    play.node.hands.oom(play.container_id("main"))
    await play.running("main", attempt=1)
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def is_killed_from_outside(play: Play) -> None:
    await play.create(play.make("main", serves(term=None)))
    await play.running("main")
    play.node.hands.kill(play.container_id("main"))
    await play.running("main", attempt=1)
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def is_removed_from_outside_unheard(play: Play) -> None:
    await play.create(play.make("main", serves()), play.make("other", serves()))
    await play.running("main", "other")
    play.deafen()
    play.node.hands.remove(play.container_id("main"))
    await play.running("main", attempt=1)
    play.hear()
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def loses_its_sandbox(play: Play) -> None:
    await play.create(play.make("main", serves()), play.make("other", serves(term=None)))
    await play.ready()
    play.node.hands.kill_sandbox(play.sandbox_id())
    await play.running("main", "other", attempt=1)
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def has_its_sandbox_removed(play: Play) -> None:
    await play.create(play.make("main", serves()))
    await play.ready()
    play.deafen()
    play.node.hands.remove_sandbox(play.sandbox_id())
    await play.running("main", attempt=1)
    play.hear()
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def never_restarts_without_its_sandbox(play: Play) -> None:
    await play.create(play.make("main", serves()), restartPolicy="Never")
    await play.ready()
    play.node.hands.kill_sandbox(play.sandbox_id())
    await play.phase("Failed")
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def finds_no_image(play: Play) -> None:
    absent = {"image": "absent.invalid/nothing:1"}
    await play.create(
        play.make("never", serves(), **absent, imagePullPolicy="Never"),
        play.make("pulled", serves(), **absent, imagePullPolicy="IfNotPresent"),
    )
    await play.waiting("never", "ErrImageNeverPull")
    await play.waiting("pulled", "ImagePullBackOff")
    play.mark()
    await play.delete(1)
    await play.gone()


@script
async def finds_no_command(play: Play) -> None:
    await play.create(play.make("main", missing()))
    await play.ended("main")
    await play.waiting("main", "CrashLoopBackOff")
    play.mark()
    await play.delete(1)
    await play.gone()


@script
async def finds_no_command_and_gives_up(play: Play) -> None:
    await play.create(play.make("main", missing()), restartPolicy="Never")
    await play.phase("Failed")
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def init_fails_then_succeeds(play: Play) -> None:
    init = [play.make("first", serves()), play.make("second", exits(0))]
    await play.create(play.make("main", serves()), initContainers=init)
    await play.running("first")
    play.cue("first", 1)
    await play.running("first", attempt=1)
    await play.settled()
    play.cue("first", 0)
    await play.ready()
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def init_fails_for_good(play: Play) -> None:
    await play.create(
        play.make("main", serves()), initContainers=[play.make("first", exits(3))], restartPolicy="Never"
    )
    await play.phase("Failed")
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def sidecar_outlives_the_main_container(play: Play) -> None:
    sidecar = play.make("side", serves(), restartPolicy="Always")
    await play.create(play.make("main", serves()), initContainers=[sidecar], restartPolicy="Never")
    await play.running("side", "main")
    play.cue("side", 1)
    await play.running("side", attempt=1)
    await play.settled()
    play.cue("main", 0)
    await play.phase("Succeeded")
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def post_start_fails(play: Play) -> None:
    hook = {"postStart": {"exec": exits(3)}}
    await play.create(play.make("main", serves(), lifecycle=hook), restartPolicy="Never")
    await play.phase("Failed")
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def hooks_run(play: Play) -> None:
    hook = {"postStart": {"exec": sleeps(1)}, "preStop": {"exec": sleeps(1)}}
    await play.create(play.make("main", serves(), lifecycle=hook), terminationGracePeriodSeconds=20)
    await play.ready()
    await play.settled()
    await play.delete(20)
    await play.gone()


@script
async def pre_stop_takes_too_long(play: Play) -> None:
    hook = {"preStop": {"exec": sleeps(600)}}
    await play.create(play.make("main", serves(), lifecycle=hook))
    await play.ready()
    await play.delete(2)
    await play.gone()


@script
async def ends_while_its_pre_stop_runs(play: Play) -> None:
    hook = {"preStop": {"exec": sleeps(3600)}}
    await play.create(play.make("main", serves(), lifecycle=hook), terminationGracePeriodSeconds=3600)
    await play.ready()
    await play.delete(3600)
    await play.stopping("main")
    play.cue("main", 3)
    await play.gone()


@script
async def on_failure_restarts_until_it_succeeds(play: Play) -> None:
    await play.create(play.make("main", serves()), restartPolicy="OnFailure")
    await play.running("main")
    play.cue("main", 1)
    await play.running("main", attempt=1)
    play.cue("main", 0)
    await play.phase("Succeeded")
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def never_restarts_what_failed(play: Play) -> None:
    await play.create(play.make("main", exits(1)), restartPolicy="Never")
    await play.phase("Failed")
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def one_of_two_ends(play: Play) -> None:
    await play.create(play.make("main", serves()), play.make("other", serves()), restartPolicy="Never")
    await play.ready()
    play.cue("main", 0)
    await play.ended("main")
    await play.ready(ready=False)
    await play.settled()
    play.cue("other", 3)
    await play.phase("Failed")
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def static_pod_is_edited(play: Play) -> None:
    await play.create(play.make("main", serves(term=None)), static=True)
    await play.ready()
    await play.settled()
    await play.create(play.make("main", serves()), play.make("more", serves()), static=True)
    await play.ready()
    await play.settled()
    await play.withdraw()
    await play.gone()


@script
async def is_deleted_by_force(play: Play) -> None:
    await play.create(play.make("main", serves(term=None)))
    await play.ready()
    await play.withdraw()
    await play.gone()


@script
async def is_deleted_in_more_haste(play: Play) -> None:
    await play.create(play.make("main", serves(term=None)), terminationGracePeriodSeconds=3600)
    await play.ready()
    await play.delete(3600)
    await play.stopping("main")
    await play.delete(1)
    await play.gone()


@script
async def last_words(play: Play) -> None:
    fallback = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    elsewhere = {"terminationMessagePath": "/last/words"}
    await play.create(
        play.make("file", serves(says="in a file", logs="in a log"), **fallback),
        play.make("log", serves(logs="in a log"), **fallback),
        play.make("well", serves(logs="in a log"), **fallback),
        play.make("plain", serves(logs="in a log")),
        play.make("moved", serves(says="elsewhere", to="/last/words"), **elsewhere),
        restartPolicy="Never",
    )
    await play.running("file", "log", "well", "plain", "moved")
    for name in ("file", "log", "plain", "moved"):
        play.cue(name, 1)
    play.cue("well", 0)
    await play.phase("Failed")
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def liveness_fails(play: Play) -> None:
    probe = {"exec": exits(1), "periodSeconds": 1, "failureThreshold": 2}
    await play.create(play.make("main", serves(term=None), livenessProbe=probe), restartPolicy="Never")
    await play.phase("Failed")
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def never_gets_ready(play: Play) -> None:
    fails = {"exec": exits(1), "periodSeconds": 1}
    passes = {"exec": exits(0), "periodSeconds": 1}
    hangs = {"exec": sleeps(60), "periodSeconds": 1, "failureThreshold": 1}
    await play.create(
        play.make("unready", serves(), readinessProbe=fails, startupProbe=passes),
        play.make("ready", serves(), readinessProbe=passes),
        play.make("unstarted", serves(), startupProbe=hangs),
        restartPolicy="Never",
    )
    await play.ended("unstarted")
    await play.unready("unready")
    await play.settled()
    await play.delete(1)
    await play.gone()


@script
async def an_exit_is_not_heard_of(play: Play) -> None:
    await play.create(play.make("main", serves()))
    await play.ready()
    play.deafen()
    play.cue("main", 3)
    await play.running("main", attempt=1)
    play.hear()
    await play.settled()
    await play.delete(1)
    await play.gone()
