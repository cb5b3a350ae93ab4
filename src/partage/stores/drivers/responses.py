"""What the drivers of object stores check in responses: the range that was sent, the time of a body, who created an object."""

import time
from collections.abc import Callable, Iterable

from partage import problems
from partage.stores.drivers.attempts import TemporaryError

SETTLE_SECONDS = 2.0
"""Swift's object server looks for an object before it receives the new one, and not again: two creations at once may both succeed,
and the newer one stays. This is longer than a small object takes there."""

PIECE_BYTES = 1 << 18
_BODY_READS = 4


def check_range(content_range: str, key: str, start: int, stop: int) -> None:
    """Check the Content-Range of a response to a request for the bytes [start, stop).

    Raises:
        ContentCorrupt: the object is shorter.
        TemporaryError: the server sent something else.
    """
    size = content_range.rpartition("/")[2]
    if size.isascii() and size.isdigit() and int(size) < stop:
        raise too_short(key, stop)
    if content_range != f"bytes {start}-{stop - 1}/{size}":
        raise TemporaryError("the server sent another range of the object")


def read_body(pieces: Iterable[bytes], length: int, read_seconds: float) -> bytes:
    """Join a body of `length` bytes, in a bounded time: a server that sends little now and then would keep a thread for ever.

    Raises:
        TemporaryError: it has another length, or took four times `read_seconds`.
    """
    ends_at = time.monotonic() + read_seconds * _BODY_READS
    found: list[bytes] = []
    for piece in pieces:
        found.append(piece)
        if time.monotonic() > ends_at:
            raise TemporaryError("the server sends too slowly")
    body = b"".join(found)
    if len(body) != length:
        raise TemporaryError("the server sent too few bytes")
    return body


def create_once(create: Callable[[], bool], is_mine: Callable[[], bool], settle_seconds: float) -> bool:
    """Create an object if it is absent; return whether this call did.

    `create` sends the request and returns False if the object exists; `is_mine` says whether the object has the mark of this call,
    which answers for a retry whose first response was lost, and for creations at the same time that both succeeded.

    Raises:
        StoreUnavailable: the server ignores the condition. It is found out by creating the object again, which has to fail.
    """
    if create():
        time.sleep(settle_seconds)
        if is_mine() and create():
            raise problems.StoreUnavailable(
                "The store's server ignores 'If-None-Match: *', so that two services could take the same store; use a server with "
                "conditional writes"
            )
    return is_mine()


def absent(key: str) -> problems.ContentCorrupt:
    """Return the problem of an object that should be there."""
    return problems.ContentCorrupt(f"The store should hold {key} and does not; restore it from a backup")


def too_short(key: str, stop: int) -> problems.ContentCorrupt:
    """Return the problem of an object that ends before `stop`."""
    return problems.ContentCorrupt(f"The store should hold {stop} bytes of {key} and has fewer; restore it from a backup")
