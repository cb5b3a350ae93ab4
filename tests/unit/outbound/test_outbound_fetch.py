"""What is fetched, over which connection; and that forbidden places see no packet, whichever way a URL leads there."""

import contextlib
import gc
import http.client
import itertools
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from partage import problems
from partage.outbound import fetch
from partage.outbound.rules import Rules, operators_rules
from tests.unit.outbound import origins
from tests.unit.outbound.test_outbound_rules import REFUSED

LIMIT = 64 * 1024 * 1024


def fetched(url: str, rules: Rules, **others: Any) -> bytes:
    with fetch.open_url(url, rules, limit_bytes=LIMIT, **others) as found:
        content = b"".join(found.blocks)
        assert found.size_bytes in (None, len(content))
    return content


# What is fetched


def test_content_comes_whole_and_in_blocks() -> None:
    body = bytes(range(256)) * 12_345
    with origins.serving(origins.saying(origins.content(body))) as origin:
        with fetch.open_url(origin.url("/x?y"), origins.rules(origin.port), limit_bytes=LIMIT) as found:
            blocks = list(found.blocks)
        assert found.size_bytes == len(body)
        assert b"".join(blocks) == body
        assert max(len(block) for block in blocks) <= fetch.BLOCK_BYTES
    head = origin.requests[0].decode().lower().split("\r\n")
    assert head[0] == "get /x?y http/1.1"
    expected = {f"host: {origins.ORIGIN_HOST}:{origin.port}", "accept-encoding: identity", "user-agent: partage", "accept: */*"}
    assert set(head[1:]) - {""} == expected | {"connection: close"}


@pytest.mark.parametrize(
    "body", [b"", b"x", b"x" * (fetch.BLOCK_BYTES - 1), b"x" * fetch.BLOCK_BYTES, b"x" * (fetch.BLOCK_BYTES + 1)]
)
def test_content_of_any_size(body: bytes) -> None:
    with origins.serving(origins.saying(origins.content(body))) as origin:
        assert fetched(origin.url(), origins.rules(origin.port)) == body


def test_content_in_chunks_and_without_a_length() -> None:
    chunks = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"1\r\nx\r\n" * 5000
        + b"5;ext=1\r\nhello\r\n0\r\nTrailer: x\r\n\r\n"
    )
    answers = {"/chunked": chunks, "/close": b"HTTP/1.0 200 OK\r\n\r\nuntil the end"}
    with origins.serving(origins.by_path(answers)) as origin:
        assert fetched(origin.url("/chunked"), origins.rules(origin.port)) == b"x" * 5000 + b"hello"
        assert fetched(origin.url("/close"), origins.rules(origin.port)) == b"until the end"


def test_content_encoding_is_left_alone() -> None:
    """What is stored is what was sent; nothing swells on the way."""
    bomb = b"\x1f\x8b\x08 not to be unpacked"
    with origins.serving(origins.saying(origins.content(bomb, "Content-Encoding: gzip"))) as origin:
        assert fetched(origin.url(), origins.rules(origin.port)) == bomb


def test_limit_holds_whether_the_size_is_announced_or_not() -> None:
    answers = {"/announced": origins.content(b"x" * 101), "/close": b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 101}
    with origins.serving(origins.by_path(answers)) as origin:
        rules = origins.rules(origin.port)
        with pytest.raises(problems.ImageTooLarge), fetch.open_url(origin.url("/announced"), rules, limit_bytes=100):
            pytest.fail("opened although too large")
        with fetch.open_url(origin.url("/close"), rules, limit_bytes=100) as found, pytest.raises(problems.ImageTooLarge):
            list(found.blocks)
        for path in answers:
            with fetch.open_url(origin.url(path), rules, limit_bytes=101) as found:
                assert b"".join(found.blocks) == b"x" * 101


