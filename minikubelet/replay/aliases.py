"""Aliases: a name for every name that could tell whose cluster a history is from, the same one every time.

Belongs here: which word becomes which. May not be here: where words stand (`anonymise`).
"""

from __future__ import annotations

import re
from collections import defaultdict

_KEPT = frozenset(
    {"", "default", "kube-system", "kube-public", "kube-node-lease", "sandbox", "cleanup", "file", "api"}
)
_PREFIX = re.compile(r"^(?P<scheme>[a-z]+://|sandbox:|remove:|create:|delete:)(?P<rest>.*)$", re.DOTALL)
_LOOKS_LIKE_A_NAME = re.compile(
    r"""
      "[^"]*" | '[^']*' | `[^`]*`                            # whatever is quoted
    | [A-Za-z][A-Za-z0-9+.-]*://\S+                          # addresses of things
    | [^\s"'(),;=]*[/@\\][^\s"'(),;]*                        # paths, images, mail
    | (?<![\w.])\[?(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F.]*\]?(?::\d+)?   # IPv6
    | [\w-]+(?:\.[\w-]+)+(?::\d+)?                           # hosts, IPv4, files, fields
    | [\w-]+:\d+                                             # host:port
    | \b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b                        # ids
    | \b[a-z0-9]+(?:[-_][a-z0-9]+)+\b                        # words-with-dashes
    """,
    re.VERBOSE,
)
_PIECES = re.compile(r"([^A-Za-z0-9]+)")
_LONGEST = 31
"""words and what stands between them, in the longest name that is looked for in a text"""
_VAGUE = ("text", "label")
_TELLING = 4
"""characters from which on a word of no certain kind is looked for in texts"""
_UNTOUCHED = re.compile(r"^(?:back-off|\d+(?:\.\d+)?(?:ms|s|m|h)?)$", re.IGNORECASE)


class Aliases:
    """Gives aliases out, numbered in the order of first mention; kind and text of a thing decide."""

    def __init__(self, nodes: list[str]) -> None:
        self.known: dict[str, str] = {}
        self._by_kind: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._texts: dict[str, str] = {}
        for node in nodes:
            self.node(node)

    def of(self, kind: str, text: str) -> str:
        """The alias of a thing of that kind."""
        if text in _KEPT:
            return text
        names = self._by_kind[kind]
        if text not in names:
            names[text] = f"{kind}-{len(names) + 1}"
            if kind == "container":  # statuses name containers, and are made anew with their aliases
                self.known[text] = names[text]
            elif kind not in _VAGUE or len(text) >= _TELLING:
                self.known.setdefault(text, names[text])
        return names[text]

    def node(self, text: str) -> str:
        """The alias of a node."""
        return self.of("node", text)

    def pod(self, text: str) -> str:
        """The alias of a pod's name; that of a static pod still ends with its node's."""
        for node, alias in self._by_kind["node"].items():
            if text.endswith(f"-{node.lower()}") and len(text) > len(node) + 1:
                whole = f"{self.of('pod', text[: -len(node) - 1])}-{alias}"
                self.known.setdefault(text, whole)
                return whole
        return self.of("pod", text)

    def slot(self, text: str) -> str:
        """The alias of `namespace/name`."""
        namespace, name = split_slot_text(text)
        return f"{self.of('ns', namespace)}/{self.pod(name)}"

    def image(self, text: str) -> str:
        """The alias of an image; its registry and its repository get one too, for texts that name them."""
        host, slash, repository = text.partition("/")
        if slash and (":" in host or "." in host):
            self.of("registry", host)
            self.of("registry", host.partition(":")[0])
        else:
            repository = text
        path = repository.partition("@")[0].partition(":")[0]
        self.of("repository", path)
        return self.of("image", text)

    def identity(self, text: str) -> str:
        """The alias of an id or a hash, whatever stands before it (`docker://`, `remove:`)."""
        found = _PREFIX.match(text)
        if found is not None:
            return found["scheme"] + self.identity(found["rest"])
        return self.of("id", text)

    def address(self, text: str) -> str:
        """An address of a range that is set aside for documentation."""
        if text and text not in self._by_kind["address"]:
            number = len(self._by_kind["address"])
            alias = (
                f"2001:db8::{number + 1:x}" if ":" in text else f"198.18.{number // 250}.{number % 250 + 1}"
            )
            self._by_kind["address"][text] = self.known[text] = alias
        return self._by_kind["address"].get(text, text)

    def text(self, text: str) -> str:
        """A free text with known names replaced, and whatever looks like a name."""
        if text not in self._texts:
            self._texts[text] = self._rewritten(text)
        return self._texts[text]

    def _rewritten(self, text: str) -> str:
        pieces = _PIECES.split(text)
        done: list[str] = []
        unknown: list[str] = []
        at = 0
        while at < len(pieces):
            for end in range(min(len(pieces), at + _LONGEST), at, -1):
                alias = self.known.get("".join(pieces[at:end])) if at % 2 == 0 else None
                if alias is not None:
                    done += [self._unknown("".join(unknown)), alias]
                    unknown, at = [], end
                    break
            else:
                unknown.append(pieces[at])
                at += 1
        return "".join([*done, self._unknown("".join(unknown))])

    def _unknown(self, text: str) -> str:
        return _LOOKS_LIKE_A_NAME.sub(lambda match: self._word(match[0]), text)

    def _word(self, word: str) -> str:
        return (
            word
            if _UNTOUCHED.match(word)
            else self._by_kind["word"].setdefault(word, f"word-{len(self._by_kind['word']) + 1}")
        )


def split_slot_text(text: str) -> tuple[str, str]:
    """Namespace and name of a slot given as plain text."""
    namespace, _, name = text.partition("/")
    return namespace, name
