"""Origins that are slow, endless, contradictory or broken: each ends in a problem, in time and in bounded memory."""

import itertools
import socket
import time
import tracemalloc
from collections.abc import Iterable

import pytest

from partage import problems
from partage.outbound import fetch
from partage.outbound.rules import Rules
from tests.unit.outbound import origins

OK = b"HTTP/1.1 200 OK\r\n"
SILENT = 30.0


def dripping(first: bytes, rest: Iterable[bytes], pause_seconds: float) -> origins.Answer:
    def answer(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(first)
        for each in rest:
            time.sleep(pause_seconds)
            connection.sendall(each)

    return answer


def failure(answer: origins.Answer, rules: Rules | None = None, **others: object) -> tuple[float, str]:
    """Fetch from such an origin; give the seconds until it was given up, and what the log says."""
    with origins.serving(answer) as origin:
        began = time.monotonic()
        with pytest.raises(problems.FetchFailed) as failed:  # noqa: SIM117 -- what raises stands alone
            with fetch.open_url(origin.url(), rules or origins.rules(origin.port, **others), limit_bytes=1 << 40) as found:
                for _ in found.blocks:
                    pass
        return time.monotonic() - began, failed.value.detail


# Slow


@pytest.mark.parametrize(
    ("first", "rest", "pause_seconds"),
    [
        (b"", [b"x"], SILENT),
        (b"HTTP/1.1 200 OK", [b"x"], SILENT),
        (OK, [b"x"], SILENT),
        (OK, itertools.repeat(b"X: y\r\n"), 0.05),
        (OK + b"X: ", itertools.repeat(b"y"), 0.02),
        (b"", itertools.repeat(b"H"), 0.02),
        (b"", itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"), 0.02),
    ],
    ids=[
        "nothing",
        "half a status",
        "half a head",
        "headers for ever",
        "a header for ever",
        "a status for ever",
        "informed for ever",
    ],
)
def test_head_that_does_not_end(first: bytes, rest: Iterable[bytes], pause_seconds: float) -> None:
    seconds, _ = failure(dripping(first, rest, pause_seconds), connect_seconds=0.3)
    assert 0.3 <= seconds < 3


@pytest.mark.parametrize("framing", [b"Content-Length: 100000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n", b"\r\n"])
def test_silence_in_the_content(framing: bytes) -> None:
    seconds, detail = failure(dripping(OK + framing, [b"x"], SILENT), silence_seconds=0.3)
    assert 0.3 <= seconds < 3
    assert "imed" in detail


@pytest.mark.parametrize(
    ("framing", "piece"),
    [
        (b"Content-Length: 100000\r\n\r\n", b"x"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n1;", b"x"),
    ],
    ids=["bytes", "chunks", "the line of a chunk"],
)
def test_trickle(framing: bytes, piece: bytes) -> None:
    """A byte now and then is no silence, and would hold a worker for hours."""
    answer = dripping(OK + framing, itertools.repeat(piece), 0.02)
    seconds, detail = failure(answer, silence_seconds=0.3, slowest_bytes_per_second=1000)
    assert 0.3 <= seconds < 3
    assert "slower" in detail
    seconds, _ = failure(answer, total_seconds=0.5)
    assert 0.4 <= seconds < 5


def test_slow_caller_is_not_the_fault_of_the_origin() -> None:
    with origins.serving(origins.saying(origins.content(b"x" * 3 * fetch.BLOCK_BYTES))) as origin:
        rules = origins.rules(origin.port, silence_seconds=0.1, slowest_bytes_per_second=10_000_000)
        with fetch.open_url(origin.url(), rules, limit_bytes=1 << 30) as found:
            received = 0
            for block in found.blocks:
                received += len(block)
                time.sleep(0.3)
    assert received == 3 * fetch.BLOCK_BYTES


# Endless


def endless(first: bytes, piece: bytes, sent: list[int]) -> origins.Answer:
    def answer(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(first)
        while True:
            connection.sendall(piece)
            sent.append(len(piece))

    return answer


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"", b"H" * 65536),
        (OK, b"X: y\r\n" * 10_000),
        (OK + b"X: ", b"y" * 65536),
        (OK, b" folded\r\n" * 10_000),
        (b"", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 1000),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n", b"x" * 65536),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"f" * 65536),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"x" * 65536),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1;" + b"x" * 60_000 + b"\r\nx\r\n"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: trailer\r\n" * 5000),
    ],
    ids=["status", "headers", "header", "folded header", "informed", "chunk of -1", "size of a chunk", "extension", "extensions",
    "trailers"],
)  # fmt: skip
def test_endless_framing_is_cut_off(first: bytes, piece: bytes) -> None:
    sent: list[int] = []
    tracemalloc.start()
    try:
        failure(endless(first, piece, sent), connect_seconds=0.5, silence_seconds=5.0)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(sent) < 32 * 1024 * 1024
    assert peak_bytes < 32 * 1024 * 1024


@pytest.mark.parametrize("headers", [101, 1000, 100_000])
def test_too_many_headers(headers: int) -> None:
    failure(origins.saying(OK + b"X: y\r\n" * headers + b"Content-Length: 0\r\n\r\n"), connect_seconds=0.1)


def test_head_may_not_be_longer_than_allowed() -> None:
    raw = OK + b"X: " + b"y" * 3000 + b"\r\nContent-Length: 0\r\n\r\n"
    failure(origins.saying(raw), connect_seconds=0.1, header_bytes=2000)
    with (
        origins.serving(origins.saying(raw)) as origin,
        fetch.open_url(origin.url(), origins.rules(origin.port), limit_bytes=1) as found,
    ):
        assert list(found.blocks) == []


# Contradictory and broken


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"just bytes",
        b"\x00" * 100,
        b"\r\n\r\n",
        b"<html>HTTP/0.9 has no head</html>",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 99 OK\r\n\r\n",
        b"HTTP/1.1 1000 OK\r\n\r\n",
        b"HTTP/1.1 -200 OK\r\n\r\n",
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/x 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\nx",
        OK + b"Content-Length: 0x1\r\n\r\nx",
        OK + b"Content-Length: 1_0\r\n\r\n0123456789",
        OK + b"Content-Length: one\r\n\r\nx",
        OK + b"Content-Length: \r\n\r\nx",
        OK + b"Content-Length: 1, 1\r\n\r\nx",
        OK + b"Content-Length: 1, 2\r\n\r\nxx",
        OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        OK + b"Content-Length: 1\r\ncontent-length: 1\r\n\r\nx",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nx",
        OK + b"Content-Length: \xb2\r\n\r\nxx",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\nx",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: identity\r\n\r\nx",
        OK + b"Transfer-Encoding: xchunked\r\n\r\nx",
    ],
    ids=lambda raw: ascii(raw[:60]),
)
def test_invalid_response_is_a_failure(raw: bytes) -> None:
    seconds, _ = failure(origins.saying(raw), connect_seconds=0.1)
    assert 0.1 <= seconds < 3


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Content-Length: 10\r\n\r\n",
        OK + b"Content-Length: 10\r\n\r\n123456789",
        b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\n123456789",
        OK + b"Content-Length: 10\r\nConnection: close\r\n\r\n123456789",
        OK + b"Content-Length: 3000000\r\n\r\n" + b"x" * 2_999_999,
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n1234",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n12345\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n\r\n12345\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n12345\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 70_000,
    ],
    ids=lambda raw: ascii(raw[17:70]),
)
def test_truncated_or_invalid_content_fails(raw: bytes) -> None:
    seconds, _ = failure(origins.saying(raw))
    assert seconds < 5


def test_reset_in_the_middle() -> None:
    def answer(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(OK + b"Content-Length: 10\r\n\r\n12345")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    failure(answer)


def test_announced_size_beyond_all_bounds() -> None:
    with origins.serving(origins.saying(OK + b"Content-Length: " + b"9" * 100 + b"\r\n\r\nx")) as origin:
        rules = origins.rules(origin.port)
        with pytest.raises(problems.ImageTooLarge), fetch.open_url(origin.url(), rules, limit_bytes=1 << 62):
            pytest.fail("opened")


def test_endless_content_stops_at_the_limit() -> None:
    sent: list[int] = []
    with origins.serving(endless(OK + b"\r\n", bytes(1 << 16), sent)) as origin:
        rules = origins.rules(origin.port)
        with fetch.open_url(origin.url(), rules, limit_bytes=5_000_000) as found, pytest.raises(problems.ImageTooLarge):
            assert sum(len(block) for block in found.blocks) <= 5_000_000
    assert sum(sent) < 32 * 1024 * 1024
