"""Secrets by their place in a command line: `curl -u name:secret`, `mysql -psecret`, `helm login -p secret`.

Belongs here: which programs take secrets behind which of their flags. May not be here: secrets that show by
their name or their form wherever they stand (`redaction`). What a shell or Kubernetes is to put in, as
`$PASSWORD` and `$(PASSWORD)`, is no secret and stays, and so does a flag's value where another program is
meant: a port, a path, a user's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

Redact = Callable[[str], str]

TELLING_NAME: Final = (
    r"[\w.-]{0,64}(?:pass(?:word|wd|phrase)?|token|secret|(?:api|access|private)[-_]?key|credentials?"
    r"|authorization|\w_pwd)[\w.-]{0,64}"
)
"""what a variable, a flag or a field is called that holds a secret"""


class _Tool(NamedTuple):
    """Programs, and the flags whose value is secret: in a word of its own, or at once behind the flag."""

    programs: re.Pattern[str]
    apart: tuple[str, ...] = ()
    glued: tuple[str, ...] = ()


_TOOLS: Final = tuple(
    _Tool(re.compile(programs, re.IGNORECASE), apart, glued)
    for programs, apart, glued in (
        (r"(?:mysql|mariadb)[\w-]*", (), ("-p",)),  # with a space, -p asks and what follows is a database
        (r"mongo(?:sh|dump|restore|export|import|stat|top)?", ("-p",), ("-p",)),
        (r"redis-(?:cli|benchmark)|valkey-cli|keydb-cli", ("-a",), ()),
        (r"sshpass", ("-p",), ("-p",)),
        (r"ldap(?:search|modify|add|delete|whoami|compare|passwd|modrdn)", ("-w",), ("-w",)),
        (r"mosquitto_(?:pub|sub|rr)|sqlcmd|bcp|zip|unzip", ("-P",), ("-P",)),
        (r"rabbitmqadmin", ("-p",), ()),
        (r"7z[ar]?", (), ("-p",)),
    )
)
_LOGIN: Final = _Tool(
    re.compile(r"(?:docker|podman|nerdctl|buildah|skopeo|crane|oras|helm|regctl|az|oc|cf)(?:\.exe)?"),
    ("-p",),
    ("-p",),
)
_FLAG = re.compile(rf"--?{TELLING_NAME}", re.IGNORECASE)
_REFERS = re.compile(r".*[-_](?:file|path|dir|name|ref|stdin|ttl|url|env)s?", re.IGNORECASE)
"""flags that say where a secret is to be found, or something else about it"""
_CURL: Final = re.compile(r"curl|wget|https?|xh|ab|hey", re.IGNORECASE)
_NAMED: Final = ("-u", "-U", "--user", "--proxy-user")
_GLUED_NAMED: Final = ("--user=", "--proxy-user=")
_PAIR = re.compile(r"(?P<name>['\"]?[^:\s'\"]{1,256}:)(?P<value>.+?)(?P<end>['\"]?)", re.DOTALL)
_PERCENT = re.compile(r"(?P<name>['\"]?[^%\s'\"]{1,256}%)(?P<value>.+?)(?P<end>['\"]?)", re.DOTALL)
_WHOLE = re.compile(r"(?P<name>['\"]?)(?P<value>.+?)(?P<end>['\"]?)", re.DOTALL)
_QUOTED = re.compile(r"(?P<open>[^'\"]*['\"])(?P<inner>.*)(?P<end>['\"][^'\"]*)", re.DOTALL)
# Lengths are bounded so that no hostile argument makes a search quadratic.
_WORDS = re.compile(r"(?:'[^']{0,4096}'|\"[^\"]{0,4096}\"|[^\s;&|()`'\"])+|[;&|()`\n'\"]")
_NO_SECRETS: Final = ("$", "[redacted]")
"""how words begin that name a secret that is to be put in, or was taken out already"""
_ENDS: Final = frozenset(";&|()`\n")
_DEEPEST: Final = 3
"""quotes within quotes that are looked into"""


class CommandLine:
    """Reads a command line word by word; `word` gives each back without what is secret in it."""

    def __init__(self, redact: Redact, depth: int = 0) -> None:
        self._redact = redact
        self._depth = depth
        self._begin()

    def _begin(self) -> None:
        self._tool: _Tool | None = None
        self._may_log_in = False
        self._strict = True
        self._next: Callable[[str], str] | None = None

    def awaits(self, word: str) -> bool:
        """Whether the next word, if it is this one, is the value of a flag before it."""
        return self._next is not None and not word.startswith("-")

    def word(self, word: str) -> str:
        """The next word; one that ends a command makes what follows another."""
        if word in _ENDS:
            self._begin()
            return word
        following, self._next = self._next, None
        bare = word.strip("'\"")
        if following is not None and not bare.startswith("-"):
            return following(word)
        quoted = _QUOTED.fullmatch(word) if any(map(str.isspace, word)) else None
        if quoted is not None and self._depth < _DEEPEST:
            inner = hide_in_text(quoted["inner"], self._redact, self._depth + 1)
            return quoted["open"] + inner + quoted["end"]
        self._program(bare)
        return self._flag(word, bare)

    def _program(self, bare: str) -> None:
        name = bare.rpartition("/")[2]
        if bare == "login" and self._may_log_in:
            self._tool = _LOGIN
        elif _LOGIN.programs.fullmatch(name):
            self._may_log_in = True
        elif _CURL.fullmatch(name):
            self._strict = False
        else:
            self._tool = next((tool for tool in _TOOLS if tool.programs.fullmatch(name)), self._tool)

    def _flag(self, word: str, bare: str) -> str:
        if self._tool is not None:
            if bare in self._tool.apart:
                self._next, self._tool = self._whole, None
                return word
            for flag in self._tool.glued:
                if word.startswith(flag) and len(word) > len(flag):
                    self._tool = None
                    return flag + self._whole(word[len(flag) :])
        if _FLAG.fullmatch(bare) and not _REFERS.fullmatch(bare):
            self._next = self._whole
        if bare in _NAMED:
            self._next = self._named
        for flag in _GLUED_NAMED:
            if word.startswith(flag):
                return flag + self._named(word[len(flag) :])
        if not self._strict and word.startswith("-u") and ":" in word:
            return "-u" + self._named(word[2:])
        return word

    def _whole(self, word: str) -> str:
        found = _WHOLE.fullmatch(word)
        if found is None or found["value"].startswith(_NO_SECRETS):
            return word
        return found["name"] + self._redact(found["value"]) + found["end"]

    def _named(self, word: str) -> str:
        """`name:secret`; a port, ids of user and group, or an address are none, where it is not for curl.

        Nor is a format of `date -u`, which begins with a plus.
        """
        if self._strict and word.lstrip("'\"").startswith("+"):
            return word
        for form in (_PAIR, _PERCENT):
            found = form.fullmatch(word)
            if found is None or found["value"].startswith(("//", *_NO_SECRETS)):
                continue
            if self._strict and form is _PAIR and found["value"].isdigit():
                continue
            return found["name"] + self._redact(found["value"]) + found["end"]
        return word


def hide_in_text(text: str, redact: Redact, depth: int = 0) -> str:
    """A shell's command line, or a message that quotes one; `depth` is that of the quotes around it."""
    line = CommandLine(redact, depth)
    return _WORDS.sub(lambda match: line.word(match[0]), text)