def test_connection_is_closed_when_the_caller_stops_early() -> None:
    with origins.serving(origins.saying(origins.content(b"x" * 50_000_000))) as origin:
        stopped = contextlib.suppress(ZeroDivisionError)
        with stopped, fetch.open_url(origin.url(), origins.rules(origin.port), limit_bytes=LIMIT) as found:
            next(found.blocks)
            raise ZeroDivisionError
        with pytest.raises((problems.FetchFailed, StopIteration)):
            next(found.blocks)


def test_proxies_of_the_environment_do_not_count(monkeypatch: pytest.MonkeyPatch, internal: origins.Origin) -> None:
    for name, scheme in itertools.product(("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"), ("http",)):
        monkeypatch.setenv(name, f"{scheme}://127.0.0.1:{internal.port}")
    with origins.serving(origins.saying(origins.content(b"direct"))) as origin:
        assert fetched(origin.url(), origins.rules(origin.port)) == b"direct"


def test_name_stays_in_the_host_header_and_is_asked_for_once() -> None:
    names = origins.Names({"images.example": [[origins.ORIGIN_HOST], ["127.0.0.1"]]})
    with origins.serving(origins.saying(origins.content(b"named"))) as origin:
        assert fetched(origin.url(host="Images.Example."), origins.rules(origin.port), resolver=names) == b"named"
    assert names.asked == ["images.example"]
    assert f"Host: images.example:{origin.port}".encode() in origin.requests[0]


def test_next_address_is_tried_when_one_does_not_answer() -> None:
    rules = {"networks_allowed": (ip_network("127.0.0.2/31"),)}
    with origins.serving(origins.saying(origins.content(b"second"))) as origin:
        names = origins.Names({"images.example": [["127.0.0.3", origins.ORIGIN_HOST, origins.ORIGIN_HOST]]})
        assert fetched(origin.url(host="images.example"), origins.rules(origin.port, **rules), resolver=names) == b"second"


def test_ipv6_is_supported() -> None:
    rules = {"networks_allowed": (ip_network("::1/128"),)}
    with origins.serving(origins.saying(origins.content(b"six")), host="::1") as origin:
        assert fetched(origin.url(host="[::1]"), origins.rules(origin.port, **rules)) == b"six"
    assert f"Host: [::1]:{origin.port}".encode() in origin.requests[0]


def test_machine_resolves_names() -> None:
    assert "127.0.0.1" in fetch.system_addresses("127.0.0.1", 80)
    with pytest.raises(problems.UriRefused), fetch.open_url("http://localhost/", Rules(), limit_bytes=1):
        pytest.fail("opened")


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_up_to_ten_hops(status: int) -> None:
    answers = {f"/{hop}": origins.redirect(f"/{hop + 1}", status) for hop in range(10)} | {"/10": origins.content(b"there")}
    with origins.serving(origins.by_path(answers)) as origin:
        rules = origins.rules(origin.port)
        assert fetched(origin.url("/0"), rules) == b"there"
        with pytest.raises(problems.FetchFailed):
            fetched(origin.url("/0"), origins.rules(origin.port, redirects=9))
    assert origin.connections == 11 + 10


def test_redirects_in_a_circle_end() -> None:
    with origins.serving(origins.saying(origins.redirect("/"))) as origin, pytest.raises(problems.FetchFailed):
        fetched(origin.url(), origins.rules(origin.port))
    assert origin.connections == 11


@pytest.mark.parametrize("status", [201, 204, 206, 300, 304, 305, 306, 400, 401, 404, 407, 500, 503])
def test_other_statuses_are_failures(status: int) -> None:
    raw = f"HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n".encode()
    with origins.serving(origins.saying(raw)) as origin, pytest.raises(problems.FetchFailed):
        fetched(origin.url(), origins.rules(origin.port, connect_seconds=0.05))
    assert origin.connections == 1


