"""Stories of webhooks over HTTP: secret, bounds, visibility. `tests/operations/test_deliveries.py` sends events."""

import base64
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from partage.model.webhook import WebhookRules
from partage.operations.sharing import deliveries
from tests.api.conftest import World, cast_of
from tests.api.partage.sharing import WEBHOOKS, offered_image
from tests.api.partage.test_shares_over_http import problem_of
from tests.api.personas import Cast
from tests.unit.outbound import origins
from tests.webhook_receiver import Receiver, receive

URL = "https://hooks.example.org/partage?key=1"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive() as found:
        yield found


@pytest.fixture
def own(
    another_world: Callable[..., World], everybody: dict[str, tuple[str, str]], receiver: Receiver
) -> Iterator[tuple[World, Cast]]:
    world = another_world(
        fetch=origins.rules(receiver.port, 443, hides_failures=False), webhooks=WebhookRules(per_project=3, most_failures=2)
    )
    cast = cast_of(world, everybody)
    yield world, cast
    cast.leave()


def test_secret_is_shown_once(own: tuple[World, Cast]) -> None:
    _world, cast = own
    answer = cast.owner.call("POST", WEBHOOKS, json={"url": URL, "description": "ours"})
    created = answer.json()
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    assert len(base64.b64decode(created.pop("secret").removeprefix("whsec_"))) == 32
    assert (created["url"], created["description"], created["status"]) == (URL, "ours", "active")
    assert cast.owner.call("GET", f"{WEBHOOKS}/{created['id']}").json() == created
    assert cast.owner.call("GET", WEBHOOKS).json() == {"webhooks": [created]}
    changed = cast.owner.call("PATCH", f"{WEBHOOKS}/{created['id']}", json={"description": "changed"}).json()
    assert changed == created | {"description": "changed"}


def test_receiver_gets_the_events_of_its_project(own: tuple[World, Cast], receiver: Receiver) -> None:
    world, cast = own
    webhook = cast.member.call("POST", WEBHOOKS, json={"url": receiver.url()}).json()["id"]
    image = offered_image(cast)
    assert deliveries.deliver_next(world.service)
    assert [(each.event["type"], each.event["subject"]) for each in receiver.messages] == [("partage.share.offered", image)]
    shown = cast.member.call("GET", f"{WEBHOOKS}/{webhook}").json()
    assert (shown["after"], shown["failures"]) == (receiver.messages[0].event["id"], 0)
    assert shown["delivered_at"]


def test_webhook_says_that_it_is_paused_and_why(own: tuple[World, Cast], receiver: Receiver) -> None:
    world, cast = own
    path = f"{WEBHOOKS}/{cast.owner.call('POST', WEBHOOKS, json={'url': receiver.url()}).json()['id']}"
    cast.owner.has_an_image()
    receiver.answer = lambda _number: 500
    deliveries.deliver_next(world.service)
    failing = cast.owner.call("GET", path).json()
    assert (failing["status"], failing["failures"], failing["last_error"]) == ("active", 1, "the URL answered with status 500")
    assert failing["next_attempt_at"] > failing["failing_since"]
    receiver.answer = lambda _number: 410
    assert cast.owner.call("PATCH", path, json={"enabled": False}).json()["status"] == "disabled"
    assert cast.owner.call("PATCH", path, json={"enabled": True}).json()["failures"] == 0
    deliveries.deliver_next(world.service)
    paused = cast.owner.call("GET", path).json()
    assert (paused["status"], paused["next_attempt_at"]) == ("paused", None)


def test_webhook_of_another_project_is_answered_as_nonexistent(own: tuple[World, Cast]) -> None:
    _world, cast = own
    webhook, never = cast.owner.call("POST", WEBHOOKS, json={"url": URL}).json()["id"], str(uuid4())
    for method, body in (("GET", None), ("PATCH", {"enabled": False}), ("DELETE", None)):
        answers = [cast.member.call(method, f"{WEBHOOKS}/{each}", json=body) for each in (webhook, never)]
        assert [each.status_code for each in answers] == [404, 404]
        assert answers[0].text.replace(webhook, never) == answers[1].text
    assert cast.owner.call("GET", f"{WEBHOOKS}/{webhook}").json()["status"] == "active"


def test_project_has_a_bounded_number_of_webhooks(own: tuple[World, Cast]) -> None:
    _world, cast = own
    answers = [cast.owner.call("POST", WEBHOOKS, json={"url": URL}) for _ in range(4)]
    assert [each.status_code for each in answers] == [201, 201, 201, 413]
    assert cast.member.call("POST", WEBHOOKS, json={"url": URL}).status_code == 201


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://169.254.169.254/", "file:///etc/passwd", "https://u:p@x.example/", "x"]
)
def test_url_that_the_operator_does_not_permit_is_refused(url: str, cast: Cast) -> None:
    assert problem_of(cast.owner.call("POST", WEBHOOKS, json={"url": url})) == (400, "uri-refused")
    webhook = cast.owner.call("POST", WEBHOOKS, json={"url": URL}).json()["id"]
    assert problem_of(cast.owner.call("PATCH", f"{WEBHOOKS}/{webhook}", json={"url": url})) == (400, "uri-refused")
    assert cast.owner.call("DELETE", f"{WEBHOOKS}/{webhook}").status_code == 204


@pytest.mark.parametrize(
    "document", [{}, {"url": 1}, {"url": URL, "secret": "s"}, {"url": URL, "description": "d" * 256}, {"url": "a\nb"}, []]
)
def test_documents_that_do_not_fit_are_refused(document: object, cast: Cast) -> None:
    assert problem_of(cast.owner.call("POST", WEBHOOKS, json=document)) == (400, "body-invalid")


@pytest.mark.parametrize("document", [{"enabled": None}, {"enabled": 1}, {"status": "active"}, {"url": None}])
def test_changes_that_do_not_fit_are_refused(document: object, cast: Cast) -> None:
    assert problem_of(cast.owner.call("PATCH", f"{WEBHOOKS}/{uuid4()}", json=document)) == (400, "body-invalid")


@pytest.mark.parametrize("url", ["ftp://hooks.example.org/", "https://hooks.example.org:22/", "https://127.0.0.1/"])
def test_refusal_of_a_url_speaks_of_no_image(url: str, cast: Cast) -> None:
    answer = cast.owner.call("POST", WEBHOOKS, json={"url": url})
    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("The service ")
    assert "image" not in answer.json()["detail"].lower()


def test_features_name_events_and_webhooks(cast: Cast) -> None:
    assert {"events", "webhooks"} <= set(cast.anonymous.call("GET", "/partage").json()["features"])
