"""The checker of recorded histories itself: histories that are known to be linearizable, and others that are known not to be."""

from collections.abc import Callable
from typing import Any

from tests.races.linearizability import Event, NoOrder, divide, find_order, split
from tests.races.sharing_model import Call
from tests.races.sharing_world import Ending, Image, Membership, Promise, World

SHARED = World({"x": Image("A", members={"B": Membership(0, notice=0, status="accepted")})})


def event(started: int, ended: int, name: str, caller: str, answer: Any, *, clock: tuple[int, int] = (0, 0), **given: Any) -> Event:
    return Event(Call(name, caller, ("x",), given), answer, started, ended, *clock)


def has_order(history: list[Event], world: World, accepts: Callable[[World], bool] = lambda _world: True) -> bool:
    try:
        found = find_order(history, world, accepts=accepts)
    except NoOrder:
        return False
    assert sorted(map(str, found)) == sorted(map(str, history))
    return True


def remove(started: int, ended: int) -> Event:
    return event(started, ended, "remove member", "A", None, project="B")


def download(started: int, ended: int, answer: Any, *, clock: tuple[int, int] = (0, 0)) -> Event:
    return event(started, ended, "download", "B", answer, clock=clock)


def test_overlapping_calls_may_have_happened_in_either_order() -> None:
    assert has_order([remove(0, 10), download(5, 15, "data")], SHARED)
    assert has_order([remove(0, 10), download(5, 15, 404)], SHARED)


def test_order_of_calls_one_after_the_other_is_kept() -> None:
    assert has_order([remove(0, 10), download(11, 12, 404)], SHARED)
    assert not has_order([remove(0, 10), download(11, 12, "data")], SHARED)


def test_access_that_comes_back_is_found() -> None:
    """Each read overlaps the removal, but the second one started after the first had seen it."""
    assert has_order([remove(0, 10), download(1, 2, "data"), download(3, 4, 404)], SHARED)
    assert not has_order([remove(0, 10), download(1, 2, 404), download(3, 4, "data")], SHARED)


def test_lost_update_is_found() -> None:
    """Both calls added the member: one of them did not see the other."""
    added = [event(0, 10, "add member", "A", None, project="C"), event(5, 15, "add member", "A", None, project="C")]
    assert not has_order(added, SHARED)
    assert has_order([added[0], event(5, 15, "add member", "A", 409, project="C")], SHARED)


def test_end_by_the_clock_is_a_part_of_the_order() -> None:
    world = World({"x": Image("A", members={"B": Membership(0, notice=0, status="accepted", expires_at=5)})})
    for seconds, answer in ((4, "data"), (5, 404)):
        assert has_order([download(0, 1, answer, clock=(seconds, seconds))], world)
        assert has_order([download(0, 1, answer, clock=(4, 5))], world)
    assert not has_order([download(0, 1, 404, clock=(4, 4))], world)
    assert has_order([download(0, 1, "data", clock=(4, 4)), download(2, 3, 404, clock=(4, 5))], world)
    assert not has_order([download(0, 1, 404, clock=(4, 5)), download(2, 3, "data", clock=(5, 6))], world)


def test_call_in_time_may_be_committed_after_the_end() -> None:
    ending = Ending("removed", 0, (Promise(5),), Membership(0, notice=5, status="accepted"))
    cancelled = ("A", "active", ending.share, None)
    cancel = event(0, 10, "cancel ending", "A", cancelled, clock=(4, 5), project="B")
    assert has_order(
        [cancel, download(2, 3, 404, clock=(5, 5)), download(11, 12, "data", clock=(5, 5))],
        World({"x": Image("A", endings={"B": ending})}),
    )


def test_world_at_the_end_is_judged() -> None:
    assert has_order([remove(0, 1)], SHARED, accepts=lambda world: not world.images["x"].members)
    assert not has_order([remove(0, 1)], SHARED, accepts=lambda world: bool(world.images["x"].members))


def test_call_with_an_outcome_for_each_image_is_a_call_on_each() -> None:
    flags = {"projects": ("B",), "make_shared": True}
    some = Event(Call("offer", "A", ("x", "y"), flags | {"all_or_nothing": False}), [None, 404], 0, 1, 0, 0)
    every = Event(Call("offer", "A", ("x", "y"), flags | {"all_or_nothing": True}), [None, None], 0, 1, 0, 0)
    assert [(each.call.images, each.answer) for each in divide([some])] == [(("x",), [None]), (("y",), [404])]
    assert divide([every]) == [every]


def test_histories_are_split_by_the_images_that_no_call_joins() -> None:
    one, two, three = (Event(Call("show image", "A", (name,)), 404, 0, 1, 0, 0) for name in "xyz")
    both = Event(Call("answer many", "B", ("x", "y")), [404, 404], 0, 1, 0, 0)
    assert sorted(map(len, split([one, two, three]))) == [1, 1, 1]
    assert sorted(map(len, split([one, two, three, both]))) == [1, 3]
