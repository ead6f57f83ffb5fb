"""Variables from files that an earlier container wrote into a volume (fileKeyRef).

Belongs here: the format, a strict subset of a shell's (kubernetes.io/docs/tasks/inject-data-application/
define-environment-variable-via-file), and reading such a file out of a volume that cannot be trusted. May not
be here: which variable gets which value.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from minikubelet.model.pod import Container, FileKeySelector
from minikubelet.ports.runtimeport import RuntimeFault
from minikubelet.shell.environment import EnvFiles
from minikubelet.shell.volsubpath import SubPathFault, open_existing

MOST_BYTES: Final = 1 << 20
# Possessive throughout: a container that writes a hostile file must not make a search quadratic.
_LINE: Final = re.compile(
    r"[ \t]*+(?:#[^\n]*+|(?P<name>[^\s=#'][^\s=']*+)[ \t]*+=[ \t]*+'(?P<value>[^']*+)'[ \t]*+)?(?:\r?\n|\Z)"
)


def read_env_files(container: Container, roots: Mapping[str, Path]) -> EnvFiles:
    """What the files that a container's variables refer to hold, by volume and path; raises RuntimeFault.

    `roots` is where the pod's volumes lie. A file that is missing and optional is not there.
    """
    found: dict[tuple[str, str], Mapping[str, str]] = {}
    for variable in container.env:
        ref = variable.value_from.file_key_ref if variable.value_from is not None else None
        if ref is None or (ref.volume_name, ref.path) in found:
            continue
        root = roots.get(ref.volume_name)
        if root is None:
            raise _fault(f'cannot find the volume "{ref.volume_name}" referenced by FileKeyRef')
        held = _read(root, ref)
        if held is not None:
            found[ref.volume_name, ref.path] = held
    return found


def _read(root: Path, ref: FileKeySelector) -> Mapping[str, str] | None:
    where = f"{ref.path} of volume {ref.volume_name}"
    try:
        return parse_env_file(_content(root, ref.path))
    except FileNotFoundError as error:
        if ref.optional:
            return None
        raise _fault(f"couldn't parse env file: {where}: it does not exist") from error
    except OSError as error:
        raise _fault(f"couldn't parse env file: {where}: {error.strerror}") from error
    except (ValueError, SubPathFault) as error:
        raise _fault(f"couldn't parse env file: {where}: {error}") from error


def _content(root: Path, path: str) -> str:
    """The text of a file in the volume: no symlink leads out, and nothing but a file is opened."""
    descriptor = open_existing(root, path)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        with Path(f"/proc/self/fd/{descriptor}").open("rb") as file:
            body = file.read(MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(body) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
    return body.decode()  # UnicodeDecodeError is a ValueError


def parse_env_file(text: str) -> dict[str, str]:
    """The variables of a file; ValueError with the number of a line that is none. No value is ever quoted."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _LINE.match(text, at)
        if match is None:
            number = text.count("\n", 0, at) + 1
            raise ValueError(f"line {number} is not of the form VAR='value'")
        if match["name"] is not None:
            found[match["name"]] = match["value"]
        at = match.end()
    return found


def _fault(message: str) -> RuntimeFault:
    return RuntimeFault("CreateContainerConfigError", message)
