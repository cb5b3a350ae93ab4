"""Open a URL on a user's behalf. Every outbound request except those to Keystone goes through this module.

A host name is resolved once. Every address of it is checked against the rules, and the connection is opened to one of those
addresses, so that DNS rebinding cannot change the target (SSRF). The Host header and the check of the certificate use the name.
Redirects pass the same checks. The environment is ignored: no proxy, no .netrc. No credentials or cookies are sent.

Until the data begins, all failures take the same time and have the same message: a user cannot distinguish open, closed,
filtered and non-HTTP ports. Only failures of a URL that the operator configured are reported at once.
Source: OSSN-0078, OSSA-2026-004, and the fix of CVE-2026-71196 with what it left open.
"""

import http.client
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection

from partage import problems
from partage.outbound import addresses, limited_socket
from partage.outbound.cancelling import Cancellation
from partage.outbound.rules import Rules, Target, check_redirect, check_url, host_refused

BLOCK_BYTES = 1024 * 1024

Resolver = Callable[[str, int], Sequence[str]]
"""From name and port to addresses, best first; OSError when there are none."""

_HEADERS = MappingProxyType({"User-Agent": "Partage", "Accept-Encoding": "identity", "Connection": "close"})
_NONE: Mapping[str, str] = MappingProxyType({})
_REDIRECTS = (301, 302, 303, 307, 308)
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,19})-([0-9]{1,19})/([0-9]{1,19}|\*)")
_MOST_ADDRESSES = 4
_FRAMING_FACTOR, _FRAMING_BYTES = 8, 128 * 1024
"""Framing bytes allowed for one block: chunks of a single byte are six times their content, and a trailer follows the last."""

_BROKEN = (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError)
"""What the library and the sockets below it raise when the other side does not keep to the protocol, or to the limits."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The content of a URL: its announced size, if any, and its bytes as they were sent, in blocks of at most BLOCK_BYTES.

    `blocks` can be iterated once, while the URL is open. It raises FetchFailed if the content ends early, arrives too slowly or
    the connection breaks, and ImageTooLarge above the limit.
    """

    size_bytes: int | None
    blocks: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes [start, stop), at least one, of content that has `of_bytes` bytes."""

    start: int
    stop: int
    of_bytes: int

    @property
    def is_whole(self) -> bool:
        """Whether the part is all of the content."""
        return (self.start, self.stop) == (0, self.of_bytes)


def system_addresses(name: str, port: int) -> Sequence[str]:
    """Resolve a name with the system's resolver."""
    return [str(found[4][0]) for found in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)]


@contextmanager
def open_url(
    url: str,
    rules: Rules,
    *,
    limit_bytes: int,
    headers: Mapping[str, str] = _NONE,
    resolver: Resolver = system_addresses,
    cancellation: Cancellation | None = None,
) -> Iterator[Fetched]:
    """Fetch the content of a URL and hold at most one block of it. Content-Encoding is not decoded.

    `headers` are sent to the URL's own origin only, and not after a redirect to another origin. The fetch takes at most
    `rules.total_seconds` and the time of one DNS lookup. `cancellation` ends it earlier, also while it waits.

    Raises:
        UriRefused: a rule forbids the URL, one it redirects to, or an address of one of them. Nothing was sent there.
        FetchFailed: there is no answer, or none of use; after `rules.connect_seconds`, whatever the reason, where that is hidden.
        ImageTooLarge: more than `limit_bytes` are announced.
        Problem: the reason that `cancellation` was given, now or while the blocks are read.
    """
    until = time.monotonic() + rules.total_seconds
    call = _call(rules, resolver, until, cancellation)
    with closing(_final_answer(check_url(url, rules), dict(headers), call)) as answer:
        if answer.size_bytes is not None and answer.size_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        answer.limited.set_limits(
            until=until,
            silence_seconds=rules.silence_seconds,
            slowest_bytes_per_second=rules.slowest_bytes_per_second,
        )
        yield Fetched(answer.size_bytes, _blocks(answer, limit_bytes))


