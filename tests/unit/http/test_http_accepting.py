"""Which worker accepts the next connection."""

import pytest

from partage.http.server.accepting import ConnectionCounts


@pytest.mark.parametrize(
    ("counts", "defers"),
    [
        ((4, 0), False),
        ((5, 0), True),
        ((218, 202), False),  # idle connections: were it to defer, the other would get every new one
        ((257, 202), True),
        ((90, 70), False),
        ((92, 70), True),
        ((0, 90), False),
    ],
)
def test_worker_defers_when_it_has_a_quarter_more_connections(counts: tuple[int, int], defers: bool) -> None:
    shares = ConnectionCounts(2)
    for worker, connections in enumerate(counts):
        shares.publish(worker, connections)
    assert shares.has_too_many(0) is defers


def test_worker_that_accepts_no_more_is_not_waited_for() -> None:
    shares = ConnectionCounts(2)
    shares.publish(0, 50)
    shares.publish(1, 0)
    assert shares.has_too_many(0)
    shares.leave(1)
    assert not shares.has_too_many(0)
