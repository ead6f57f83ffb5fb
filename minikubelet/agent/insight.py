"""What the running agent tells of its own journal: records as they come, and chains of causes.

Belongs here: joining the view, the journal on disk and `replay`. May not be here: HTTP (`nodeapi`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

from minikubelet.agent.agentview import AgentView
from minikubelet.journal.journalreader import JournalReader
from minikubelet.model.ids import split_slot
from minikubelet.nodeapi.nodeinsight import NoAnswerError, ProbeAnswers
from minikubelet.ports.journalport import JournalError, Record
from minikubelet.replay.replayerrors import ReplayError
from minikubelet.replay.replayhistory import open_journal
from minikubelet.replay.whycommand import Question, answers
from minikubelet.shell.probehandlers import Outcome
from minikubelet.shell.prober import Prober

_RESULTS: Final = {
    Outcome.PASSED: "successful",
    Outcome.WARNED: "successful",
    Outcome.FAILED: "failed",
    Outcome.UNKNOWN: "unknown",
}


class Insight:
    """Reads beside the loop that writes."""

    def __init__(self, view: AgentView, journal: Path, prober: Prober) -> None:
        self._view = view
        self._journal = journal
        self._prober = prober

    def probes(self) -> list[ProbeAnswers]:
        """The answers of all probes that are being asked."""
        return [
            ProbeAnswers(
                *split_slot(each.slot),
                each.uid,
                each.container,
                each.kind.value,
                _RESULTS[each.outcome],
                each.times,
            )
            for each in self._prober.answers()
        ]

    def manifests(self) -> list[dict[str, Any]]:
        """The verdicts over the manifest files."""
        return self._view.manifests()

    def oldest(self) -> int:
        """The seq of the oldest record that is kept."""
        headers = JournalReader(self._journal).headers()
        if not headers:
            raise JournalError(f"{self._journal}: no part of it has a readable head")
        return headers[0].first

    def follow(self, from_seq: int) -> AsyncIterator[Record]:
        """The records from there on, for ever."""
        return JournalReader(self._journal).follow(from_seq)

    def why(self, pod: str, question: Mapping[str, str]) -> list[Any]:
        """The chains of causes, as `minikubelet why` tells them."""
        asked = Question(
            pod=pod,
            action=question.get("action", ""),
            at=question.get("at", ""),
            every=question.get("all", "") in {"1", "true"},
        )
        try:
            return answers(open_journal(self._journal), asked)
        except ReplayError as problem:
            raise NoAnswerError(str(problem)) from None
