"""Whether a recorded history of concurrent calls could have come from calls one at a time: the algorithm of Wing and Gong.

A history is linearizable if each call can be given one moment between its start and its end, so that the calls, carried out on the
model in the order of those moments, answer what was recorded. The search places one call after the other. A call can be next if no
other call had ended before it started. A state of the search, the placed calls and the world after them, is visited once: this is
Lowe's memoisation, without which the search takes exponential time.

The clock is not an object of the history. A call reads it between its start and its end, and may get any value that it had then. No
database can commit at the moment at which a call has read the clock: a cancellation that was in time may be committed after a
reader found that the notice had run out.

Histories of disjoint sets of images are checked one by one: linearizability is local (Herlihy and Wing), as long as no call touches
two of the sets. A call on several images joins them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.races import sharing_model
from tests.races.sharing_model import Call
from tests.races.sharing_world import Image, World, at


@dataclass(frozen=True)
class Event:
    """A call, its answer, when it started and ended, and what the clock showed then."""

    call: Call
    answer: Any
    started: int
    ended: int
    earliest: int
    latest: int

    def __str__(self) -> str:
        return f"{self.started}..{self.ended} at {self.earliest}..{self.latest} {self.call} -> {self.answer}"


class NoOrder(AssertionError):
    """No order of the calls explains a history. The message has the longest order that was found, and why it does not go on."""


def find_order(history: Sequence[Event], world: World, *, accepts: Callable[[World], bool] = lambda _world: True) -> list[Event]:
    """Return an order in which the model answers as recorded. `accepts` judges the world at the end.

    Raises:
        NoOrder: there is none.
    """
    events = sorted(history, key=lambda event: event.started)
    everything = (1 << len(events)) - 1
    visited: set[tuple[int, str]] = set()
    path: list[Event] = []
    longest: tuple[list[Event], World] = ([], world)

    def search(placed: int, world: World) -> bool:
        nonlocal longest
        if len(path) >= len(longest[0]):
            longest = (list(path), world)
        if placed == everything:
            return accepts(world)
        state = (placed, _freeze(world))
        if state in visited:
            return False
        visited.add(state)
        for event, placed_then, changed in _extend(events, placed, world):
            path.append(event)
            if search(placed_then, changed):
                return True
            path.pop()
        return False

    if search(0, world):
        return path
    raise NoOrder(_describe(events, *longest))


def _describe(events: Sequence[Event], placed: Sequence[Event], world: World) -> str:
    left = [event for event in events if event not in placed]
    modelled = [f"{event}, and the model: {sharing_model.carry_out(world, event.call, event.earliest)[1]}" for event in left]
    lines = ["the longest order is", *map(str, placed), f"which makes {world}", "and what is left is", *modelled]
    return "\n".join(lines)


def divide(history: Sequence[Event]) -> list[Event]:
    """Make a call on several images, each with an outcome of its own, a call on each of them.

    The service carries it out in one transaction, and looks at one image after the other. Offers of all or nothing stay one call.
    """
    divided: list[Event] = []
    for event in history:
        call = event.call
        if not isinstance(event.answer, list) or call.given.get("all_or_nothing"):
            divided.append(event)
            continue
        count = len(event.answer) // len(call.images)
        for number, name in enumerate(call.images):
            part = event.answer[number * count : (number + 1) * count]
            divided.append(replace(event, call=replace(call, images=(name,)), answer=part))
    return divided


def split(history: Sequence[Event]) -> list[list[Event]]:
    """Split a history into the histories of sets of images that no call joins."""
    parts: list[tuple[set[str], list[Event]]] = []
    for event in history:
        touched = set(event.call.images)
        joined = [part for part in parts if part[0] & touched]
        parts = [part for part in parts if not part[0] & touched]
        names = touched.union(*(part[0] for part in joined))
        parts.append((names, [each for part in joined for each in part[1]] + [event]))
    return [events for _, events in parts]


def _extend(events: Sequence[Event], placed: int, world: World) -> Iterator[tuple[Event, int, World]]:
    """Yield each call that can be next, for each time at which the model answers as recorded."""
    waiting = [(number, event) for number, event in enumerate(events) if not placed >> number & 1]
    first_end = min((event.ended for _, event in waiting), default=0)
    for number, event in waiting:
        if event.started > first_end:
            return
        for now in range(event.earliest, event.latest + 1):
            changed, answer = sharing_model.carry_out(world, event.call, now)
            if answer == event.answer:
                # What has ended is left in the world until a call changes it: the next call may have read the clock earlier.
                yield event, placed | 1 << number, world if changed == at(world, now) else changed


def _freeze(world: World) -> str:
    images = [(name, *_sort_names(image)) for name, image in sorted(world.images.items())]
    return repr((images, sorted(world.rules.items()), sorted(world.gone)))


def _sort_names(image: Image) -> tuple[Any, ...]:
    of_names = (image.members, image.endings, image.takedowns, image.codes)
    state = (image.owner, image.visibility, image.status, image.is_retained, image.is_gone, image.source, sorted(image.uses))
    return (*state, *(sorted(each.items()) for each in of_names))
