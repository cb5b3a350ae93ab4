"""The Keystone edge against the real Keystone."""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from keystoneclient.contrib.ec2.utils import Ec2Signer

from partage import problems
from partage.identity.keystone import Credentials, Keystone, connect
from partage.identity.tokens import TokenCache
from partage.main.configuration.sections import IdentitySettings
from partage.model.caller import Caller
from tests.standalone import RunningKeystone
from tests.unit.outbound import origins

CACHE_SECONDS = 1.0


def edge(credentials: Credentials, *, seconds: float = CACHE_SECONDS, **options: Any) -> Keystone:
    return Keystone(connect(credentials), TokenCache(seconds=seconds, refused_seconds=0.2), **options)


@pytest.fixture(scope="module")
def identity(keystone: RunningKeystone) -> Keystone:
    return edge(keystone.credentials)


def test_project_token_makes_a_caller(keystone: RunningKeystone, identity: Keystone) -> None:
    caller = identity.validate(keystone.token("user-a", "project-a"))
    assert caller.project_id == keystone.project_id("project-a")
    assert (caller.user_name, caller.project_name) == ("user-a", "project-a")
    assert caller.project_domain_id == "default"
    assert caller.roles == {"member", "reader"}, "member implies reader"
    assert (caller.service_roles, caller.system_scope, caller.domain_id) == (frozenset(), None, None)


def test_reader_has_only_the_reader_role(keystone: RunningKeystone, identity: Keystone) -> None:
    assert identity.validate(keystone.token("reader-a", "project-a")).roles == {"reader"}


def test_system_token_has_no_project(keystone: RunningKeystone, identity: Keystone) -> None:
    caller = identity.validate(keystone.token("admin", system_scope="all"))
    assert (caller.system_scope, caller.project_id) == ("all", None)
    assert "admin" in caller.roles


def test_unscoped_token_has_no_roles(keystone: RunningKeystone, identity: Keystone) -> None:
    caller = identity.validate(keystone.token("user-a", unscoped=True))
    assert (caller.project_id, caller.roles) == (None, frozenset())


def test_domain_token_names_its_domain(keystone: RunningKeystone, identity: Keystone) -> None:
    admin = identity.validate(keystone.token("admin", "admin"))
    roles = {role["name"]: role["id"] for role in keystone.call("GET", "/roles")["roles"]}
    keystone.call("PUT", f"/domains/default/users/{admin.user_id}/roles/{roles['reader']}")
    caller = identity.validate(keystone.token("admin", domain_id="default"))
    assert (caller.domain_id, caller.project_id) == ("default", None)


def test_administrator_is_asked_about_once_for_each_token(keystone: RunningKeystone) -> None:
    asked: list[Caller] = []

    def is_admin(caller: Caller) -> bool:
        asked.append(caller)
        return "admin" in caller.roles

    identity = edge(keystone.credentials, is_admin=is_admin)
    token = keystone.token("admin", "admin")
    assert [identity.validate(token).is_admin for _ in range(3)] == [True, True, True]
    assert not identity.validate(keystone.token("user-a", "project-a")).is_admin
    assert len(asked) == 2


@pytest.mark.parametrize("token", ["", " ", "garbage", "gAAAAABm", "tök", "a b", "a\nb", "x" * 9000, "../v3/users", "\0"])
def test_invalid_token_is_refused(identity: Keystone, token: str) -> None:
    with pytest.raises(problems.Unauthenticated):
        identity.validate(token)


def test_spaces_around_a_token_do_not_matter(keystone: RunningKeystone, identity: Keystone) -> None:
    """As in keystonemiddleware."""
    assert identity.validate(f" {keystone.token('user-a', 'project-a')}\n").user_name == "user-a"


