"""Fair turns at a server: what one project asks for does not keep others waiting."""

import threading
import time
from collections.abc import Callable

import pytest

from partage import problems
from partage.identity.turns import Turns
from partage.model.ids import ProjectID

A, B = ProjectID("A"), ProjectID("B")


class Crowd:
    """Requests that hold their turns until the test ends them."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.running: list[ProjectID] = []
        self.refused: list[str] = []
        self.done = threading.Event()
        self.threads: list[threading.Thread] = []

    def ask(self, project_id: ProjectID) -> None:
        thread = threading.Thread(target=self._ask, args=(project_id,))
        self.threads.append(thread)
        thread.start()

    def _ask(self, project_id: ProjectID) -> None:
        try:
            with self.turns.take(project_id):
                self.running.append(project_id)
                self.done.wait(60)
        except problems.IdentityUnavailable as problem:
            self.refused.append(str(problem))

    def end(self) -> None:
        self.done.set()
        for each in self.threads:
            each.join(60)


def eventually(is_true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not is_true() and time.monotonic() < deadline:
        time.sleep(0.005)
    return is_true()


def test_project_that_asks_for_much_leaves_turns_to_others() -> None:
    crowd = Crowd(Turns(seconds=60))
    for _ in range(20):
        crowd.ask(A)
    assert eventually(lambda: len(crowd.running) == 2 and len(crowd.refused) == 16)
    assert all("this project" in each for each in crowd.refused)
    crowd.ask(B)
    assert eventually(lambda: crowd.running.count(B) == 1)
    crowd.end()
    assert sorted(crowd.running) == [A] * 4 + [B]


def test_requests_wait_for_a_turn_and_are_not_refused() -> None:
    crowd = Crowd(Turns(seconds=60))
    names = [ProjectID(str(number)) for number in range(16)]
    for each in names:
        crowd.ask(each)
    assert eventually(lambda: len(crowd.running) == 4)
    crowd.end()
    assert sorted(crowd.running) == sorted(names)
    assert crowd.refused == []


def test_waiting_requests_and_their_wait_have_a_bound() -> None:
    crowd = Crowd(Turns(seconds=0.2))
    for number in range(40):
        crowd.ask(ProjectID(str(number)))
    assert eventually(lambda: len(crowd.refused) == 36)
    assert all("many projects" in each for each in crowd.refused)
    crowd.end()
    with crowd.turns.take(A):
        pass


def test_turn_is_given_back_when_the_request_fails() -> None:
    turns = Turns(seconds=0.2)
    for _ in range(9):
        with pytest.raises(ZeroDivisionError), turns.take(A):
            raise ZeroDivisionError