def size_of(url: str, rules: Rules, *, resolver: Resolver = system_addresses) -> int | None:
    """Return the size of a URL's content (HEAD), without fetching it; None if the server does not announce it.

    Raises:
        UriRefused, FetchFailed: as `open_url`.
    """
    call = _Call(rules, resolver, time.monotonic() + rules.total_seconds, method="HEAD")
    with closing(_final_answer(check_url(url, rules), {}, call)) as answer:
        return answer.size_bytes


@contextmanager
def open_part(
    url: str,
    rules: Rules,
    part: Part,
    *,
    resolver: Resolver = system_addresses,
    cancellation: Cancellation | None = None,
) -> Iterator[Iterator[bytes]]:
    """Fetch a part of a URL's content: exactly its bytes, in blocks of at most BLOCK_BYTES.

    A server without range support sends the whole content; the bytes before the part are read and discarded.

    Raises:
        UriRefused: as `open_url`.
        FetchFailed: as `open_url`; what is there has another size than `part.of_bytes`; or, from the iterator, the bytes end early.
        Problem: the reason that `cancellation` was given.
    """
    until = time.monotonic() + rules.total_seconds
    headers = {} if part.is_whole else {"Range": f"bytes={part.start}-{part.stop - 1}"}
    call = replace(_call(rules, resolver, until, cancellation), part=part)
    with closing(_final_answer(check_url(url, rules), headers, call, everywhere=headers)) as answer:
        answer.limited.set_limits(
            until=until,
            silence_seconds=rules.silence_seconds,
            slowest_bytes_per_second=rules.slowest_bytes_per_second,
        )
        begins_at = part.start if answer.response.status == http.client.PARTIAL_CONTENT else 0
        yield _cut(_blocks(answer, part.of_bytes), part, begins_at)


def post(url: str, rules: Rules, *, body: bytes, headers: Mapping[str, str], resolver: Resolver = system_addresses) -> int:
    """Send a body to a URL (POST) and return the status of the response, whatever it is. Redirects are not followed.

    It takes at most `rules.connect_seconds` and the time of one DNS lookup. The content of the response is not read.

    Raises:
        UriRefused: as `open_url`.
        FetchFailed: there is no answer, or none that is HTTP.
    """
    call = _Call(rules, resolver, time.monotonic() + rules.connect_seconds, method="POST", body=body)
    with closing(_answer(check_url(url, rules), headers, call)) as answer:
        return int(answer.response.status)


def resolve(target: Target, rules: Rules, resolver: Resolver = system_addresses) -> tuple[addresses.Address, ...]:
    """Return the addresses of a target, best first.

    Raises:
        UriRefused: it has none, or any of them is not permitted: which one a connection would reach is not left to chance.
    """
    if target.address is not None:
        return (target.address,)
    try:
        texts = resolver(target.host, target.port)
    except (OSError, UnicodeError) as error:
        raise host_refused() from error
    found = [addresses.address_of(text) for text in dict.fromkeys(texts)]
    permitted = tuple(address for address in found if address is not None and rules.permits(address))
    if not permitted or len(permitted) != len(found):
        raise host_refused()
    return permitted[:_MOST_ADDRESSES]


@dataclass(frozen=True, slots=True)
class _Call:
    """The parameters of one fetch, the same for all its redirects. `part` None: the whole content; `body`: what is sent."""

    rules: Rules
    resolver: Resolver
    until: float
    method: str = "GET"
    part: Part | None = None
    body: bytes | None = None
    cancellation: Cancellation = field(default_factory=Cancellation)


def _call(rules: Rules, resolver: Resolver, until: float, cancellation: Cancellation | None) -> _Call:
    """Make DNS lookups cancellable. A lookup cannot be interrupted, so that it runs on a thread."""
    if cancellation is None:
        return _Call(rules, resolver, until)
    return _Call(rules, lambda name, port: cancellation.wait_for(lambda: resolver(name, port)), until, cancellation=cancellation)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A response whose head was read. `location` is set for a redirect; otherwise the content follows."""

    socket: socket.socket
    limited: limited_socket.LimitedSocket
    response: urllib3.BaseHTTPResponse
    location: str | None
    size_bytes: int | None
    cancellation: Cancellation

    def close(self) -> None:
        self.cancellation.forget(self.socket)
        self.response.close()
        self.socket.close()


class _UselessError(Exception):
    """The response is valid HTTP, but cannot be used."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