@pytest.mark.parametrize("head", ["404 Not Found", "302 Found", "200 OK\r\nContent-Length: 1\r\nContent-Length: 2"])
def test_unusable_response_is_closed(head: str) -> None:
    raw = f"HTTP/1.1 {head}\r\n\r\nx".encode()
    with origins.serving(origins.saying(raw)) as origin:
        with pytest.raises(problems.FetchFailed) as failure:  # which keeps everything alive that the fetch had in its hands
            fetched(origin.url("/x"), origins.rules(origin.port))
        responses = [each for each in gc.get_objects() if type(each) is http.client.HTTPResponse]
        assert [each.isclosed() for each in responses] == [True] * len(responses)
        assert responses, failure


def test_headers_go_to_the_first_origin_only() -> None:
    """A token that was meant for one server is not shown to where it redirects, nor when that redirects back."""
    with contextlib.ExitStack() as stack:
        second_answers: dict[str, bytes] = {}
        second = stack.enter_context(origins.serving(origins.by_path(second_answers)))
        first_answers = {
            "/": origins.redirect("/same"),
            "/same": origins.redirect(second.url("/other")),
            "/back": origins.content(b"x"),
        }
        first = stack.enter_context(origins.serving(origins.by_path(first_answers)))
        second_answers["/other"] = origins.redirect(first.url("/back"))
        assert fetched(first.url(), origins.rules(first.port, second.port), headers={"X-Auth-Token": "secret"}) == b"x"
    assert [b"secret" in head for head in first.requests] == [True, True, False]
    assert [b"secret" in head for head in second.requests] == [False]


# Forbidden places


def everywhere(*ports: int) -> Rules:
    """Let nothing but addresses stand between a URL and the internal listener."""
    return origins.rules(*ports, connect_seconds=0.05)


INTERNAL = [
    "127.0.0.1", "127.0.0.3", "127.1.2.3", "0.0.0.0", "::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::127.0.0.1",
    "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::1", "169.254.169.254", "fe80::1", "fe80::1%lo", "::1%lo", "10.0.0.1",
    "fd00::1",
    "100.64.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "ff02::1", "not an address", "",
]  # fmt: skip


@pytest.mark.parametrize("address", INTERNAL)
def test_name_of_an_internal_address_is_refused(address: str, internal: origins.Origin, tried: list[Any]) -> None:
    names = origins.Names({"evil.example": [[address]]})
    with pytest.raises(problems.UriRefused):
        fetched(f"http://evil.example:{internal.port}/", everywhere(internal.port), resolver=names)
    assert names.asked == ["evil.example"]
    assert tried == []


@pytest.mark.parametrize("address", INTERNAL)
@pytest.mark.parametrize("internal_first", [True, False])
def test_name_with_any_internal_address_is_refused(
    address: str, internal_first: bool, internal: origins.Origin, tried: list[Any]
) -> None:
    mixed = [address, origins.ORIGIN_HOST] if internal_first else [origins.ORIGIN_HOST, address]
    with pytest.raises(problems.UriRefused):
        fetched(
            f"http://evil.example:{internal.port}/", everywhere(internal.port), resolver=origins.Names({"evil.example": [mixed]})
        )
    assert tried == []


def test_unresolvable_name_gets_the_message_of_an_internal_one(tried: list[Any]) -> None:
    names = origins.Names({"inside.example": [["10.0.0.1"]], "empty.example": [[]]})
    words = set()
    for name in ("inside.example", "empty.example", "unknown.example"):
        with pytest.raises(problems.UriRefused) as refusal:
            fetched(f"http://{name}/", Rules(), resolver=names)
        words.add(refusal.value.sentence())
    assert len(words) == 1
    assert tried == []


def test_dns_rebinding_after_the_check_connects_to_the_checked_address(internal: origins.Origin, tried: list[Any]) -> None:
    """DNS rebinding: the first answer is outside, every later one is inside."""
    names = origins.Names({"evil.example": [[origins.ORIGIN_HOST], ["127.0.0.1"]]})
    with origins.serving(origins.saying(origins.content(b"outside"))) as origin:
        assert fetched(origin.url(host="evil.example"), everywhere(origin.port, internal.port), resolver=names) == b"outside"
        assert tried == [(origins.ORIGIN_HOST, origin.port)]
        with pytest.raises(problems.UriRefused):
            fetched(origin.url(host="evil.example"), everywhere(origin.port, internal.port), resolver=names)
    assert tried == [(origins.ORIGIN_HOST, origin.port)]


