"""Logging of the agent: structured lines on standard error.

Belongs here: levels and form. May not be here: what is said.
"""

from __future__ import annotations

import logging
import sys

import structlog

DEBUG_FROM = 4
"""upstream's -v from which on everything is said"""


def configure_logging(verbosity: int) -> None:
    """One line an event on standard error, coloured on a terminal."""
    level = logging.DEBUG if verbosity >= DEBUG_FROM else logging.INFO
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