def test_revoked_token_is_gone_when_the_cache_is_over(keystone: RunningKeystone, identity: Keystone) -> None:
    token = keystone.token("user-b", "project-b")
    identity.validate(token)
    keystone.revoke(token)
    revoked_at = believed_at = time.monotonic()
    with pytest.raises(problems.Unauthenticated):
        while time.monotonic() < revoked_at + CACHE_SECONDS + 10:
            asked_at = time.monotonic()
            identity.validate(token)
            believed_at = asked_at
            time.sleep(0.05)
    assert believed_at - revoked_at < CACHE_SECONDS


def test_service_token_adds_its_roles_beside_the_users(keystone: RunningKeystone, identity: Keystone) -> None:
    caller = identity.validate(keystone.token("user-a", "project-a"), keystone.token("partage", "service"))
    assert "service" in caller.service_roles
    assert caller.roles == {"member", "reader"}
    assert caller.user_name == "user-a"


def test_invalid_service_token_adds_no_roles(keystone: RunningKeystone, identity: Keystone) -> None:
    token = keystone.token("user-a", "project-a")
    for other in (keystone.token("user-b", "project-b"), keystone.token("admin", "admin"), "garbage", ""):
        assert identity.validate(token, other) == identity.validate(token)
    with pytest.raises(problems.Unauthenticated):
        identity.validate("garbage", keystone.token("partage", "service"))


def test_users_role_service_is_no_service_token(keystone: RunningKeystone, identity: Keystone) -> None:
    assert identity.validate(keystone.token("partage", "service")).service_roles == frozenset()


def credential_token(keystone: RunningKeystone, **limits: Any) -> str:
    """Get user C's token by an application credential with these limits."""
    user = keystone.session("user-c", "project-c")
    body = {"application_credential": {"name": f"narrow-{time.time_ns()}", **limits}}
    path = f"{keystone.url}/v3/users/{user.get_user_id()}/application_credentials"
    credential = user.post(path, json=body).json()["application_credential"]
    method = {"id": credential["id"], "secret": credential["secret"]}
    question = {"auth": {"identity": {"methods": ["application_credential"], "application_credential": method}}}
    token: str = user.post(f"{keystone.url}/v3/auth/tokens", json=question, authenticated=False).headers["X-Subject-Token"]
    return token


def test_token_of_a_credential_restricted_by_access_rules_is_refused(keystone: RunningKeystone, identity: Keystone) -> None:
    rules = [{"path": "/v2.1/servers", "method": "GET", "service": "compute"}]
    with pytest.raises(problems.Unauthenticated):
        identity.validate(credential_token(keystone, access_rules=rules))


def test_expired_token_counts_beside_a_service_token_only(keystone: RunningKeystone) -> None:
    """Also when it was remembered as valid a moment ago."""
    identity, strict = edge(keystone.credentials, seconds=30), edge(keystone.credentials, allow_expired=False)
    end = datetime.now(UTC) + timedelta(seconds=8)
    token = credential_token(keystone, expires_at=end.strftime("%Y-%m-%dT%H:%M:%S.%f"))
    assert identity.validate(token).user_name == "user-c"
    time.sleep(max(0.0, (end - datetime.now(UTC)).total_seconds()))
    with pytest.raises(problems.Unauthenticated):
        identity.validate(token)
    service_token = keystone.token("partage", "service")
    assert identity.validate(token, service_token).user_name == "user-c"
    with pytest.raises(problems.Unauthenticated):
        identity.validate(token)
    with pytest.raises(problems.Unauthenticated):
        strict.validate(token, service_token)


def test_32_first_requests_at_once_ask_keystone_once(keystone: RunningKeystone) -> None:
    with relay(keystone) as (credentials, connections):
        identity = edge(credentials)
        identity.check()
        before = len(connections)
        token, start = keystone.token("user-a", "project-a"), threading.Barrier(32)

        def request(_number: int) -> str:
            start.wait()
            return identity.validate(token).user_name

        with ThreadPoolExecutor(32) as pool:
            assert set(pool.map(request, range(32))) == {"user-a"}
        assert connections[before:].count(b"GET") == 1


