"""Logging: readable lines on a terminal, one JSON object a line elsewhere; the request's id in each."""

import logging
import sys
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime

import msgspec

from stepwire.settings import Settings

# What hides secrets in whatever is logged from here on, by whatever logger, in this task and those that it starts.
redaction: ContextVar[Callable[[str], str] | None] = ContextVar("redaction", default=None)


class _Console(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return _redacted(super().format(record))


class _Json(logging.Formatter):
    def __init__(self, context: Callable[[], str]) -> None:
        super().__init__()
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _redacted(record.getMessage()),
            "request_id": self._context(),
        }
        if record.exc_info:
            line["exception"] = _redacted(self.formatException(record.exc_info))
        return msgspec.json.encode(line).decode()


def _redacted(text: str) -> str:
    redact = redaction.get()
    return text if redact is None else redact(text)


def configure_logging(settings: Settings, context: Callable[[], str] = lambda: "-") -> None:
    """Set the process's logging up; ``context`` says the id of the request that is being served."""
    handler = logging.StreamHandler(sys.stderr)
    console = _Console("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    handler.setFormatter(_Json(context) if settings.log_format == "json" else console)
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    logging.getLogger("saq").setLevel(logging.ERROR)  # it warns at every stop that it was waiting for work
    for noisy in ("httpx", "httpcore", "uvicorn.access", "uvicorn.error", "alembic", "asyncio"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, logging.getLogger().level))
