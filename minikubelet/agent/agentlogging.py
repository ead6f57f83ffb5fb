"""Logging of the agent: structured lines on standard error, or JSON on standard output.

Belongs here: levels and form, and that a line which cannot be written is lost and nothing else is: a full
disk behind standard error, or a reader that has gone, must not end the agent. May not be here: what is said.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO, cast

import structlog

from minikubelet.model.settings import LogFormat, LoggingSettings

DEBUG_FROM = 4
"""upstream's -v from which on everything is said"""


def unfailing(stream: TextIO) -> TextIO:
    """The stream, but what cannot be written to it is lost."""
    return cast("TextIO", _Unfailing(stream))


class _Unfailing:
    """What `print` and structlog need of a text stream."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write what can be written."""
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Hand over what has been written."""
        with contextlib.suppress(OSError):
            self._stream.flush()


def _printable(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Spell what a terminal would obey: values may hold what a container has said."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = "".join(c if c.isprintable() or c in "\n\t" else f"\\x{ord(c):02x}" for c in value)
    return event


def configure_logging(settings: LoggingSettings) -> None:
    """One line an event: `text` on standard error, coloured on a terminal, or `json` on standard output."""
    level = logging.DEBUG if settings.verbosity >= DEBUG_FROM else logging.INFO
    structured = settings.format == LogFormat.JSON
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.EventRenamer("msg"), structlog.processors.JSONRenderer(default=str)]
        if structured
        else [_printable, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts" if structured else "timestamp"),
            structlog.processors.format_exc_info,
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=unfailing(sys.stdout if structured else sys.stderr)),
        cache_logger_on_first_use=True,
    )
