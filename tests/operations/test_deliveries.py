"""Deliveries of events to webhooks: in order, signed, at least once, with back-off, and no project waits for another."""

import base64
import hashlib
import hmac
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from partage import problems
from partage.main.logs import TextLines
from partage.model.event import EventRetention
from partage.model.ids import ProjectID
from partage.model.image import NewImage
from partage.model.webhook import NewWebhook, Webhook, WebhookChange, WebhookRules, WebhookStatus, sign
from partage.operations import images, members
from partage.operations.service import Service
from partage.operations.sharing import deliveries, event_feed, webhooks
from partage.records.database import Database, Transaction
from partage.records.event_tables import events as table
from tests.operations.services import OWNER, Clock, make
from tests.operations.sharing_worlds import MEMBER
from tests.services import change_service
from tests.unit.outbound import origins
from tests.webhook_receiver import Receiver, receive

NAMES = ("one", "two", "three")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receive() as found:
        yield found


@pytest.fixture
def service(tmp_path: Path, clock: Clock, receiver: Receiver) -> Service:
    return allow(make(tmp_path, clock=clock), receiver)


def allow(service: Service, *receivers: Receiver, **changed: Any) -> Service:
    return change_service(service, fetch=origins.rules(*(each.port for each in receivers), hides_failures=False), **changed)


def hook(service: Service, receiver: Receiver, caller: Any = OWNER) -> Webhook:
    return webhooks.create_webhook(service, caller, NewWebhook(url=receiver.url()))


def show(service: Service, webhook: Webhook) -> Webhook:
    return webhooks.show_webhook(service, replace(OWNER, project_id=webhook.project_id), webhook.id)


def create(service: Service, *names: str, caller: Any = OWNER) -> None:
    for name in names:
        images.create_image(service, caller, NewImage(name=name))


def names_of(receiver: Receiver) -> list[str]:
    return [each.event["data"]["data"]["name"] for each in receiver.messages]


def deliver(service: Service) -> int:
    """Deliver all that is due; return in how many turns."""
    turns = 0
    while deliveries.deliver_next(service):
        turns += 1
    return turns


def test_events_are_delivered_in_order_and_once(service: Service, receiver: Receiver) -> None:
    create(service, "before")
    webhook = hook(service, receiver)
    create(service, *NAMES)
    assert deliver(service) == 1
    assert names_of(receiver) == [*NAMES]
    assert deliver(service) == 0
    assert show(service, webhook).after == receiver.messages[-1].event["id"]


