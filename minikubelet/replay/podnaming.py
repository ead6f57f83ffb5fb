"""How a person names a pod: `web`, `shop/web`, `web-node-a` or `shop/web-node-a`, and a container behind it.

Belongs here: finding what is meant, and saying what there is where nothing is. May not be here: reading
histories.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import NamedTuple

from minikubelet.replay.replayerrors import ReplayError

_SHOWN = 12


class Wanted(NamedTuple):
    """One reading of `[NAMESPACE/]POD[/CONTAINER]`; what is not said is empty."""

    namespace: str
    pod: str
    container: str


def readings(text: str) -> list[Wanted]:
    """What a name may mean, the likeliest first; raises ReplayError."""
    parts = text.split("/")
    if not all(parts) or len(parts) > len(Wanted._fields):
        raise ReplayError(f"{text!r} names no pod; write POD, NAMESPACE/POD or NAMESPACE/POD/CONTAINER")
    match parts:
        case [pod]:
            return [Wanted("", pod, "")]
        case [first, second]:
            return [Wanted(first, second, ""), Wanted("", first, second)]
        case _:
            return [Wanted(*parts)]


def fits(wanted: Wanted, slot: str, nodes: Iterable[str]) -> bool:
    """Whether a slot is one that may be meant; a static pod's name ends with its node's."""
    namespace, _, name = slot.partition("/")
    if wanted.namespace not in ("", namespace):
        return False
    return name == wanted.pod or any(name == f"{wanted.pod}-{node.lower()}" for node in nodes)


def resolve(text: str, slots: Iterable[str], nodes: Iterable[str]) -> tuple[str, str]:
    """The slot and the container that are meant (the latter may be empty); raises ReplayError."""
    known, nodes = sorted(slots), list(nodes)
    for wanted in readings(text):
        found = [slot for slot in known if fits(wanted, slot, nodes)]
        exact = [slot for slot in found if slot.partition("/")[2] == wanted.pod]
        if len(found) > 1 and len(exact) == 1:
            found = exact
        if len(found) > 1:
            raise ReplayError(f"{text!r} may be {' or '.join(found)}; name one with its namespace")
        if found:
            return found[0], wanted.container
    short = [_short(name, nodes) for name in known]
    raise ReplayError(f"no pod {text!r} occurs here; {suggestions(text, short, 'pods')}")


def _short(slot: str, nodes: Iterable[str]) -> str:
    """A static pod without its node's name, which a person need not write."""
    return next((slot[: -len(node) - 1] for node in nodes if slot.endswith(f"-{node.lower()}")), slot)


def suggestions(text: str, known: Iterable[str], what: str) -> str:
    """`did you mean a or b? There are: …`"""
    names = list(dict.fromkeys(known))
    if not names:
        return f"there are no {what} in it"
    tails = {name.rpartition("/")[2].lower(): name for name in names} | {name.lower(): name for name in names}
    close = [tails[match] for match in get_close_matches(text.lower(), tails, n=3, cutoff=0.5)]
    close += [name for name in names if text and text.lower() in name.lower()]
    guess = f"did you mean {' or '.join(list(dict.fromkeys(close))[:3])}? " if close else ""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{guess}{what} in it: {', '.join(names[:_SHOWN])}{more}"


def choose(text: str, known: Iterable[str], what: str) -> str:
    """The one of the known words that is meant, in any case; raises ReplayError."""
    names = list(known)
    for name in names:
        if name.lower() == text.lower():
            return name
    raise ReplayError(f"no {what} {text!r}; {suggestions(text, names, f'{what}s')}")
