"""What a simulated program does, as the words of its command say.

Belongs here: the words and their meaning. May not be here: when it happens.
"""

from __future__ import annotations

import msgspec

KILLED = 137
NOT_EXECUTABLE = 126


class Script(msgspec.Struct, frozen=True):
    """What a simulated program does; `seconds` None: it runs until it is stopped.

    Words of a command, one after the other: `sleep S`, `exit N`, `oom`, `when PATH` (ends once the file
    is there), `term S` (takes that long to heed SIGTERM), `ignore-term`, `missing` (cannot be started),
    `says TEXT` (its termination message), `logs TEXT` (its last line of log). A command that begins otherwise
    runs until it is stopped.
    """

    seconds: float | None = None
    code: int = 0
    reason: str = ""
    when: str = ""
    term: float | None = 0.0
    missing: bool = False
    says: str = ""
    logs: str = ""


def read_script(command: tuple[str, ...]) -> Script:
    """The script in a command's words."""
    fields: dict[str, object] = {}
    words = list(command)
    while words:
        match words:
            case ["sleep", seconds, *words] if _is_number(seconds):
                fields |= {"seconds": float(seconds)}
            case ["exit", code, *words] if code.isdecimal():
                fields = {"seconds": 0.0, **fields, "code": int(code)}
            case ["oom", *words]:
                fields = {"seconds": 0.0, **fields, "code": KILLED, "reason": "OOMKilled"}
            case ["when", path, *words]:
                fields |= {"when": path}
            case ["term", seconds, *words] if _is_number(seconds):
                fields |= {"term": float(seconds)}
            case ["ignore-term", *words]:
                fields |= {"term": None}
            case ["missing", *words]:
                fields |= {"missing": True}
            case ["says" | "logs" as stream, text, *words]:
                fields |= {stream: text}
            case _:
                break
    return msgspec.convert(fields, Script)


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal()