def _final_answer(target: Target, headers: Mapping[str, str], call: _Call, *, everywhere: Mapping[str, str] = _NONE) -> _Answer:
    """Follow redirects to the last response.

    `headers` are sent to the first origin only; those for `everywhere` reveal nothing about the user.
    """
    for left in reversed(range(call.rules.redirects + 1)):
        answer = _answer(target, headers, call)
        if answer.location is None:
            return answer
        answer.close()
        if not left:
            break
        following = check_redirect(target, answer.location, call.rules)
        headers = headers if following.origin == target.origin else everywhere
        target = following
    raise problems.FetchFailed(f"more than {call.rules.redirects} redirects")


def _answer(target: Target, headers: Mapping[str, str], call: _Call) -> _Answer:
    """Request one URL. A failure is reported after `connect_seconds`, unless failures are not hidden."""
    found = resolve(target, call.rules, call.resolver)
    until = min(time.monotonic() + call.rules.connect_seconds, call.until)
    try:
        connected = _connect(found, target.port, until, call.cancellation)
        try:
            if target.scheme == "https":
                connected = _encrypt(connected, target.host, call, until)
            return _ask(connected, target, headers, call, until)
        except BaseException:
            call.cancellation.forget(connected)
            connected.close()
            raise
    except (*_BROKEN, _UselessError) as error:
        call.cancellation.check()
        failure = problems.FetchFailed(_describe(error), status=error.status if isinstance(error, _UselessError) else None)
        if call.rules.hides_failures:
            call.cancellation.sleep(max(0.0, until - time.monotonic()))
        raise failure from error


def _connect(found: Sequence[addresses.Address], port: int, until: float, cancellation: Cancellation) -> socket.socket:
    """Connect to the first address that accepts; each address gets an equal part of the time."""
    for position, address in enumerate(found, start=1):
        seconds = limited_socket.seconds_left(until) / (len(found) - position + 1)
        family = socket.AF_INET if isinstance(address, ipaddress.IPv4Address) else socket.AF_INET6
        made = socket.socket(family, socket.SOCK_STREAM)
        cancellation.watch(made)
        try:
            cancellation.check()
            made.settimeout(seconds)
            made.connect((str(address), port))
        except BaseException as error:
            cancellation.forget(made)
            made.close()
            if position == len(found) or not isinstance(error, OSError):
                raise
        else:
            return made
    raise _UselessError("no address")


def _encrypt(connected: socket.socket, name: str, call: _Call, until: float) -> ssl.SSLSocket:
    """Start TLS. The certificate is checked against the name in the URL, not against the address."""
    context = ssl.create_default_context(cafile=call.rules.cafile or None)
    context.set_alpn_protocols(["http/1.1"])
    connected.settimeout(limited_socket.seconds_left(until))
    # An end that the server did not sign may be anybody's cut, which goes unnoticed where no length was announced.
    encrypted = context.wrap_socket(connected, server_hostname=name, suppress_ragged_eofs=False, do_handshake_on_connect=False)
    # From here on the first socket is an empty shell.
    call.cancellation.forget(connected)
    call.cancellation.watch(encrypted)
    try:
        encrypted.do_handshake()
    except BaseException:
        call.cancellation.forget(encrypted)
        encrypted.close()
        raise
    return encrypted


def _ask(connected: socket.socket, target: Target, headers: Mapping[str, str], call: _Call, until: float) -> _Answer:
    """Send the request and read the head of the response."""
    limited = limited_socket.LimitedSocket(connected, until=until, allowed_bytes=call.rules.header_bytes)
    connection = HTTPConnection(target.host, target.port)
    connection.auto_open = 0  # it never connects by itself: the name is not resolved again
    connection.sock = limited_socket.HTTPClientSocket(connected, limited)  # all that http.client wants of a socket
    connected.settimeout(limited_socket.seconds_left(until))
    connection.request(
        call.method,
        target.path,
        body=call.body,
        headers={"Accept": "*/*", **headers, **_HEADERS, "Host": target.authority},
        preload_content=False,
        decode_content=False,
        enforce_content_length=True,
    )
    begun: list[http.client.HTTPResponse] = []

    def begin(*arguments: Any, **named: Any) -> http.client.HTTPResponse:
        begun.append(http.client.HTTPResponse(*arguments, **named))
        return begun[-1]

    # urllib3 forgets the response whose headers it refuses
    connection.response_class = begin  # type: ignore[assignment]
    try:
        return _judge(connected, limited, connection.getresponse(), call)
    except BaseException:
        for response in begun:
            response.close()
        raise


