"""Every reader of something that a client writes: its time grows as the text does, however the worst text is put together.

T-90 of docs/security.md. The same over the wire, with everything behind it, is in tests/api/test_malformed_requests.py.
"""

import contextlib
import gc
import time
from collections.abc import Callable

import pytest

from partage import problems
from partage.http import json_documents, media_types, query_strings
from partage.http.errors import FailedRequest
from partage.http.partage import upload_headers
from partage.http.server import conditions
from partage.http.v2 import discovery, errors, query

KIB64 = 1 << 16
"""No head of a request is longer."""

PIECES = [
    "a", " ", ",", ";", "=", '"', "\\", "/", "-", "0", "9", ".", ":", "[", "]", "%", "&", "+", "*", "~", "~1", "W/", 'W/"x",',
    "a,", " ,", "a/b;", ";q=", ";q=0.1", "q=1;", "*/*,", "text/html,", "bytes=", "0-1,", "1-", "-", "--", "a=b&", "%41", "%ff",
    "in:",    '"a",', '\\"', "a=in:x&", "tag=x&", "\xff", "gt:", "name:asc,", "req-", "gAAAAA",
    ";a=  ", " ;a", ";a=1",
]  # fmt: skip
BEGINNINGS = ["", "bytes=", "in:", "?0"]
ENDINGS = ["", "!", ","]
HOSTILE = [(first, piece, end) for piece in PIECES for first in BEGINNINGS for end in ENDINGS]


PARAMETERS = (
    "name",
    "tag",
    "sort",
    "sort_key",
    "limit",
    "marker",
    "created_at",
    "size_min",
    "visibility",
    "member_status",
    "colour",
)
"""Each is read in a way of its own."""


def asked(accept: str) -> FailedRequest:
    return FailedRequest(method="GET", accept=accept, content_type=accept, www_authenticate_uri="")


def parsed(name: str, text: str) -> object:
    return query.parse([(name, text)], page_default=25, page_max=1000)


READERS: dict[str, Callable[[str], object]] = {
    "Accept": media_types.choose_form,
    "the words of an error": lambda text: errors.reply_to(problems.MediaTypeUnsupported(text), asked(text)),
    "Range": lambda text: conditions.parse_range(text, 1 << 40),
    "If-None-Match": lambda text: conditions.matches_etag(text, b'"x"'),
    "If-Range": lambda text: conditions.range_applies(text, b'"x"'),
    "version": lambda text: discovery.is_version(text, with_cache=True),
    "query": lambda text: query_strings.decode(text.encode("latin-1")),
    "Upload-Complete": upload_headers.parse_boolean,
    "Upload-Offset": upload_headers.parse_integer,
    **{name: lambda text, name=name: parsed(name, text) for name in PARAMETERS},  # type: ignore[misc]
    "document": lambda text: json_documents.parse(text.encode("latin-1")),
}


def text_of(length: int, first: str, piece: str, end: str) -> str:
    return (first + piece * length)[: length - len(end)] + end


def seconds_of(reader: Callable[[str], object], text: str) -> float:
    gc.disable()  # it goes through all that the whole process holds, when enough has been made
    try:
        begun = time.thread_time()
        with contextlib.suppress(problems.Problem):
            reader(text)
        return time.thread_time() - begun
    finally:
        gc.enable()


def growth_of(reader: Callable[[str], object], hostile: tuple[str, str, str]) -> float:
    """How many times longer the whole takes than a sixteenth: 16 when all is looked at once, 256 when each meets each."""
    whole, part = (min(seconds_of(reader, text_of(length, *hostile)) for _ in range(5)) for length in (KIB64, KIB64 // 16))
    return whole / max(part, 1e-6)


@pytest.mark.parametrize("parameters", [";a=  " * 10_000, " ; a=1 " * 10_000, "; *" * 10_000, ";a;b" * 10_000])
def test_structured_field_may_have_many_parameters(parameters: str) -> None:
    """To try every split of so many takes longer than the timeout of a test."""
    assert upload_headers.parse_boolean("?1" + parameters) is True
    assert upload_headers.parse_integer("7" + parameters) == 7
    assert upload_headers.parse_boolean("?1" + parameters + ",") is None
    assert upload_headers.parse_integer("7" + parameters + ",") is None


@pytest.mark.thorough
@pytest.mark.parametrize("reader", READERS)
def test_parsers_take_linear_time(reader: str) -> None:
    """What is read at once is no worry; of the others the growth is compared, because a busy machine lengthens every time.

    Memory first touched and a cache that others share make a long text dearer than its parts: growth up to 100 is taken for even.
    """
    slow = {}
    for hostile in HOSTILE:
        if seconds_of(READERS[reader], text_of(KIB64, *hostile)) > 0.02 and (times := growth_of(READERS[reader], hostile)) > 100:
            slow[hostile] = times
    assert slow == {}


@pytest.mark.thorough
def test_growth_check_detects_quadratic_parsers() -> None:
    def forgetful(text: str) -> object:
        return [text[number:].split(",") for number in range(0, len(text), 256)]

    assert growth_of(forgetful, ("", "a,", "")) > 100
    assert growth_of(lambda text: [part.strip() for part in text.split(",")], ("", "a,", "")) < 100
