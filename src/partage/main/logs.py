"""The log on standard error: one line for each event, as text or as JSON.

Records contain text from clients and remote servers. Control characters are escaped against log injection: a terminal obeys some
of them, and a line break would let a client write lines that look like the service's own.
"""

import json
import logging
import os
import re
import signal
import sys
import threading
from datetime import UTC, datetime

import orjson

from partage.main.configuration.sections import LogSettings

_LOG = logging.getLogger(__name__)

_AGAIN_SECONDS = 0.05
_MARGIN = "    "
"""Indents the lines of a traceback, so that no message in it can start a line."""
_CONTROL_CHARACTERS = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\xad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ud800-\\udfff\\ufeff\\ufff9-\\ufffb"
    "\\U000e0000-\\U000e007f]"
)
_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


def configure(settings: LogSettings) -> None:
    """Write the log of this process to standard error: Partage's from the configured level, libraries' from warnings upwards.

    Python's warnings, and exceptions that nothing catches, become lines of the log, too.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(JSONLines() if settings.format == "json" else TextLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("partage").setLevel(settings.level.upper())
    # SQLAlchemy logs a pool under the module of its class, and says at every close that the pool was disposed of.
    logging.getLogger("partage.records.pool").setLevel(logging.WARNING)
    # Its warnings of malformed headers contain the URL, which may include a signature that grants access.
    logging.getLogger("urllib3.connection").setLevel(logging.ERROR)
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda kind, error, traceback: _LOG.critical("uncaught exception", exc_info=(kind, error, traceback))
    sys.unraisablehook = _log_in_finalizer
    threading.excepthook = _log_end_of_thread


def _log_in_finalizer(failed: "sys.UnraisableHookArgs") -> None:
    """Log an exception that a finalizer could not raise. A Ctrl-C that came within one is sent again: it would be lost."""
    if isinstance(failed.exc_value, KeyboardInterrupt):
        threading.Timer(_AGAIN_SECONDS, os.kill, (os.getpid(), signal.SIGINT)).start()
        return
    _LOG.error("uncaught exception in a finalizer", exc_info=failed.exc_value)


def print_failure(sentence: str) -> None:
    """Say on standard error why the program, or a process of it, ends: in a line of the log if that is JSON, else in a sentence."""
    if _is_json():
        _LOG.critical(sentence)
    else:
        print(f"partage: {sentence}", file=sys.stderr)


def print_greeting(words: str, **fields: str) -> None:
    """Tell the person at the terminal how far a start is; if the log is JSON, in a line of it, with `fields` for other lines."""
    if _is_json():
        _LOG.info(words.partition("\n")[0], extra=fields)
    else:
        print(words, flush=True)


class TextLines(logging.Formatter):
    """Time, level, name, words, and whatever else the record carries as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        """Make one line, and lines of a traceback below it when there is one."""
        extra = "".join(f" {key}={_quote(value)}" for key, value in _list_extra_fields(record).items())
        line = escape(f"{_format_time(record)} {record.levelname.lower()} {record.name}: {record.getMessage()}{extra}")
        below = _format_traceback(self, record)
        return "\n".join([line, *(f"{_MARGIN}{escape(each)}" for each in below)])


class JSONLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Make one line."""
        document: dict[str, object] = {
            "time": _format_time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        document |= _list_extra_fields(record)
        below = _format_traceback(self, record)
        if below:
            document["traceback"] = "\n".join(below)
        line = _write_json(document)
        # JSON escapes most control characters; the others would still reach a terminal.
        return line if line.isprintable() else _CONTROL_CHARACTERS.sub(lambda found: json.dumps(found[0])[1:-1], line)


def escape(text: str) -> str:
    r"""Write control characters, line breaks, and characters that change the direction of text as \x1b or \u202e.

    Source: Unicode's categories Cc, Cs, Zl and Zp, and of Cf what changes the direction of text or is invisible.
    """
    return text if text.isprintable() else _CONTROL_CHARACTERS.sub(lambda found: ascii(found[0])[1:-1], text)


def _is_json() -> bool:
    return any(isinstance(each.formatter, JSONLines) for each in logging.getLogger().handlers)


def _quote(value: object) -> str:
    """Write a value so that the next field of the line begins where it ends."""
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or '"' in text else text


def _write_json(document: dict[str, object]) -> str:
    try:
        return orjson.dumps(document, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # a lone surrogate, or a number of more than 64 bits
        return json.dumps(document, default=str, ensure_ascii=False)


def _log_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    name = ended.thread.name if ended.thread is not None else "a thread"
    _LOG.critical("%s ended by an uncaught exception", name, exc_info=ended.exc_value)


def _format_traceback(formatter: logging.Formatter, record: logging.LogRecord) -> list[str]:
    """Return the lines of a traceback and of a stack, if the record has them. Only line feeds separate lines here."""
    parts = [formatter.formatException(record.exc_info)] if record.exc_info and record.exc_info[0] else []
    parts += [record.exc_text] if record.exc_text and not parts else []
    parts += [record.stack_info] if record.stack_info else []
    return [line for part in parts for line in part.split("\n")]


def _format_time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _list_extra_fields(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}