def test_check_finds_a_good_account(identity: Keystone) -> None:
    identity.check()


def test_wrong_account_of_the_service_is_its_own_fault_not_the_clients(keystone: RunningKeystone) -> None:
    identity = edge(replace(keystone.credentials, password="wrong"))
    with pytest.raises(problems.IdentityUnavailable, match="refuses this service's own user"):
        identity.check()
    with pytest.raises(problems.IdentityUnavailable, match="operator"):
        identity.validate(keystone.token("user-a", "project-a"))


def test_account_that_may_not_validate_is_not_taken_for_a_bad_token(keystone: RunningKeystone) -> None:
    user = replace(keystone.credentials, username="user-b", password=keystone.kept.passwords["user-b"], project_name="project-b")
    with pytest.raises(problems.IdentityUnavailable):
        edge(user).validate(keystone.token("user-a", "project-a"))


def test_nothing_listens_where_keystone_should_be(keystone: RunningKeystone) -> None:
    identity = edge(replace(keystone.credentials, url="http://127.0.0.1:1/identity"))
    with pytest.raises(problems.IdentityUnavailable):
        identity.validate(keystone.token("user-a", "project-a"))
    with pytest.raises(problems.IdentityUnavailable, match=r"127\.0\.0\.1:1"):
        identity.check()