def test_message_is_a_signed_cloudevent(service: Service, receiver: Receiver, clock: Clock) -> None:
    webhook = hook(service, receiver)
    create(service, "one")
    deliver(service)
    [message] = receiver.messages
    event = message.event
    assert (event["specversion"], event["type"], event["source"]) == ("1.0", "partage.image.created", "/partage/v1/events")
    assert (event["time"], event["subject"]) == ("2026-11-24T08:00:00Z", event["data"]["image_id"])
    assert event["data"]["cursor"] == event["id"] == message.headers["webhook-id"]
    assert message.headers["content-type"] == "application/cloudevents+json"
    assert message.headers["webhook-timestamp"] == str(int(clock.now.timestamp()))
    signed = f"{event['id']}.{int(clock.now.timestamp())}.".encode() + message.body
    digest = hmac.new(base64.b64decode(webhook.secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert message.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_signature_is_that_of_the_standards_example() -> None:
    """Source: the test of the reference libraries of Standard Webhooks."""
    signature = sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_member_receives_its_side_without_users_of_the_owner(service: Service, receiver: Receiver) -> None:
    hook(service, receiver, caller=MEMBER)
    image = images.create_image(service, OWNER, NewImage(name="n"))
    members.add_member(service, replace(OWNER, request_id="req-1"), image.id, ProjectID("B"))
    deliver(service)
    assert receiver.types == ["partage.share.offered"]
    data = receiver.messages[0].event["data"]
    assert data["actor"] == {"role": "owner", "project_id": None, "user_id": None}
    assert data["request_id"] is None


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [TextLines().format(each).partition(" info ")[2] for each in caplog.records if each.name == "partage.webhooks"]


def test_each_failed_delivery_is_a_line_without_the_url(
    service: Service, receiver: Receiver, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "partage.webhooks")
    webhook = hook(service, receiver)
    create(service, "one")
    receiver.answer = lambda number: 500 if number == 1 else 200
    deliver(service)
    clock.passes(seconds=60)
    deliver(service)
    failed, again = lines_of(caplog)
    subject = f"webhook={webhook.id} project={webhook.project_id}"
    assert failed.startswith(f"partage.webhooks: webhook delivery failed {subject} failures=1 next_attempt=2026-11-24T08:00:0")
    assert failed.endswith('reason="the URL answered with status 500"')
    assert again == f"partage.webhooks: webhook delivers again {subject} failures=1"
    assert str(receiver.port) not in failed


def test_webhook_that_is_given_up_is_a_line(service: Service, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "partage.webhooks")
    webhook = hook(service, receiver)
    create(service, "one")
    receiver.answer = lambda _number: 410
    deliver(service)
    subject = f"webhook={webhook.id} project={webhook.project_id}"
    assert lines_of(caplog) == [
        f'partage.webhooks: webhook paused {subject} failures=1 reason="the URL answered with status 410"',
    ]


def test_failed_event_is_sent_again_before_later_ones(service: Service, receiver: Receiver, clock: Clock) -> None:
    webhook = hook(service, receiver)
    create(service, *NAMES)
    receiver.answer = lambda number: 503 if number in (2, 3) else 200
    deliver(service)
    found = show(service, webhook)
    assert (found.status, found.failures, found.last_error) == (WebhookStatus.ACTIVE, 1, "the URL answered with status 503")
    assert found.failing_since == clock.now
    assert timedelta(seconds=2.5) <= found.due_at - clock.now <= timedelta(seconds=5)
    clock.passes(seconds=6)
    deliver(service)
    assert timedelta(seconds=5) <= show(service, webhook).due_at - clock.now <= timedelta(seconds=10)
    clock.passes(seconds=11)
    deliver(service)
    assert names_of(receiver) == ["one", "two", "two", "two", "three"]
    found = show(service, webhook)
    assert (found.failures, found.failing_since, found.last_error) == (0, None, None)


def test_webhook_is_paused_after_repeated_failure(service: Service, receiver: Receiver, clock: Clock) -> None:
    service = change_service(service, webhooks=WebhookRules(most_failures=4))
    webhook = hook(service, receiver)
    create(service, *NAMES)
    receiver.answer = lambda _number: 500
    began = clock.now
    for _ in range(10):
        deliver(service)
        clock.passes(hours=2)
    found = show(service, webhook)
    assert (found.status, found.failures, found.failing_since) == (WebhookStatus.PAUSED, 4, began)
    assert len(receiver.messages) == 4
    receiver.answer = lambda _number: 200
    webhooks.change_webhook(service, OWNER, webhook.id, WebhookChange(enabled=True))
    deliver(service)
    assert names_of(receiver)[4:] == [*NAMES]


def test_gone_pauses_at_once(service: Service, receiver: Receiver) -> None:
    webhook = hook(service, receiver)
    create(service, *NAMES)
    receiver.answer = lambda _number: 410
    deliver(service)
    found = show(service, webhook)
    assert (found.status, found.last_error) == (WebhookStatus.PAUSED, "the URL answered with status 410")
    assert len(receiver.messages) == 1


def test_redirect_is_a_failure_and_is_not_followed(service: Service, receiver: Receiver) -> None:
    with receive() as other:
        service = allow(service, receiver, other)
        webhook = hook(service, receiver)
        create(service, "one")
        receiver.answer, receiver.headers = (lambda _number: 307), {"Location": other.url()}
        deliver(service)
        assert (len(receiver.messages), other.messages) == (1, [])
        assert show(service, webhook).last_error == "the URL answered with status 307"


def test_url_at_a_forbidden_address_is_refused_when_it_is_given(service: Service) -> None:
    for url in ("http://127.0.0.1/", "http://169.254.169.254/latest", "http://[::1]/", "ftp://example.org/", "http://10.0.0.1/"):
        with pytest.raises(problems.UriRefused):
            webhooks.create_webhook(service, OWNER, NewWebhook(url=url))


def test_name_of_a_forbidden_address_is_refused_when_it_is_used(service: Service, receiver: Receiver) -> None:
    with receive() as inside:
        del inside
        webhook = webhooks.create_webhook(service, OWNER, NewWebhook(url=f"http://localhost:{receiver.port}/"))
        create(service, "one")
        deliver(service)
        found = show(service, webhook)
        assert found.failures == 1
        assert "has to be a name or address that is allowed" in (found.last_error or "")


def test_unreachable_receiver_says_nothing_of_the_reason(service: Service) -> None:
    with receive() as closed:
        pass
    service = allow(service, closed)
    webhook = hook(service, closed)
    create(service, "one")
    deliver(service)
    assert show(service, webhook).last_error == "the URL cannot be reached, or does not answer in time with HTTP"


def test_slow_receiver_holds_up_no_other_project(service: Service, receiver: Receiver) -> None:
    """The slow one answers only after the other's events have come."""
    with receive() as quick:
        service = allow(service, receiver, quick)
        hook(service, receiver)
        hook(service, quick, caller=MEMBER)
        released = threading.Event()
        receiver.before_answer = lambda: released.wait(30) and None
        create(service, *NAMES)
        create(service, *NAMES, caller=MEMBER)
        slow = threading.Thread(target=deliver, args=(service,))
        slow.start()
        try:
            while not receiver.messages:
                assert slow.is_alive()
            deliver(service)
            assert names_of(quick) == [*NAMES]
            assert len(receiver.messages) == 1
        finally:
            released.set()
            slow.join()
        assert names_of(receiver) == [*NAMES]


def test_second_webhook_of_a_project_waits_while_the_first_is_served(service: Service, receiver: Receiver) -> None:
    hook(service, receiver)
    hook(service, receiver)
    create(service, "one")
    served: list[bool] = []
    receiver.before_answer = lambda: served.append(deliveries.deliver_next(service)) if not served else None
    assert deliver(service) == 2
    assert served == [False]
    assert names_of(receiver) == ["one", "one"]


def test_turns_alternate_between_webhooks_with_many_events(service: Service, receiver: Receiver, clock: Clock) -> None:
    with receive() as other:
        service = allow(service, receiver, other)
        hook(service, receiver)
        hook(service, other, caller=MEMBER)
        create(service, *(str(number) for number in range(60)))
        create(service, "one", caller=MEMBER)
        receiver.before_answer = lambda: clock.passes(seconds=1)
        deliveries.deliver_next(service)
        deliveries.deliver_next(service)
        assert names_of(other) == ["one"]
        assert 5 <= len(receiver.messages) < 10
        deliver(service)
        assert names_of(receiver) == [str(number) for number in range(60)]


def test_disabled_webhook_receives_nothing_until_it_is_enabled(service: Service, receiver: Receiver) -> None:
    webhook = hook(service, receiver)
    webhooks.change_webhook(service, OWNER, webhook.id, WebhookChange(enabled=False))
    create(service, *NAMES)
    assert deliver(service) == 0
    webhooks.change_webhook(service, OWNER, webhook.id, WebhookChange(enabled=True))
    deliver(service)
    assert names_of(receiver) == [*NAMES]


def test_webhook_that_is_deleted_or_changed_meanwhile_gets_no_more(service: Service, receiver: Receiver) -> None:
    webhook = hook(service, receiver)
    create(service, *NAMES)
    receiver.before_answer = lambda: webhooks.delete_webhook(service, OWNER, webhook.id)
    deliver(service)
    assert names_of(receiver) == ["one"]


def test_removed_events_pause_the_webhook_and_say_so(service: Service, receiver: Receiver) -> None:
    webhook = hook(service, receiver)
    create(service, *NAMES)
    event_feed.remove_old_events(change_service(service, event_retention=EventRetention(rows_per_project=1)))
    deliver(service)
    found = show(service, webhook)
    assert (found.status, receiver.messages) == (WebhookStatus.PAUSED, [])
    assert "removed before they were delivered" in (found.last_error or "")
    webhooks.change_webhook(service, OWNER, webhook.id, WebhookChange(enabled=True))
    deliver(service)
    assert names_of(receiver) == ["three"]


def test_project_has_a_bounded_number_of_webhooks(service: Service, receiver: Receiver) -> None:
    service = change_service(service, webhooks=WebhookRules(per_project=2))
    first = hook(service, receiver)
    hook(service, receiver)
    with pytest.raises(problems.TooMany):
        hook(service, receiver)
    webhooks.delete_webhook(service, OWNER, first.id)
    hook(service, receiver)


class Died(BaseException):
    """The worker is killed."""


class Dying(Database):
    """Dies before or after the commit of its n-th write transaction."""

    def __init__(self, inner: Database, at: int, *, after_commit: bool) -> None:
        self._inner, self._left, self._after_commit = inner, at, after_commit

    def read(self) -> Any:
        return self._inner.read()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        self._left -= 1
        with self._inner.write() as tx:
            yield tx
            if self._left == 0 and not self._after_commit:
                raise Died
        if self._left == 0:
            raise Died


@pytest.mark.parametrize("after_commit", [False, True])
@pytest.mark.parametrize("at", range(1, 5))
def test_worker_that_dies_at_any_step_delivers_later(
    service: Service, receiver: Receiver, clock: Clock, at: int, *, after_commit: bool
) -> None:
    hook(service, receiver)
    create(service, *NAMES)
    with suppress(Died):
        deliver(replace(service, database=Dying(service.database, at, after_commit=after_commit)))
    sent = len(receiver.messages)
    clock.passes(seconds=deliveries.CLAIM.total_seconds() + 1)
    deliver(service)
    found = names_of(receiver)
    assert list(dict.fromkeys(found)) == [*NAMES]
    assert len(found) - len(NAMES) <= 1, "at most the event under way is sent twice"
    assert sent <= len(found)


def test_worker_that_lost_its_claim_moves_nothing(service: Service, receiver: Receiver, clock: Clock) -> None:
    webhook = hook(service, receiver)
    create(service, *NAMES)
    once: list[Callable[[], object]] = [lambda: (clock.passes(minutes=3), deliver(service))]
    receiver.before_answer = lambda: once.pop()() and None if once else None
    deliver(service)
    assert names_of(receiver) == ["one", "one", "two", "three"]
    assert show(service, webhook).after == receiver.messages[-1].event["id"]


def test_events_that_are_gone_leave_nothing_to_deliver(service: Service, receiver: Receiver) -> None:
    hook(service, receiver)
    create(service, "one")
    with service.database.write() as tx:
        tx.execute(delete(table))
    assert deliver(service) == 0
