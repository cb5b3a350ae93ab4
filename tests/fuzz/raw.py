"""Ways in which bytes on a connection are not the HTTP they should be. Each takes a good request and gives back a bad one.

Source: RFC 9112, sections 2 to 7; what proxies and servers were found to read in two ways.
"""

import random
from collections.abc import Callable

Kind = Callable[[bytes, random.Random], bytes]

LINES = (
    b"",
    b"\r\n",
    b"GET",
    b"GET /v2/images",
    b"GET  /v2/images  HTTP/1.1",
    b"GET\t/v2/images\tHTTP/1.1",
    b"GET /v2/images HTTP/0.9",
    b"GET /v2/images HTTP/2.0",
    b"GET /v2/images HTTP/1.10",
    b"GET /v2/images HTTP/",
    b"GET /v2/images http/1.1",
    b"GET /v2 images HTTP/1.1",
    b"GET /v2/images\x00 HTTP/1.1",
    b"GET /v2/im\xffages HTTP/1.1",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"\x00" * 50,
    b"PRI * HTTP/2.0",
    b"CONNECT evil.example:80 HTTP/1.1",
    b"GET http://evil.example/v2/images HTTP/1.1",
    b"OPTIONS * HTTP/1.1",
    b"G" * 5000,
    b"GET " + b"/" * 140_000 + b" HTTP/1.1",
    b"GET /v2/images HTTP/1.1 HTTP/1.1",
    b" GET /v2/images HTTP/1.1",
    b"\xef\xbb\xbfGET /v2/images HTTP/1.1",
    b"HTTP/1.1 200 OK",
    b"SSH-2.0-OpenSSH_9",
    b"EHLO x",
    b"*1\r\n$4\r\nPING",
)
FIELDS = (
    b"No colon at all",
    b": no name",
    b"Space before : x",
    b" folded: x",
    b"\tfolded: x",
    b"Con\x00tent: x",
    b"X: a\x00b",
    b"X: a\rb",
    b"X: a\nb",
    b"X\xff: x",
    b"X: \xff\xfe",
    b"X:\x7f",
    b"Content-Length: -1",
    b"Content-Length: +5",
    b"Content-Length: 5, 5",
    b"Content-Length: 0x5",
    b"Content-Length: 5 5",
    b"Content-Length: ",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: 18446744073709551616",
    b"Content-Length: 1e3",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Content-Length: \xd9\xa3",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: chunked, chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Transfer-Encoding: xchunked",
    b"Transfer-Encoding : chunked",
    b"Transfer-Encoding:\x0bchunked",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    b"Transfer_Encoding: chunked",
    b"Expect: nothing",
    b"Expect: 100-continue",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br",
    b"Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x",
    b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13",
    b"Connection: x-auth-token",
    b"X-Auth-Token: another",
    b"X-Auth-Token:",
    b"Host: evil.example",
    b"Host:",
    b"Trailer: X-Auth-Token",
    b"Content-Range: bytes 0-9/5",
    b"Content-Range: bytes */*",
    b"Content-Range: bytes 5-1/2",
    b"X-Forwarded-Host: evil.example",
    b"X-HTTP-Method-Override: DELETE",
    b"X-Identity-Status: Confirmed",
    b"X-Roles: admin",
    b"Range: bytes=",
    b"Range: bytes=-",
    b"Range: bytes=--1",
    b"If-None-Match: W/",
    b"Accept: application/vnd.openstack.images-v2.99999999999999",
    b"Accept: \xff",
    b"Cookie: \x01",
    b"X-Openstack-Request-Id: \xff",
    b"Content-Type: application/octet-stream; charset=\xff",
    b"Content-Type: multipart/form-data; boundary=" + b"x" * 500,
)
CHUNKED = (
    b"zz\r\nx\r\n0\r\n\r\n",
    b"-1\r\nx\r\n0\r\n\r\n",
    b"FFFFFFFFFFFFFFFFF\r\nx",
    b"FFFFFFFFFFFFFFFF\r\nx",
    b"7FFFFFFFFFFFFFFF\r\nx\r\n",
    b"1;" + b"a=b;" * 5000 + b"\r\nx\r\n0\r\n\r\n",
    b"1\nx\n0\n\n",
    b"1\r\nxx\r\n0\r\n\r\n",
    b"5\r\nx\r\n0\r\n\r\n",
    b"0x1\r\nx\r\n0\r\n\r\n",
    b" 1\r\nx\r\n0\r\n\r\n",
    b"1 \r\nx\r\n0\r\n\r\n",
    b"\r\n1\r\nx\r\n0\r\n\r\n",
    b"1\r\nx\r\n0\r\nX-Auth-Token: x\r\n\r\n",
    b"0\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
    b"1\r\nx",
    b"1\r\nx\r\n",
    b"1\r\nx\r\n0\r\n",
    b"+1\r\nx\r\n0\r\n\r\n",
    b"\x00\r\nx\r\n0\r\n\r\n",
    b"1\r\nx\r\n" * 3000 + b"0\r\n\r\n",
    b"00000000000000000001\r\nx\r\n0\r\n\r\n",
    b"1;\r\nx\r\n0\r\n\r\n",
    b'1;a="\r\n"\r\nx\r\n0\r\n\r\n',
    b"1\rx\r\n0\r\n\r\n",
    b"0\r\n\r\nGET /v2/images HTTP/1.1\r\n\r\n",
    b"",
    b"\r\n\r\n",
    b"G" * 100_000,
)


