"""Behaviours: the numbered changes of what is decided, so that an old journal is decided upon as it was.

Belongs here: their numbers and what each of them changes. May not be here: deciding; whoever does asks the
node's facts, or the draft, whether a behaviour is followed. A life of the agent begins with those of `TODAY`
in its AgentStarted, and whatever is decided in it, now or in a replay years later, follows these alone.
A number is never used again, and no member is ever removed: journals outlive releases.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class Behaviour(IntEnum):
    """A change of what is decided; the journal keeps the number."""

    FULL_GRACE_WHEN_LATE = 1
    """A container that comes up after its pod's end was decided has the whole grace period, and two seconds
    at least, from when it is stopped: it had what was left since the decision, which may have been nothing
    (upstream: pkg/kubelet/kuberuntime/kuberuntime_container.go, killContainer)."""
    STRICT_GROUPS_REFUSED = 2
    """On Docker, which adds the groups that an image gives its user, a pod that wants those of its definition
    alone is refused: it ran with the image's (upstream: pkg/kubelet/lifecycle/predicate.go)."""
    PREEMPTION = 3
    """Other pods end for a critical one that has no room: it was refused as any other
    (upstream: pkg/kubelet/preemption/preemption.go)."""
    MIRRORS_ASKED_AGAIN = 4
    """A mirror pod is asked for again when the API server was listed anew without it, or a source holds its
    static pod anew: one that came and went unseen, or of which nobody had the definition, stayed away."""
    EPHEMERAL_CONTAINERS = 5
    """Ephemeral containers are started, once, and their statuses told: they were ignored
    (upstream: pkg/kubelet/kuberuntime/kuberuntime_manager.go, computePodActions)."""
    FOLDER_SOUND_OR_NOT = 6
    """Verdicts over the manifest folder lead to plans only when it becomes sound or stops being so: each of
    them led to a plan of every pod, which found what was due by then a moment before its timer."""
    SANDBOXES_BACK_OFF = 7
    """A sandbox that dies soon after its start is replaced after a wait that doubles, up to a minute: one
    that ended at once was replaced at once, for ever."""
    CONTAINER_RESTARTS = 8
    """A container's own restartPolicy and restartPolicyRules decide over its restarts: its pod's policy did,
    except for sidecars (upstream: pkg/api/v1/pod/util.go, ContainerShouldRestart)."""
    STATUSES_NAME_THEIR_MIRROR = 9
    """A status says which mirror pod is to show it: one told while nobody had the definition of its static
    pod was taken for an API pod's, of which there was none, and the mirror stayed without it."""
    CREATED_HOLDS_BACK = 10
    """A pod waits for the sandbox of the one before it while containers lie in there beside those known: one
    that was made may be started yet, by a call of an earlier life that is under way, beside the new pod's."""
    UNSURE_UNTIL_SEEN = 11
    """A container whose start may have had its effect stays in doubt until somebody has looked: another start
    that failed before it reached the engine ended the doubt, and the next pod could start beside it."""
    UNCLAIMED_WHILE_ENDING = 12
    """A pod that no source holds any more goes for good, also when it was just coming to its own end as the
    sources were seen: what it had left on the node stayed until something else happened to it."""
    FAILED_STOPS_ARE_GIVEN_UP = 13
    """A container that was to be stopped for another definition, and is wanted as it runs by the time the
    failed stop would be tried again, ends as any other: it was started anew whatever its policy said."""
    MIRRORS_GO_WITH_THEIR_FILES = 14
    """The mirror of a static pod whose file went away goes as the pod has gone: it stayed for as long as any
    other file was broken, though that one cannot hold the pod."""
    INIT_CONTAINERS_RUN_ON = 15
    """An init container that runs is waited for, also where its definition changes: it was ended and started
    anew (upstream: pkg/kubelet/kuberuntime/kuberuntime_container.go, computeInitContainerActions)."""
    STATUSES_AGREE = 16
    """An init container that waits to run once more is not told to be ready, and none to have begun after its
    end: their statuses contradicted themselves (upstream: pkg/kubelet/prober/prober_manager.go)."""
    PULLS_COUNT_APART = 17
    """How long a container waits after a failed pull goes by the pulls that failed: after four other calls of
    the engine the first waited 160 s, not 10 (upstream: pkg/kubelet/images/image_manager.go)."""
    LOOKS_ARE_OF_THIS_LIFE = 18
    """What a look shows that began before a pod was cleaned up is nothing of one that comes with its uid
    later: its containers were taken for those of the new one, and not started where they run but once."""
    WAITS_BEGAN_BEFORE = 19
    """A wait that would take longer than it was to last means that the clock was set back, and holds nothing:
    only one longer than any was disbelieved, so that 10 s after a clock set back by two minutes took 130."""
    SOUND_LISTS_ARE_REMEMBERED = 20
    """A static pod that a sound folder did not hold is gone, whatever becomes of the folder before the
    runtime has been listed: it was restarted for as long as a file was broken or the folder away."""


Behaviours = tuple[Behaviour, ...]
"""in the order of their numbers"""

TODAY: Final[Behaviours] = tuple(Behaviour)
"""what a life that begins now is decided by"""
