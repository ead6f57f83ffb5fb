"""A folder that changes at a rate: a seeded mix of what people and tools do to manifests, on simulated pods.

Belongs here: the mix, keeping to the rate, and seeing that all came out right in the end. Of the mix, create,
edit and delete lead to commands; touch, rename, break and mend must not.
"""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from typing import Any

from bench._agentproc import AgentRun
from bench._apiproc import ApiProcess
from bench._apiwatch import version_of
from bench._podfiles import Change, Folder
from bench._results import Results, quantiles, say
from bench._stages import Journey, follow

WEIGHTS = {"create": 15, "edit": 40, "touch": 10, "rename": 10, "break": 6, "mend": 6, "delete": 13}
_BROKEN = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name":'
_TOLD_EVERY = 15.0
_QUIET = 1.0


class Mix:
    """What is in the folder, and the next change of it."""

    def __init__(self, folder: Folder, pods: int, seed: int) -> None:
        self.done: list[Change] = []
        self.counts: Counter[str] = Counter()
        self.generations: dict[str, int] = {}
        self._folder = folder
        self._most = pods
        self._chance = Random(seed)  # noqa: S311 - a script, no secret
        self._files: dict[str, str] = {}
        self._broken: dict[str, None] = {}
        self._made = 0

    def fill(self) -> None:
        """All pods, at once."""
        for _ in range(self._most):
            self._create()

    def turn(self) -> None:
        """One change."""
        what = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        if what == "create" and len(self._files) >= self._most:
            what = "delete"
        elif what == "delete" and len(self._files) < self._most * 0.9:
            what = "create"
        elif what == "mend" and not self._broken:
            what = "break"
        if what == "create":
            self._create()
            return
        whole = [name for name in self._files if name not in self._broken]
        if not whole:
            what = "mend"
        name = next(iter(self._broken)) if what == "mend" else self._chance.choice(whole)
        self.counts[what] += 1
        self._change(what, name)

    def _create(self) -> None:
        self._made += 1
        name = f"rate-{self._made:06}"
        self._files[name], self.generations[name] = f"{name}.yaml", 1
        self.counts["create"] += 1
        self._put("create", name)

    def _put(self, what: str, name: str) -> None:
        text = self._folder.text(name, self.generations[name])
        self.done.append(self._folder.put(what, name, text, file=self._files[name]))

    def _change(self, what: str, name: str) -> None:
        file = self._files[name]
        match what:
            case "edit":
                self.generations[name] += 1
                self._put("edit", name)
            case "touch":
                (self._folder.path / file).touch()
            case "rename":
                self._files[name] = f"{name}.yaml" if file != f"{name}.yaml" else f"{name}-renamed.yaml"
                (self._folder.path / file).rename(self._folder.path / self._files[name])
            case "break":
                self._broken[name] = None
                self._folder.put("break", name, _BROKEN, file=file)
            case "mend":
                del self._broken[name]
                self._folder.put("mend", name, self._folder.text(name, self.generations[name]), file=file)
            case _:
                del self._files[name], self.generations[name]
                self.done.append(self._folder.remove(name, file=file))


def sustain(pods: int, rate: float, seconds: float, seed: int, latency_ms: float) -> Results:
    """Fill a folder, let it settle, change it at that rate, and see that it comes out right.

    The API server is a process of its own, as any cluster's is.
    """
    endpoint = f"simulated://?seed={seed}&latency={latency_ms:g}ms"
    agent = AgentRun("simulated", pods=pods * 2, endpoint=endpoint)
    with ApiProcess() as api, agent.joined(api.kubeconfig):
        mix = Mix(Folder(agent.manifests, agent.base / "out", plain=True), pods, seed)
        say(f"filling the folder with {pods:,} pods …")
        mix.fill()
        agent.until(lambda: converged(agent, mix.generations, pause=0.5), "the folder's pods to run")
        agent.until(lambda: agent.ask("/status")["untold"] == 0, "the API server to be told")
        mix.done.clear()
        mix.counts.clear()
        before, size, served = agent.usage(), agent.journal_bytes(), api.usage()
        writes, began = version_of(api.kubeconfig), time.monotonic()
        _at_rate(mix, rate, seconds)
        wrote = time.monotonic() - began
        settled = _until_quiet(agent)
        after = agent.usage()
        agent.until(lambda: converged(agent, mix.generations, pause=0.2), "the folder's pods to run")
        made = sum(mix.counts.values())
        used = {
            "changes": made,
            "changes_per_s": round(made / wrote, 1),
            "settled_s": round(settled, 2),
            "cpu_s": round(after.cpu_s - before.cpu_s, 2),
            "cpu_ms_per_change": round((after.cpu_s - before.cpu_s) / made * 1000, 3),
            "rss_mib": round(after.rss_mib, 1),
            "journal_bytes": agent.journal_bytes() - size,
            "api_writes": version_of(api.kubeconfig) - writes,
            "api_server_cpu_s": round(api.usage().cpu_s - served.cpu_s, 2),
        }
        agent.stop()
        return _told(f"simulated {pods} pods {rate:g}/s", agent, mix, follow(agent.records()), used)


def _at_rate(mix: Mix, rate: float, seconds: float) -> None:
    """Changes at even distances; what comes late is made up for, so that the rate holds."""
    began = told = time.monotonic()
    for number in range(round(rate * seconds)):
        ahead = began + number / rate - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        mix.turn()
        if time.monotonic() - told > _TOLD_EVERY:
            told = time.monotonic()
            say(f"{number:,} changes made …")


def _until_quiet(agent: AgentRun) -> float:
    """Wait until nothing has been decided for a while; seconds until the last decision."""
    began = last = time.monotonic()
    seq = -1
    while time.monotonic() - last < _QUIET:
        time.sleep(0.1)
        now = (agent.ask("/status") or {}).get("seq", seq)
        if now != seq:
            seq, last = now, time.monotonic()
    return last - began


def converged(agent: AgentRun, wanted: dict[str, int], *, pause: float) -> bool:
    """Whether exactly these pods run, each in its generation."""
    time.sleep(pause)
    answer = agent.ask("/pods")
    running = {
        pod["metadata"]["name"]: pod["metadata"]["labels"]["generation"]
        for pod in (answer["items"] if answer else ())
        if pod.get("status", {}).get("phase") == "Running"
        and all(one.get("ready") for one in pod["status"].get("containerStatuses") or ())
    }
    return running == {f"{name}-{agent.node}": str(generation) for name, generation in wanted.items()}


def _told(name: str, agent: AgentRun, mix: Mix, journey: Journey, used: dict[str, Any]) -> Results:
    latest = {slot: course for (slot, _), course in journey.by_content.items()}
    commands: list[float] = []
    superseded = 0
    for change in mix.done:
        slot = f"default/{change.name}-{agent.node}"
        if change.what == "delete":
            course = latest.get(slot)
            at = course.stop if course is not None else 0.0
        else:
            course = journey.by_content.get((slot, change.content))
            at = course.decided if course is not None else 0.0
        if at >= change.at:
            commands.append(at - change.at)
        else:
            superseded += 1
    about = {"runtime": "simulated", "simulated": True, **dict(mix.counts), "superseded": superseded}
    return {f"{name}: written to command": {**about, **quantiles(commands, 5), **used}}
