"""Recorded histories: eight clients in four processes on one database, whose calls must have an order that the model explains.

Between the parts of a round, when no call runs, the clock moves. Periodic jobs and sweeps run beside the calls. At the end of a
round, everything that every caller sees must be what the model has after that order.
"""

import pickle
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO

import orjson
import pytest

from partage.operations import promises, sweep
from partage.records import schema
from tests import databases
from tests.crashes import worlds
from tests.races import linearizability, sharing_calls, sharing_model
from tests.races.linearizability import Event
from tests.races.sharing_model import Call
from tests.races.sharing_world import World, at

ROOT = Path(__file__).parents[2]
PROCESSES, CLIENTS_OF_PROCESS = 4, 2
PARTS, CALLS = 3, 3
GRACE = timedelta(seconds=5)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", databases.KINDS)
def test_eight_clients_leave_linearizable_histories(tmp_path: Path, kind: str) -> None:
    record(tmp_path, kind, rounds=8)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", databases.KINDS)
def test_eight_clients_leave_many_linearizable_histories(tmp_path: Path, kind: str) -> None:
    record(tmp_path, kind, rounds=300)


def record(folder: Path, kind: str, *, rounds: int) -> None:
    """Let the clients make calls, and look for an order of the calls of each round."""
    with ExitStack() as stack:
        url = stack.enter_context(databases.serve(kind, folder))
        clock = [0]
        service = sharing_calls.with_rules(worlds.compose(folder, url=url), lambda: sharing_calls.moment(clock[0]))
        stack.callback(service.close)
        schema.upgrade(service.database)
        seed = random.randrange(1 << 20)
        clients = [stack.enter_context(_client(folder, url, seed + number)) for number in range(PROCESSES)]
        generator = random.Random(seed)
        for number in range(rounds):
            names = [f"image {number} {each}" for each in range(3)]
            world = World()
            for call in begin(names, generator):
                world, expected = sharing_model.carry_out(world, call, clock[0])
                assert sharing_calls.carry_out(service, call) == expected, call
            history: list[Event] = []
            for _ in range(PARTS):
                asked = {"images": names, "now": clock[0], "calls": CALLS, "with_many": number % 2 == 1}
                for client in clients:
                    _stdin(client).write(orjson.dumps(asked).decode() + "\n")
                    _stdin(client).flush()
                promises.remove_expired(service)
                sweep.sweep(service, grace=GRACE)
                history += [event for client in clients for event in pickle.loads(bytes.fromhex(_line(client)))]
                clock[0] += generator.choice([0, 1, 5, 10])
            for part in linearizability.split(linearizability.divide(history)):
                touched = [name for name in names if any(name in event.call.images for event in part)]
                seen = {caller: sharing_calls.look_at_images(service, touched, caller) for caller in "ABCDZ"}

                def explains(found: World, touched: list[str] = touched, seen: object = seen) -> bool:
                    present = at(found, clock[0])
                    return {caller: sharing_calls.expect_of_images(present, touched, caller) for caller in "ABCDZ"} == seen

                try:
                    linearizability.find_order(part, world.only(touched), accepts=explains)
                except linearizability.NoOrder as failure:
                    raise AssertionError(f"seed {seed}, round {number}: {failure}\nand what is seen is {seen}") from failure


def begin(names: Sequence[str], generator: random.Random) -> Iterator[Call]:
    """Yield the calls that begin a round: images, their claim codes, and the trust rules of both members."""
    for name in names:
        yield Call("create", "A", (name,))
        for number in range(2):
            given = {"code": f"{name}, code {number}", "uses": 1 + number, "make_shared": True, "valid_until": None}
            yield Call("create code", "A", (name,), given)
    for member in "BC":
        rule = generator.choice(["accept", "ask", "ask", "refuse"])
        yield Call("set rule", member, (), {"owner": "A", "rule": rule})


@contextmanager
def _client(folder: Path, url: str, seed: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.races.sharing_client", str(folder), url, str(seed), str(CLIENTS_OF_PROCESS)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        try:
            assert _line(client) == "ready"
            yield client
            _stdin(client).close()
            assert client.wait(timeout=60) == 0
        finally:
            client.kill()


def _stdin(client: "subprocess.Popen[str]") -> IO[str]:
    assert client.stdin
    return client.stdin


def _line(client: "subprocess.Popen[str]") -> str:
    assert client.stdout
    return client.stdout.readline().strip()
