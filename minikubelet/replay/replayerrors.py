"""What goes wrong while a history is read, and how a command ends then.

Belongs here: the error that a person reads, and turning errors into a line and an exit code. May not be
here: anything that reads a history.
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

from minikubelet.ports.journalport import JournalError
from minikubelet.wire.records import UnknownRecord

OK, NEGATIVE, UNUSABLE = 0, 1, 2
Handler = Callable[[argparse.Namespace], int]


class ReplayError(Exception):
    """A question that cannot be answered; the text says what is wrong, where, and what to do."""


def command(handler: Handler) -> Handler:
    """A handler whose expected errors become one line on stderr and exit code 2."""

    @functools.wraps(handler)
    def run(options: argparse.Namespace) -> int:
        try:
            code = handler(options)
            sys.stdout.flush()
        except BrokenPipeError:  # `| head` has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK
        except KeyboardInterrupt:
            return 130
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            return _complain(f"{where}{error.strerror or error}")
        except (ReplayError, JournalError, UnknownRecord) as error:
            return _complain(str(error))
        return code

    return run


def _complain(text: str) -> int:
    sys.stderr.write(f"minikubelet: {text}\n")
    return UNUSABLE


def write_text(path: Path, text: str) -> None:
    """Write a file that only its owner may read; raises ReplayError."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ReplayError(
            f"{path} cannot be written: {error.strerror}; name another file with the option"
        ) from None
