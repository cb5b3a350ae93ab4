"""What stands in the way between a client and its cloud: endpoints, tokens, certificates, proxies, catalogs, and many images."""

import os
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

import faulty_endpoint
import library
import partageclient
from faulty_endpoint import FaultyEndpoint
from partageclient import errors
from partageclient.connections import Cloud
from places import Place


@pytest.fixture
def endpoint(partage: Place) -> Iterator[FaultyEndpoint]:
    """Give an endpoint before a Partage, which looks like a plain Glance."""
    with faulty_endpoint.run(partage.cloud("project-a").image_url) as found:
        found.is_plain = True
        yield found


def connect(place: Place, endpoint: FaultyEndpoint, profile: str = "project-a", **settings: object) -> Cloud:
    settings["image_endpoint_override"] = f"{endpoint.url}/v2"
    return Cloud(place.connect(profile, **settings), profile)


def test_endpoint_that_goes_away_leaves_rows_that_say_what_is_done(partage: Place, endpoint: FaultyEndpoint) -> None:
    ids = [partage.create_image(f"disk-{number}", visibility="shared")["id"] for number in range(24)]
    b = partage.cloud("project-b").project_id
    members: list[str] = []

    def go_away(method: str, path: str) -> int | None:
        if method == "POST" and path.endswith("/members"):
            members.append(path)
        return 0 if len(members) > 4 else None

    endpoint.intervene = go_away
    cloud = connect(partage, endpoint)
    outcomes = partageclient.share(cloud, ids, [b])
    by_result = {name: [each for each in outcomes if each.result == name] for name in ("offered", "failed", "not begun")}
    assert [len(each) for each in by_result.values()].count(0) == 0
    assert len(outcomes) == 24
    assert all(isinstance(each.problem, errors.Unreachable) for each in outcomes if each.result != "offered")
    assert {each.image_id for each in by_result["offered"]} <= {
        each.image_id for each in partageclient.outbox(partage.cloud("project-a"))
    }
    endpoint.intervene = lambda _method, _path: None
    assert all(each.problem is None for each in partageclient.share(cloud, ids, [b]))


def test_endpoint_that_goes_away_between_two_requests_keeps_the_first_answers(partage: Place, endpoint: FaultyEndpoint) -> None:
    """A thousand answers go in one request to Partage."""
    endpoint.is_plain = False
    answered: list[str] = []

    def go_away(method: str, path: str) -> int | None:
        if method == "POST" and path.endswith("/accept"):
            answered.append(path)
        return 0 if len(answered) > 1 else None

    endpoint.intervene = go_away
    ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(2001)]
    outcomes = partageclient.accept(connect(partage, endpoint), ids)
    kinds = [(each.result, type(each.problem)) for each in outcomes]
    assert kinds[:1000] == [("failed", errors.NotFound)] * 1000
    assert kinds[1000:2000] == [("failed", errors.Unreachable)] * 1000
    assert kinds[2000:] == [("not begun", errors.Unreachable)]


def press_ctrl_c_once(endpoint: FaultyEndpoint, method: str, path_part: str) -> None:
    """Let the person press Ctrl-C when the endpoint gets a request."""
    presses = iter([signal.SIGINT])

    def press(asked: str, path: str) -> None:
        number = next(presses, None) if asked == method and path_part in path else None
        if number is not None:
            os.kill(os.getpid(), number)

    endpoint.intervene = press


def test_interrupt_while_members_accept_tells_what_is_only_offered(partage: Place, endpoint: FaultyEndpoint) -> None:
    ids = [partage.create_image(f"disk-{number}", visibility="shared")["id"] for number in range(20)]
    press_ctrl_c_once(endpoint, "PUT", "/members/")
    with pytest.raises(errors.Interrupted) as caught:
        partageclient.share(connect(partage, endpoint), ids, accept_as=[connect(partage, endpoint, "project-b")])
    outcomes = [each for each in caught.value.results if isinstance(each, partageclient.Outcome)]
    assert (len(outcomes), caught.value.left) == (20, 0)
    assert {each.status for each in outcomes} == {"accepted", "pending"}
    found = {each.image_id: each.status for each in partageclient.inbox(partage.cloud("project-b"))}
    assert {each.image_id: each.status for each in outcomes} == found


def test_interrupt_before_anything_changed_has_no_outcomes(partage: Place, endpoint: FaultyEndpoint) -> None:
    image = partage.create_image("golden")
    press_ctrl_c_once(endpoint, "GET", f"/v2/images/{image['id']}")
    with pytest.raises(errors.Interrupted) as caught:
        partageclient.share(connect(partage, endpoint), [image["id"]], [partage.cloud("project-b").project_id])
    assert (caught.value.results, caught.value.left) == ([], 1)
    assert partageclient.outbox(partage.cloud("project-a")) == []


