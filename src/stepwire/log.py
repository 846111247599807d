"""Logging: readable lines on a terminal, one JSON object a line elsewhere; the request's id in each."""

import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

import msgspec

from stepwire.settings import Settings

# What hides secrets in whatever is logged from here on, by whatever logger, in this task and those that it starts.
redaction: ContextVar[Callable[[str], str] | None] = ContextVar("redaction", default=None)


class _Handler(logging.StreamHandler[TextIO]):
    def format(self, record: logging.LogRecord) -> str:
        redact = redaction.get()
        line = super().format(record)
        return line if redact is None else redact(line)


class _Json(logging.Formatter):
    def __init__(self, context: Callable[[], str]) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": self._context(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line).decode()


def configure_logging(settings: Settings, context: Callable[[], str] = lambda: "-") -> None:
    """Set the process's logging up; ``context`` says the id of the request that is being served."""
    handler = _Handler(sys.stderr)
    console = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(_Json(context) if settings.log_format == "json" else console)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.getLogger("saq").setLevel(logging.ERROR)  # it warns at every stop that it was waiting for work
    for noisy in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error", "alembic", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