def test_silent_keystone_costs_no_more_than_its_timeout(keystone: RunningKeystone) -> None:
    """However many requests come: they do not wait one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        silent = replace(keystone.credentials, url=f"http://127.0.0.1:{mute.getsockname()[1]}", timeout_seconds=0.5)
        identity = edge(silent)

        def request(number: int) -> str:
            try:
                return identity.validate(f"token-{number}").user_name
            except problems.IdentityUnavailable as problem:
                return problem.reason

        started = time.monotonic()
        with ThreadPoolExecutor(20) as pool:
            answers = set(pool.map(request, range(20)))
        assert time.monotonic() - started < 8, "one after the other they would take ten"
        assert len(answers) == 1
        assert "does not respond" in answers.pop()


def test_cached_token_is_served_while_keystone_is_away(keystone: RunningKeystone) -> None:
    with relay(keystone) as (credentials, _connections):
        identity = edge(credentials, seconds=30)
        token = keystone.token("user-a", "project-a")
        identity.validate(token)
    assert identity.validate(token).user_name == "user-a"
    with pytest.raises(problems.IdentityUnavailable):
        identity.validate(keystone.token("user-b", "project-b"))


def test_keystone_that_comes_back_is_asked_again(keystone: RunningKeystone) -> None:
    with relay(keystone) as (credentials, _connections):
        identity, token = edge(credentials, seconds=0), keystone.token("user-a", "project-a")
    port = int(credentials.url.split(":")[2].split("/")[0])
    with pytest.raises(problems.IdentityUnavailable):
        identity.validate(token)
    with relay(keystone, port):
        time.sleep(1.1)
        assert identity.validate(token).user_name == "user-a"


def test_no_token_is_logged_even_at_debug(keystone: RunningKeystone, caplog: pytest.LogCaptureFixture) -> None:
    token = keystone.token("user-a", "project-a")
    with caplog.at_level(logging.DEBUG):
        edge(keystone.credentials).validate(token)
    assert token not in caplog.text
    assert keystone.kept.passwords["partage"] not in caplog.text


@contextmanager
def relay(keystone: RunningKeystone, port: int = 0) -> Iterator[tuple[Credentials, list[bytes]]]:
    """Stand between the service and Keystone: note the first word of every request, and be gone when the block ends."""
    words: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", port))
    own_port = listener.getsockname()[1]
    thread = threading.Thread(target=_accept, args=(listener, keystone.kept.keystone_port, words))
    thread.start()
    try:
        yield replace(keystone.credentials, url=f"http://127.0.0.1:{own_port}/identity"), words
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _accept(listener: socket.socket, port: int, words: list[bytes]) -> None:
    pairs: list[socket.socket] = []
    threads: list[threading.Thread] = []
    while True:
        try:
            client, _address = listener.accept()
        except OSError:
            break
        upstream = socket.create_connection(("127.0.0.1", port))
        pairs += [client, upstream]
        threads += [
            threading.Thread(target=_pump, args=(client, upstream, words)),
            threading.Thread(target=_pump, args=(upstream, client, None)),
        ]
        for each in threads[-2:]:
            each.start()
    for each in pairs:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
    for each in threads:
        each.join()
    for each in pairs:
        each.close()


def _pump(source: socket.socket, sink: socket.socket, words: list[bytes] | None) -> None:
    try:
        while piece := source.recv(65536):
            if words is not None:
                words.append(piece.split(b" ", 1)[0])
            sink.sendall(piece)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_many_changes_at_once_all_succeed(keystone: RunningKeystone) -> None:
    """Keystone reads and then writes in one transaction; on SQLite two such at a time end one another with a 500."""

    def come_and_go(name: str) -> None:
        for _ in range(3):
            user = keystone.call("POST", "/users", {"user": {"name": name, "password": "chosen for a test"}})["user"]
            keystone.token("user-a", "project-a")
            keystone.call("DELETE", f"/users/{user['id']}")

    assert keystone.admin.get_token(), "signed in once, for all"
    with ThreadPoolExecutor(6) as threads:
        for done in [threads.submit(come_and_go, f"passer-by-{number}") for number in range(6)]:
            done.result()


# Access that ends (T-60), and tokens that are worth less than their user (T-63)


def still_believed(identity: Keystone, token: str, what_ends_it: Callable[[], object]) -> float:
    """Let a token be believed, end it, and give the seconds after which it was believed for the last time."""
    identity.validate(token)
    what_ends_it()
    ended = last = time.monotonic()
    with pytest.raises(problems.Unauthenticated):
        while True:
            asked = time.monotonic()
            identity.validate(token)
            last = asked
            time.sleep(0.05)
    return last - ended


@pytest.mark.parametrize(
    "what", ["token revoked", "role removed", "user disabled", "project disabled", "project deleted", "user deleted"]
)
def test_revoked_access_ends_within_the_cache_time(what: str, keystone: RunningKeystone, identity: Keystone) -> None:
    name = f"ending-{time.time_ns()}"
    keystone.add_user(name, name, "member")
    project = keystone.project_id(name)
    user = keystone.call("GET", f"/users?name={name}")["users"][0]["id"]
    member = keystone.call("GET", "/roles?name=member")["roles"][0]["id"]
    token = keystone.token(name, name)
    end = {
        "token revoked": lambda: keystone.revoke(token),
        "role removed": lambda: keystone.call("DELETE", f"/projects/{project}/users/{user}/roles/{member}"),
        "user disabled": lambda: keystone.call("PATCH", f"/users/{user}", {"user": {"enabled": False}}),
        "project disabled": lambda: keystone.call("PATCH", f"/projects/{project}", {"project": {"enabled": False}}),
        "project deleted": lambda: keystone.call("DELETE", f"/projects/{project}"),
        "user deleted": lambda: keystone.call("DELETE", f"/users/{user}"),
    }[what]
    assert still_believed(identity, token, end) <= CACHE_SECONDS


def test_token_is_cached_for_ten_seconds_by_default() -> None:
    assert IdentitySettings().cache_seconds <= 10


def test_a_credential_with_one_role_has_no_other(keystone: RunningKeystone, identity: Keystone) -> None:
    token = credential_token(keystone, roles=[{"name": "reader"}])
    caller = identity.validate(token)
    assert (caller.roles, caller.is_admin) == ({"reader"}, False)
    assert caller.project_id == keystone.project_id("project-c")


def test_trust_token_has_the_trusts_project_and_roles(keystone: RunningKeystone, identity: Keystone) -> None:
    """An administrator lends a user the role of a reader: the token has neither more, nor the trustee's own."""
    admin, user = keystone.session("admin", "admin"), keystone.session("user-b", "project-b")
    trust = {
        "trustor_user_id": admin.get_user_id(),
        "trustee_user_id": user.get_user_id(),
        "project_id": admin.get_project_id(),
        "impersonation": False,
        "roles": [{"name": "reader"}],
    }
    made = admin.post(f"{keystone.url}/v3/OS-TRUST/trusts", json={"trust": trust}).json()["trust"]
    caller = identity.validate(keystone.token("user-b", trust_id=made["id"]))
    assert (caller.user_id, caller.project_id) == (user.get_user_id(), admin.get_project_id())
    assert (caller.roles, caller.is_admin) == ({"reader"}, False)


