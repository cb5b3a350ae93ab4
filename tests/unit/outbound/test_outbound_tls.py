"""Encrypted origins: the certificate counts, against the name in the URL; nothing falls back to plain HTTP."""

import contextlib
import datetime as dt
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
import trustme

from partage import problems
from partage.outbound import fetch
from partage.outbound.rules import Rules
from tests.unit.outbound import origins

NAME = "images.example"
NAMES = origins.Names({NAME: [[origins.ORIGIN_HOST]], "other.example": [[origins.ORIGIN_HOST]]})


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def cafile(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


def server(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


@contextlib.contextmanager
def fetched(origin: origins.Origin, cafile: str, host: str = NAME, **others: object) -> Iterator[fetch.Fetched]:
    rules = origins.rules(origin.port, cafile=cafile, **others)
    with fetch.open_url(origin.url(host=host, scheme="https"), rules, limit_bytes=1 << 30, resolver=NAMES) as found:
        yield found


def test_name_is_what_the_certificate_is_checked_against(authority: trustme.CA, cafile: str) -> None:
    asked: list[str | None] = []
    context = server(authority.issue_cert(NAME))
    context.sni_callback = lambda _socket, name, _context: asked.append(name)
    with (
        origins.serving(origins.saying(origins.content(b"secret" * 1_000_000)), tls=context) as origin,
        fetched(origin, cafile) as found,
    ):
        assert b"".join(found.blocks) == b"secret" * 1_000_000
    assert asked == [NAME]
    assert f"Host: {NAME}:{origin.port}".encode() in origin.requests[0]


def test_address_in_the_url_is_checked_too(authority: trustme.CA, cafile: str) -> None:
    with origins.serving(origins.saying(origins.content(b"x")), tls=server(authority.issue_cert(origins.ORIGIN_HOST))) as origin:
        with fetched(origin, cafile, host=origins.ORIGIN_HOST) as found:
            assert b"".join(found.blocks) == b"x"
        with pytest.raises(problems.FetchFailed), fetched(origin, cafile):
            pytest.fail("the certificate is for the address, the URL has a name")


YESTERDAY = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
BAD: dict[str, Callable[[trustme.CA], trustme.LeafCert]] = {
    "unknown authority": lambda _: trustme.CA().issue_cert(NAME),
    "another name": lambda authority: authority.issue_cert("other.example"),
    "a name above": lambda authority: authority.issue_cert("example"),
    "a name below": lambda authority: authority.issue_cert(f"www.{NAME}"),
    "the address of the name": lambda authority: authority.issue_cert(origins.ORIGIN_HOST),
    "expired": lambda authority: authority.issue_cert(NAME, not_before=YESTERDAY - dt.timedelta(days=1), not_after=YESTERDAY),
    "not yet valid": lambda authority: authority.issue_cert(NAME, not_before=YESTERDAY + dt.timedelta(days=2)),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_certificate_is_refused_before_anything_is_sent(kind: str, authority: trustme.CA, cafile: str) -> None:
    with origins.serving(origins.saying(origins.content(b"x")), tls=server(BAD[kind](authority))) as origin:
        with pytest.raises(problems.FetchFailed) as failure, fetched(origin, cafile):
            pytest.fail("opened")
        assert "CERTIFICATE_VERIFY_FAILED" in failure.value.detail
        assert NAME not in failure.value.sentence()
        assert origin.connections == 1
        assert [head for head in origin.requests if head] == []


def test_authority_of_the_tests_is_not_trusted_unless_named(authority: trustme.CA) -> None:
    answer = origins.saying(origins.content(b"x"))
    with (
        origins.serving(answer, tls=server(authority.issue_cert(NAME))) as origin,
        pytest.raises(problems.FetchFailed),
        fetched(origin, ""),
    ):
        pytest.fail("opened")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_protocols_are_refused(version: ssl.TLSVersion, authority: trustme.CA, cafile: str) -> None:
    context = server(authority.issue_cert(NAME))
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = version
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.maximum_version = version
    with (
        origins.serving(origins.saying(origins.content(b"x")), tls=context) as origin,
        pytest.raises(problems.FetchFailed),
        fetched(origin, cafile),
    ):
        pytest.fail("opened")


def test_https_does_not_fall_back_to_http(cafile: str) -> None:
    with origins.serving(origins.saying(origins.content(b"x"))) as origin:
        with pytest.raises(problems.FetchFailed), fetched(origin, cafile):
            pytest.fail("opened")
        assert not any(head.startswith(b"GET") for head in origin.requests)


def test_redirect_to_plain_http_is_not_followed(authority: trustme.CA, cafile: str) -> None:
    with origins.serving(origins.saying(origins.content(b"x"))) as plain:
        answers = {"/": origins.redirect(plain.url())}
        with origins.serving(origins.by_path(answers), tls=server(authority.issue_cert(NAME))) as origin:
            rules = origins.rules(origin.port, plain.port, cafile=cafile)
            url = origin.url(host=NAME, scheme="https")
            with pytest.raises(problems.UriRefused), fetch.open_url(url, rules, limit_bytes=1, resolver=NAMES):
                pytest.fail("opened")
        assert plain.connections == 0


def test_redirect_from_plain_to_encrypted_is_followed(authority: trustme.CA, cafile: str) -> None:
    answer = origins.saying(origins.content(b"x"))
    with origins.serving(answer, tls=server(authority.issue_cert(NAME))) as encrypted:
        there = encrypted.url(host=NAME, scheme="https")
        with origins.serving(origins.saying(origins.redirect(there))) as plain:
            rules = origins.rules(plain.port, encrypted.port, cafile=cafile)
            with fetch.open_url(plain.url(), rules, limit_bytes=1, resolver=NAMES) as found:
                assert list(found.blocks) == [b"x"]


def cut(raw: bytes) -> origins.Answer:
    """Send and close the connection below TLS, as somebody on the way could."""

    def answer(connection: socket.socket, _head: bytes) -> None:
        connection.sendall(raw)
        socket.close(connection.detach())

    return answer


@pytest.mark.parametrize("head", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"])
def test_truncated_tls_content_is_detected(head: bytes, authority: trustme.CA, cafile: str) -> None:
    with (
        origins.serving(cut(head + b"12345"), tls=server(authority.issue_cert(NAME))) as origin,
        fetched(origin, cafile) as found,
        pytest.raises(problems.FetchFailed),
    ):
        list(found.blocks)


def test_handshake_that_does_not_end_is_given_up() -> None:
    """A server that takes the connection and says nothing."""
    with socket.create_server((origins.ORIGIN_HOST, 0)) as listener:
        port = listener.getsockname()[1]
        began = time.monotonic()
        url = f"https://{origins.ORIGIN_HOST}:{port}/"
        with pytest.raises(problems.FetchFailed), fetch.open_url(url, origins.rules(port), limit_bytes=1):
            pytest.fail("opened")
        assert 0.3 <= time.monotonic() - began < 5


def test_missing_ca_file_does_not_disable_verification(tmp_path: Path) -> None:
    rules = Rules(cafile=str(tmp_path / "absent.pem"), connect_seconds=0.1, networks_allowed=(ip_network("127.0.0.2/32"),))
    with pytest.raises(problems.FetchFailed), fetch.open_url("https://127.0.0.2/", rules, limit_bytes=1):
        pytest.fail("opened")