def test_failure_of_the_service_is_met_with_a_second_request(partage: Place, endpoint: FaultyEndpoint) -> None:
    image = partage.create_image("golden")
    failed: list[str] = []

    def fail_once(method: str, path: str) -> int | None:
        if method == "POST" and path.endswith("/members") and not failed:
            failed.append(path)
            return 500
        return None

    endpoint.intervene = fail_once
    [outcome] = partageclient.share(connect(partage, endpoint), [image["id"]], [partage.cloud("project-b").project_id])
    assert (outcome.result, len(failed)) == ("offered", 1)


def test_expired_token_is_renewed_with_the_password(partage: Place, endpoint: FaultyEndpoint) -> None:
    partage.create_image("golden", visibility="shared")
    cloud = connect(partage, endpoint)
    assert partageclient.inbox(cloud) == []
    expired = iter([401])
    endpoint.intervene = lambda _method, path: next(expired, None) if path.startswith("/v2/images") else None
    assert partageclient.inbox(cloud) == []
    assert next(expired, "used") == "used"


def test_token_that_cannot_be_renewed_is_said_to_be_the_cause(partage: Place, endpoint: FaultyEndpoint) -> None:
    endpoint.intervene = lambda _method, path: 401 if path.startswith("/v2/images") else None
    with pytest.raises(errors.NotSignedIn, match="sign in again"):
        partageclient.inbox(connect(partage, endpoint))


def test_wrong_password_is_refused_in_words(partage: Place) -> None:
    cloud = Cloud(partage.connect("project-a", auth={"password": "wrong"}), "project-a")
    with pytest.raises(errors.NotSignedIn, match="Sign in to project-a"):
        _ = cloud.project_id


def test_private_certificate_authority_has_to_be_named(partage: Place, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with faulty_endpoint.run(partage.cloud("project-a").image_url, context) as endpoint:
        with pytest.raises(errors.Unreachable, match="--os-cacert"):
            partageclient.inbox(connect(partage, endpoint))
        trusting = connect(partage, endpoint, cacert=str(tmp_path / "ca.pem"))
        assert partageclient.inbox(trusting) == []
        assert trusting.features.has_sharing_api


def test_requests_go_through_the_proxy_of_the_environment(
    partage: Place, endpoint: FaultyEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{endpoint.port}")
    monkeypatch.setenv("no_proxy", "")
    endpoint.is_plain = False
    assert partageclient.inbox(Cloud(partage.connect("project-a"))) == []
    paths = [path for _method, path, _range in endpoint.requests]
    assert "/partage" in paths
    assert any(path.startswith("/identity/v3/auth/tokens") for path in paths)


def test_region_and_interface_choose_the_endpoint(partage: Place) -> None:
    identity = partage.cloud("admin").connection.identity
    [service] = [each for each in identity.services() if each.type == "image"]
    [public] = list(identity.endpoints(service_id=service.id, interface="public"))
    identity.create_region(id="far-away")
    elsewhere = ("http://127.0.0.1:9/far", "http://127.0.0.1:9/inside")
    made = [
        identity.create_endpoint(service_id=service.id, interface="public", url=elsewhere[0], region_id="far-away"),
        identity.create_endpoint(service_id=service.id, interface="internal", url=elsewhere[1], region_id="far-away"),
    ]
    try:
        here = Cloud(partage.connect("project-a"))
        assert here.image_url == public.url.rstrip("/")
        assert Cloud(partage.connect("project-a", region_name="far-away")).image_url == elsewhere[0]
        inside = Cloud(partage.connect("project-a", region_name="far-away", interface="internal"))
        assert inside.image_url == elsewhere[1]
        with pytest.raises(errors.Unreachable, match="no answer"):
            partageclient.inbox(inside)
        with pytest.raises(errors.NotFound, match="--os-region-name"):
            partageclient.inbox(Cloud(partage.connect("project-a", region_name="nowhere")))
    finally:
        for each in made:
            identity.delete_endpoint(each)
        identity.delete_region("far-away")


def test_ten_thousand_received_images_are_listed_by_page(partage: Place) -> None:
    me = partage.cloud("project-b").project_id
    with library.run(10_000, owner="f" * 32, member=me) as glance:
        settings = {"image_endpoint_override": f"http://127.0.0.1:{glance.port}/v2"}
        found = partageclient.inbox(Cloud(partage.connect("project-b", **settings)))
        assert len({each.image_id for each in found}) == 10_000
        assert glance.requests < 30


@pytest.mark.slow
def test_ten_thousand_offered_images_are_asked_for_members_with_progress(partage: Place) -> None:
    me = partage.cloud("project-a").project_id
    shown: list[int] = []
    with library.run(10_000, owner=me, member="f" * 32) as glance:
        settings = {"image_endpoint_override": f"http://127.0.0.1:{glance.port}/v2"}
        cloud = Cloud(partage.connect("project-a", **settings))
        found = partageclient.outbox(cloud, progress=lambda done, _total: shown.append(done))
    assert len({each.image_id for each in found}) == 10_000
    assert shown[-1] == 10_000
    assert len(shown) > 100
