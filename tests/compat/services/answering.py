"""Do what a test asks, one line of JSON after the other: shared by nova_process.py and cinder_process.py beside this file.

A request has `method`, `arguments`, the caller's `context`, and `files`: names of arguments that are files to open, and how. The
answer is `{"result": ...}`, or `{"raised": class, "said": words}`.
"""

import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any


def answer_all(api: Any, context_of: Callable[[Mapping[str, Any]], Any]) -> None:
    """Answer requests until standard input ends. Logs go to standard error."""
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        request = json.loads(line)
        out.write(json.dumps(_answer(api, context_of(request["context"]), request), default=str) + "\n")
        out.flush()


def _answer(api: Any, context: Any, request: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        with ExitStack() as stack:
            files = {name: stack.enter_context(Path(path).open(mode)) for name, (path, mode) in request["files"].items()}
            return {"result": _plain(getattr(api, request["method"])(context, **request["arguments"], **files))}
    except Exception as error:  # noqa: BLE001 - whatever a service raises is the answer
        return {"raised": type(error).__name__, "said": str(error)}


def _plain(value: Any) -> Any:
    """Make dictionaries and lists of glanceclient's objects."""
    if isinstance(value, Mapping):
        return dict(value)
    inner = getattr(value, "wrapped", value)
    if inspect.isgenerator(inner):  # the client's wrapper hands out objects, what it wraps hands out pairs
        return [_plain(each) for each in _each_next(value)]
    return [_plain(each) for each in inner] if isinstance(inner, tuple | list) else inner


def _each_next(value: Any) -> Iterator[Any]:
    while True:
        try:
            yield next(value)
        except StopIteration:
            return