def test_ec2_token_has_its_project(keystone: RunningKeystone, identity: Keystone) -> None:
    user = keystone.session("user-b", "project-b")
    path = f"{keystone.url}/v3/users/{user.get_user_id()}/credentials/OS-EC2"
    pair = user.post(path, json={"tenant_id": user.get_project_id()}).json()["credential"]
    signed_with = {"SignatureVersion": "2", "SignatureMethod": "HmacSHA256"}
    given = {"access": pair["access"], "host": "h", "verb": "GET", "path": "/", "params": signed_with}
    signature = Ec2Signer(pair["secret"]).generate(given)
    question = {"credentials": {**given, "signature": signature}}
    service = keystone.session("partage", "service")
    token = service.post(f"{keystone.url}/v3/ec2tokens", json=question).headers["X-Subject-Token"]
    caller = identity.validate(token)
    assert (caller.project_id, caller.is_admin) == (user.get_project_id(), False)
    assert caller.roles <= {"member", "reader"}


# The certificate of Keystone (T-81)


YESTERDAY = datetime.now(UTC) - timedelta(days=1)
CERTIFICATES: dict[str, Callable[[trustme.CA], trustme.LeafCert]] = {
    "unknown authority": lambda _: trustme.CA().issue_cert("localhost"),
    "another host": lambda authority: authority.issue_cert("keystone.example"),
    "expired": lambda authority: authority.issue_cert("localhost", not_before=YESTERDAY - timedelta(days=1), not_after=YESTERDAY),
    "not yet valid": lambda authority: authority.issue_cert("localhost", not_before=YESTERDAY + timedelta(days=2)),
}


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_keystone_with_a_bad_certificate_receives_no_secret(
    kind: str, keystone: RunningKeystone, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    CERTIFICATES[kind](authority).configure_cert(context)
    with origins.serving(origins.saying(origins.content(b"{}")), host="127.0.0.1", tls=context) as impostor:
        url = f"https://localhost:{impostor.port}"
        for path in (str(tmp_path / "authority.pem"), None):
            given = replace(keystone.credentials, url=url, ca_file=path, timeout_seconds=5.0)
            with pytest.raises(problems.IdentityUnavailable):
                edge(given).validate("a-token")
        assert impostor.connections >= 2
        assert [each for each in impostor.requests if each] == []
    assert keystone.credentials.password not in caplog.text


def test_keystone_with_a_good_certificate_is_used(keystone: RunningKeystone, tmp_path: Path) -> None:
    """The same impostor, vouched for: it is spoken to, so that the test above shows what it says."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with origins.serving(origins.saying(origins.content(b"{}")), host="127.0.0.1", tls=context) as other:
        given = replace(keystone.credentials, url=f"https://localhost:{other.port}", ca_file=str(tmp_path / "authority.pem"))
        with pytest.raises(problems.IdentityUnavailable):
            edge(given).validate("a-token")
        assert any(other.requests)
