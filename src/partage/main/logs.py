"""What the service writes to its standard error stream: one line an event, as text or as JSON."""

import json
import logging
from datetime import UTC, datetime

from partage.main.config import LogSettings

_USUAL = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


def configure(settings: LogSettings) -> None:
    """Send every logger's records of this process to standard error; uvicorn's chatter and libraries' from warnings upwards."""
    handler = logging.StreamHandler()
    handler.setFormatter(JSONLines() if settings.format == "json" else TextLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("partage").setLevel(settings.level.upper())
    # It warns of odd headers by naming the URL, which may hold a signature that lets anybody in.
    logging.getLogger("urllib3.connection").setLevel(logging.ERROR)


class TextLines(logging.Formatter):
    """Time, level, name, words, and whatever else the record carries as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Make one line, and lines of a traceback below it when there is one."""
        extra = "".join(f" {key}={value}" for key, value in _extra(record).items())
        line = f"{_time(record)} {record.levelname.lower()} {record.name}: {record.getMessage()}{extra}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JSONLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Make one line."""
        document: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        document |= _extra(record)
        if record.exc_info:
            document["traceback"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _USUAL}