def test_dns_rebinding_between_check_and_fetch_is_refused(internal: origins.Origin, tried: list[Any]) -> None:
    names = origins.Names({"evil.example": [[origins.ORIGIN_HOST], ["127.0.0.1"]]})
    rules = everywhere(internal.port)
    url = f"http://evil.example:{internal.port}/"
    assert fetch.resolve(fetch.check_url(url, rules), rules, names)
    with pytest.raises(problems.UriRefused):
        fetched(url, rules, resolver=names)
    assert tried == []


def test_dns_rebinding_between_redirects_is_refused(internal: origins.Origin) -> None:
    names = origins.Names({"evil.example": [[origins.ORIGIN_HOST], ["127.0.0.1"]]})
    with origins.serving(origins.saying(origins.redirect(f"http://evil.example:{internal.port}/"))) as origin:
        with pytest.raises(problems.UriRefused):
            fetched(origin.url(host="evil.example"), everywhere(origin.port, internal.port), resolver=names)
        assert origin.connections == 1


@pytest.mark.parametrize("url", REFUSED, ids=ascii)
def test_refused_url_sends_nothing(url: str, tried: list[Any]) -> None:
    names = origins.Names({})
    with pytest.raises(problems.UriRefused):
        fetched(url, Rules(), resolver=names)
    assert (tried, names.asked) == ([], [])


LOCATIONS = [
    "http://127.0.0.1:{0}/", "//127.0.0.1:{0}/", "http://127.0.0.3:{0}/", "http://localhost:{0}/", "http://0:{0}/",
    "http://0.0.0.0:{0}/",
    "http://[::]:{0}/", "http://[::1]:{0}/", "http://[::ffff:127.0.0.1]:{0}/", "http://[::ffff:7f00:1]:{0}/",
    "http://[64:ff9b::7f00:1]:{0}/",
    "http://2130706433:{0}/", "http://0x7f000001:{0}/", "http://017700000001:{0}/", "http://127.1:{0}/", "http://127.0.0.1.:{0}/",
    "http://x@127.0.0.1:{0}/", "http://x:y@127.0.0.1:{0}/", "http://127.0.0.2\\@127.0.0.1:{0}/",
    "http://127.0.0.1:{0}\\@127.0.0.2/",
    "http:\\\\127.0.0.1:{0}", "\thttp://127.0.0.1:{0}/", "ht\ttp://127.0.0.1:{0}/", "http://①②⑦.⓪.⓪.①:{0}/", "HTTP://127.0.0.1:{0}",
    "http://evil.example:{0}/", "//evil.example:{0}/", "http://unknown.example:{0}/", "http://[fe80::1%25lo]:{0}/",
    "http://127.0.0.1/",
    "http://169.254.169.254/latest", "file:///etc/passwd", "ftp://127.0.0.1:{0}/", "gopher://127.0.0.1:{0}/_x",
    "http://127.0.0.2:22/",
]  # fmt: skip


@pytest.mark.parametrize("location", LOCATIONS, ids=ascii)
@pytest.mark.parametrize("hops", [1, 9])
def test_redirect_to_an_internal_address_is_refused(location: str, hops: int, internal: origins.Origin, tried: list[Any]) -> None:
    answers = {f"/{hop}": origins.redirect(f"/{hop + 1}", status) for hop, status in zip(range(9), itertools.cycle((301, 307)))}
    raw = location.format(internal.port).encode()
    answers[f"/{hops - 1}"] = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + raw + b"\r\n\r\n"
    names = origins.Names({"evil.example": [["127.0.0.1"]], "localhost": [["127.0.0.1", "::1"]]})
    with origins.serving(origins.by_path(answers)) as origin:
        with pytest.raises(problems.UriRefused):
            fetched(origin.url("/0"), everywhere(origin.port, internal.port), resolver=names)
        assert {tuple(each) for each in tried} == {(origins.ORIGIN_HOST, origin.port)}
        assert origin.connections == hops


