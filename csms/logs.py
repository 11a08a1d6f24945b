"""Logs: fixed lower-case events with fields, JSON a line, pretty in a terminal.

Control characters in what charge points send can't forge a line: JSON escapes them, and the pretty
form shows their repr.
"""

import logging
import sys
from typing import Any

import structlog
from structlog.contextvars import bind_contextvars as bind_contextvars
from structlog.contextvars import clear_contextvars as clear_contextvars

_SHARED: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
]


def _lead_with(_: Any, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """What people look for first stands first in the line."""
    lead = {key: event.pop(key) for key in ("ts", "level", "event") if key in event}
    return {**lead, **event}


def get_logger(name: str) -> Any:
    """A logger for a module: `log.info("charge point connected", remote_address=…)`."""
    return structlog.stdlib.get_logger(name)


def configure(level: str, form: str) -> None:
    """Set up logging for this process. form: `json`, `pretty`, `auto` (pretty in a terminal)."""
    pretty = form == "pretty" or (form == "auto" and sys.stderr.isatty())
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(sort_keys=False, repr_native_str=True)
        if pretty
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_SHARED,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    formatting: list[structlog.typing.Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta
    ]
    if not pretty:
        formatting += [structlog.processors.format_exc_info, _lead_with]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_SHARED, structlog.stdlib.ExtraAdder()],
            processors=[*formatting, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