def _judge(
    connected: socket.socket, limited: limited_socket.LimitedSocket, response: urllib3.BaseHTTPResponse, call: _Call
) -> _Answer:
    """Decide by its head whether a response can be used."""
    if call.body is not None:
        return _Answer(connected, limited, response, None, None, call.cancellation)
    if response.status in _REDIRECTS:
        return _Answer(connected, limited, response, _location(response), None, call.cancellation)
    size_bytes = _read_length(response)
    if response.status == http.client.PARTIAL_CONTENT and call.part is not None and not call.part.is_whole:
        _check_part(response, size_bytes, call.part)
    elif response.status != http.client.OK:
        raise _UselessError(f"status {response.status}", response.status)
    elif call.part is not None and size_bytes not in (None, call.part.of_bytes):
        raise _UselessError(f"{size_bytes} bytes instead of {call.part.of_bytes}")
    return _Answer(connected, limited, response, None, size_bytes, call.cancellation)


def _check_part(response: urllib3.BaseHTTPResponse, size_bytes: int | None, part: Part) -> None:
    """Check that a partial response is the requested part, and that the size of the whole content is right."""
    said = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    if said is None or said[3] not in ("*", str(part.of_bytes)):
        raise _UselessError(f"a part of something else: {response.headers.get('content-range')}")
    if (int(said[1]), int(said[2]) + 1) != (part.start, part.stop) or size_bytes not in (None, part.stop - part.start):
        raise _UselessError(f"another part: {said[0]}, {size_bytes} bytes")


def _location(response: urllib3.BaseHTTPResponse) -> str:
    found = response.headers.getlist("location")
    if len(found) != 1:
        raise _UselessError(f"a redirect with {len(found)} locations")
    return str(found[0])


def _read_length(response: urllib3.BaseHTTPResponse) -> int | None:
    """Read how the content is delimited.

    Contradictory headers are refused, because programs do not agree on where the content ends.
    """
    lengths = response.headers.getlist("content-length")
    codings = response.headers.getlist("transfer-encoding")
    if codings:
        if lengths or [coding.lower() for coding in codings] != ["chunked"]:
            raise _UselessError(f"framed by {codings} and {lengths}")
        return None
    if not lengths:
        return None
    if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        raise _UselessError(f"lengths {lengths}")
    return int(lengths[0])


def _blocks(answer: _Answer, limit_bytes: int) -> Iterator[bytes]:
    received_bytes = 0
    while True:
        most = min(BLOCK_BYTES, limit_bytes - received_bytes + 1)
        answer.limited.allow(_FRAMING_FACTOR * most + _FRAMING_BYTES)
        try:
            block = answer.response.read(most, decode_content=False)
        except _BROKEN as error:
            answer.cancellation.check()
            raise problems.FetchFailed(f"after {received_bytes} bytes: {_describe(error)}") from error
        answer.cancellation.check()  # what was cut off may look like an end
        if not block:
            return
        received_bytes += len(block)
        if received_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        yield block


def _cut(blocks: Iterator[bytes], part: Part, begins_at: int) -> Iterator[bytes]:
    """Yield the bytes of a part from blocks that begin at or before its first byte.

    Raises:
        FetchFailed: they end before the part does.
    """
    position = begins_at
    for block in blocks:
        wanted = block[max(0, part.start - position) : part.stop - position]
        position += len(block)
        if wanted:
            yield wanted
        if position >= part.stop:
            return
    raise problems.FetchFailed(f"{position} bytes where {part.stop} were expected")


def _too_large(limit_bytes: int) -> problems.ImageTooLarge:
    return problems.ImageTooLarge(f"The image data at the URL is too large: at most {limit_bytes} bytes are taken")


def _describe(error: BaseException) -> str:
    """Name an error, and its cause where the library wrapped it."""
    below = f", from {error.__cause__}" if error.__cause__ is not None else ""
    return f"{type(error).__name__}: {error}{below}"