# What a user learns about ports


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """Give a port of each kind: closed, filtered, silent, of another protocol, of a web server that has nothing for us."""
    silent = socket.create_server((origins.ORIGIN_HOST, 0))
    filtered = socket.create_server((origins.ORIGIN_HOST, 0), backlog=0)
    closed = socket.create_server((origins.ORIGIN_HOST, 0))
    waiting = [socket.create_connection((origins.ORIGIN_HOST, filtered.getsockname()[1]))]  # its queue is full: it drops packets
    with contextlib.ExitStack() as stack:
        for each in (silent, filtered, *waiting):
            stack.callback(each.close)
        closed_port = closed.getsockname()[1]
        closed.close()
        ssh = stack.enter_context(origins.serving(origins.saying(b"SSH-2.0-OpenSSH_9.2\r\n")))
        web = stack.enter_context(origins.serving(origins.saying(origins.content(b"no", status="404 Not Found"))))
        hangs_up = stack.enter_context(origins.serving(origins.saying(b"")))
        yield {
            "silent": silent.getsockname()[1],
            "filtered": filtered.getsockname()[1],
            "closed": closed_port,
            "another protocol": ssh.port,
            "not found": web.port,
            "hangs up": hangs_up.port,
        }


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_open_and_closed_ports_give_the_same_error(ports: dict[str, int], scheme: str) -> None:
    words, seconds, reasons = set(), [], set()
    for port in ports.values():
        began = time.monotonic()
        with pytest.raises(problems.FetchFailed) as failure:
            fetched(f"{scheme}://{origins.ORIGIN_HOST}:{port}/", origins.rules(*ports.values()))
        seconds.append(time.monotonic() - began)
        words.add(failure.value.sentence())
        reasons.add(failure.value.detail)
    assert len(words) == 1
    assert min(seconds) >= 0.7
    assert max(seconds) < 6
    assert len(reasons) >= 3  # the operator's log tells them apart


# URLs that the operator named


def test_operators_url_may_be_internal_and_gets_the_callers_token(internal: origins.Origin) -> None:
    """The same place stays closed to a URL that a user names."""
    rules = origins.rules(internal.port)
    with pytest.raises(problems.UriRefused):
        fetched(internal.url(host="127.0.0.1"), rules)
    assert internal.connections == 0
    with origins.serving(origins.saying(origins.content(b"image")), host="127.0.0.1") as origin:
        headers = {"X-Auth-Token": "secret"}
        assert fetched(origin.url(host="127.0.0.1"), operators_rules(rules, cafile=""), headers=headers) == b"image"
    assert b"X-Auth-Token: secret\r\n" in origin.requests[0]


@pytest.mark.parametrize("location", ["/elsewhere", "http://127.0.0.1:{port}/", "//127.0.0.1:{port}/", "ftp://x/", "not a URL"])
def test_redirect_from_an_operators_url_is_refused(location: str, internal: origins.Origin) -> None:
    answer = origins.saying(origins.redirect(location.format(port=internal.port)))
    with origins.serving(answer) as origin, pytest.raises(problems.FetchFailed) as caught:
        fetched(origin.url(), operators_rules(origins.rules(), cafile=""), headers={"X-Auth-Token": "secret"})
    assert (len(origin.requests), internal.connections) == (1, 0)
    assert caught.value.detail == "more than 0 redirects"


def test_failure_of_an_operators_url_names_its_status() -> None:
    answer = origins.saying(origins.content(b"", status="404 Not Found"))
    for rules, hidden in ((origins.rules(), True), (operators_rules(origins.rules(), cafile=""), False)):
        with origins.serving(answer) as origin, pytest.raises(problems.FetchFailed) as caught:
            began = time.monotonic()
            fetched(origin.url(), replace(rules, ports=range(65536), connect_seconds=2.0))
        assert (time.monotonic() - began >= 2.0) is hidden
        assert caught.value.status == 404
        assert "404" not in caught.value.sentence()


