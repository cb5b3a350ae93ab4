"""Clients of sharing in a process of their own, which record the history of their calls. Run by test_histories.py.

Usage: python -m tests.races.sharing_client FOLDER URL SEED CLIENTS. Each line on the standard input is a round: the names of its
images, the time of the model's clock, and how many calls each client makes. The answer to it is one line: the events of the round,
pickled, in hexadecimal.
"""

import pickle
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from partage.operations.service import Service
from tests.crashes import worlds
from tests.races import sharing_calls
from tests.races.linearizability import Event
from tests.races.sharing_model import Call
from tests.races.sharing_world import ADMIN, WHILE_USED

_PROJECTS = "BBC"


def main() -> None:
    """Make the calls of each round, and report them."""
    folder, url, seed, clients = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    now = 0
    service = sharing_calls.with_rules(worlds.compose(folder, url=url), lambda: sharing_calls.moment(now))
    generators = [random.Random(f"{seed} {number}") for number in range(clients)]
    print("ready", flush=True)
    with ThreadPoolExecutor(clients) as pool:
        for line in sys.stdin:
            asked = orjson.loads(line)
            now = asked["now"]
            running = [pool.submit(_make_calls, service, each, asked) for each in generators]
            print(pickle.dumps([event for each in running for event in each.result()]).hex(), flush=True)
    service.database.close()


def _make_calls(service: Service, generator: random.Random, asked: dict[str, Any]) -> list[Event]:
    now = asked["now"]
    history = []
    for _ in range(asked["calls"]):
        call = draw(generator, asked["images"], now, with_many=asked["with_many"])
        started = time.monotonic_ns()
        answer = sharing_calls.carry_out(service, call)
        history.append(Event(call, answer, started, time.monotonic_ns(), now, now))
    return history


def draw(generator: random.Random, images: list[str], now: int, *, with_many: bool) -> Call:
    """Draw a call. `with_many`: also calls on several images, which join their histories."""
    image, project = generator.choice(images), generator.choice(_PROJECTS)
    owner = generator.choice(["A"] * 9 + [ADMIN])
    is_many = with_many and generator.random() < 0.5
    terms: dict[str, Any] = {"notice": generator.choice([0, 10, 30, None, WHILE_USED])}
    if generator.random() < 0.3:
        terms["expires_at"] = now + generator.choice([5, 15])
    status = generator.choice(["accepted", "accepted", "rejected"])
    of_project = {"project": project}
    anybody = generator.choice([owner, owner, owner, project])
    flags = {"make_shared": True, "all_or_nothing": generator.random() < 0.3}
    many = tuple(images) if is_many else (image,)
    server, code = f"{project} on {image}, {generator.randrange(2)}", f"{image}, code {generator.randrange(2)}"
    rule = {"owner": "A", "rule": generator.choice(["accept", "ask", "refuse"])}
    heard = {"project": project, "server": server, "change": generator.choice(["seen", "seen", "ended"])}
    calls = {
        "offer": Call("offer", owner, many, {"projects": (project,), **flags, **terms}),
        "answer": Call("answer", project, (image,), of_project | {"status": status}),
        "answer many": Call("answer many", project, many, {"status": status}),
        "update member": Call("update member", project, (image,), of_project | {"status": status}),
        "set visibility": Call(
            "set visibility", owner, (image,), {"visibility": generator.choice(["private", "shared", "shared"])}
        ),
        "list shares": Call("list shares", generator.choice("ABC"), many, {"direction": generator.choice(["in", "out"])}),
        "adopt": Call("adopt", project, (image, f"adopted {generator.getrandbits(64)}")),
        "leave": Call("leave", project, (image,), of_project),
        "record use": Call("record use", project, (image,), {"server": server}),
        "release use": Call("release use", project, (image,), {"server": server}),
        "hear": Call("hear", ADMIN, (image,), heard),
        "claim": Call("claim", generator.choice("BC"), (image,), {"code": code}),
        "revoke code": Call("revoke code", owner, (image,), {"code": code}),
        "set rule": Call("set rule", project, tuple(images), rule),
        "change terms": Call("change terms", owner, (image,), of_project | terms),
    }
    kind = generator.choices(list(_KINDS), list(_KINDS.values()))[0]
    if kind == "set rule" and not with_many:
        kind = "claim"
    if kind in calls:
        return calls[kind]
    if kind in ("download", "show image"):
        return Call(kind, generator.choice("ABBCD"), (image,))
    if kind in ("deactivate", "reactivate", "delete", "restore"):
        return Call(kind, owner, (image,))
    return Call(kind, anybody, (image,), of_project)


_KINDS = {
    "offer": 6,
    "answer": 6,
    "answer many": 3,
    "update member": 3,
    "set visibility": 3,
    "list shares": 3,
    "download": 6,
    "show image": 2,
    "deactivate": 1,
    "reactivate": 2,
    "delete": 1,
    "restore": 4,
    "adopt": 1,
    "leave": 1,
    "end": 4,
    "remove member": 2,
    "cancel ending": 4,
    "change terms": 2,
    "add member": 2,
    "show share": 3,
    "record use": 3,
    "release use": 3,
    "hear": 3,
    "claim": 4,
    "revoke code": 1,
    "set rule": 2,
}
"""Kinds of calls to their weights."""


if __name__ == "__main__":
    main()
