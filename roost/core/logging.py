"""Logs: one JSON object a line on stderr, with the request's id and without any token."""

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

from roost.core.clock import rfc3339
from roost.core.ids import redact

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
client_address: ContextVar[str | None] = ContextVar("client_address", default=None)

# What every record carries anyway; everything else came in by `extra=` and is written out.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class JsonFormatter(logging.Formatter):
    """A log record as one line: `time, level, logger, message, request_id` and whatever `extra` brought."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        current = request_id.get()
        if current is not None:
            line["request_id"] = current
        line.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return redact(json.dumps(line, ensure_ascii=False, default=str))


def configure(level: str) -> None:
    """Send all loggers of the process to stderr as JSON lines, from `level` upwards."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    # Lines of the libraries that say nothing to whoever runs a hub.
    for name in ("aiosqlite", "asyncio", "alembic", "sqlalchemy.pool"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