# Parts, and sizes without the content


BODY = bytes(range(256)) * 8000


def part(url: str, rules: Rules, start: int, stop: int, of_bytes: int = len(BODY)) -> bytes:
    with fetch.open_part(url, rules, fetch.Part(start, stop, of_bytes)) as blocks:
        return b"".join(blocks)


def partial(start: int, stop: int) -> bytes:
    return origins.content(BODY[start:stop], f"Content-Range: bytes {start}-{stop - 1}/{len(BODY)}", status="206 Partial Content")


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (7, 9), (1_000_000, 2_000_000), (2_047_999, 2_048_000), (1, 2_048_000)])
def test_range_is_equal_from_servers_with_and_without_range_support(start: int, stop: int) -> None:
    answers = {"/ranges": partial(start, stop), "/plain": origins.content(BODY), "/mute": b"HTTP/1.0 200 OK\r\n\r\n" + BODY}
    with origins.serving(origins.by_path(answers)) as origin:
        for path in answers:
            assert part(origin.url(path), origins.rules(origin.port), start, stop) == BODY[start:stop]
            assert f"Range: bytes={start}-{stop - 1}\r\n".encode() in origin.requests[-1]


def test_whole_is_asked_for_without_a_range() -> None:
    with origins.serving(origins.saying(origins.content(BODY))) as origin:
        assert part(origin.url(), origins.rules(origin.port), 0, len(BODY)) == BODY
        assert b"range" not in origin.requests[-1].lower()


def test_part_is_asked_for_behind_redirects_of_other_origins_too() -> None:
    with (
        origins.serving(origins.saying(partial(5, 10))) as there,
        origins.serving(origins.saying(origins.redirect(there.url()))) as here,
    ):
        assert part(here.url(), origins.rules(here.port, there.port), 5, 10) == BODY[5:10]
        assert b"Range: bytes=5-9\r\n" in there.requests[-1]


@pytest.mark.parametrize(
    "raw", [origins.content(BODY[:9]), b"HTTP/1.0 200 OK\r\n\r\n" + BODY[:9], origins.content(BODY + b"x"), b""]
)
def test_part_of_something_with_another_size_fails(raw: bytes) -> None:
    with origins.serving(origins.saying(raw)) as origin:
        for start in (0, 5):
            with pytest.raises(problems.FetchFailed):
                part(origin.url(), origins.rules(origin.port), start, len(BODY))


def test_refused_url_is_not_asked_for_a_part_or_a_size(internal: origins.Origin, tried: list[Any]) -> None:
    rules = everywhere(internal.port)
    for url in (f"http://127.0.0.1:{internal.port}/", f"http://[::1]:{internal.port}/", "file:///etc/passwd"):
        with pytest.raises(problems.UriRefused):
            part(url, rules, 0, 1)
        with pytest.raises(problems.UriRefused):
            fetch.size_of(url, rules)
    assert tried == []


def test_size_is_asked_for_without_the_content() -> None:
    answers = {"/": origins.redirect("/disk"), "/disk": b"HTTP/1.1 200 OK\r\nContent-Length: 12345678901\r\n\r\n", "/mute": OK_MUTE}
    with origins.serving(origins.by_path(answers)) as origin:
        assert fetch.size_of(origin.url(), origins.rules(origin.port)) == 12345678901
        assert [head.split(b" ")[0] for head in origin.requests] == [b"HEAD", b"HEAD"]
        assert fetch.size_of(origin.url("/mute"), origins.rules(origin.port)) is None
        with pytest.raises(problems.FetchFailed):
            fetch.size_of(origin.url("/absent"), origins.rules(origin.port))


OK_MUTE = b"HTTP/1.1 200 OK\r\n\r\n"