def with_another_first_line(request: bytes, chance: random.Random) -> bytes:
    """Keep the headers, and the method where the new line leaves it out."""
    return chance.choice(LINES) + b"\r\n" + request.partition(b"\r\n")[2]


def with_another_field(request: bytes, chance: random.Random) -> bytes:
    """Put a header before or after those there are."""
    head, end, body = request.partition(b"\r\n\r\n")
    field = chance.choice(FIELDS)
    if chance.random() < 0.5:
        first, _, rest = head.partition(b"\r\n")
        return first + b"\r\n" + field + b"\r\n" + rest + end + body
    return head + b"\r\n" + field + end + body


def with_another_chunked_body(request: bytes, chance: random.Random) -> bytes:
    """Say that the body is chunked and send one that is not, or not well."""
    lines = [
        line
        for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n")
        if not line.lower().startswith((b"content-length", b"transfer-encoding"))
    ]
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""]) + chance.choice(CHUNKED)


def cut_short(request: bytes, chance: random.Random) -> bytes:
    return request[: chance.randrange(len(request))]


def with_other_line_ends(request: bytes, chance: random.Random) -> bytes:
    head, end, body = request.partition(b"\r\n\r\n")
    return (head + end).replace(b"\r\n", chance.choice((b"\n", b"\r", b"\n\r", b"\r\r\n", b"\x0b"))) + body


def twice(request: bytes, chance: random.Random) -> bytes:
    """Send a request and at once another, or the beginning of it."""
    return request + (request if chance.random() < 0.5 else request[: chance.randrange(len(request))])


def with_noise(request: bytes, chance: random.Random) -> bytes:
    """Change a few bytes anywhere in the head."""
    written = bytearray(request)
    end = max(1, request.find(b"\r\n\r\n"))
    for _ in range(chance.randrange(1, 5)):
        written[chance.randrange(end)] = chance.randrange(256)
    return bytes(written)


def with_more_than_announced(request: bytes, chance: random.Random) -> bytes:
    return request + chance.choice((b"x", b"\r\n", b"GET ", b"\x00" * 1000, b"0\r\n\r\n"))


KINDS: tuple[Kind, ...] = (
    with_another_first_line,
    with_another_field,
    with_another_field,
    with_another_field,
    with_another_chunked_body,
    with_another_chunked_body,
    cut_short,
    with_other_line_ends,
    twice,
    with_noise,
    with_more_than_announced,
)
