"""Requests made by chance from parts that people and attackers use: each is answered, and none by a 5xx.

A failing run prints its seed; PARTAGE_FUZZ_SEED=<seed> repeats it.
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from partage.http.routes import ROWS, Body
from tests.api.connection import Answer, Connection, chunk, head
from tests.api.personas import DATA, PATCH, Cast

VOCABULARY = {
    kind: words.split()
    for kind, _, words in (
        line.partition(":")
        for line in (Path(__file__).parent / "cells" / "vocabulary.txt").read_text().splitlines()
        if line[0] != "#"
    )
}
STRANGE = ("", " ", "a b", "a\nb", "9" * 25, "x" * 255, "x" * 256, "ü", "é" * 100, "\U0001f600", "\u202e", "\ufeff", "\x7f")
WORDS = (*VOCABULARY["words"], *VOCABULARY["words"], *STRANGE)
FILTERS, HEADERS, VALUES = VOCABULARY["filters"], VOCABULARY["headers"], (*VOCABULARY["values"], DATA, PATCH)
AGE = 25
"""After so many requests the images that they are about are made anew: chance deletes them all sooner or later."""


class Chance:
    """Makes requests, the same ones for the same seed and the same answers."""

    def __init__(self, seed: int, cast: Cast) -> None:
        self.random = random.Random(seed)
        self.cast = cast
        self.images: list[str] = []

    def begin_anew(self) -> None:
        owner = self.cast.owner
        known = {"tags": ["there"], "colour": "blue"}
        self.images = [owner.has_an_image(b"data", **known), owner.has_an_image(b"more", **known), owner.has_an_image(None), "none"]
        for image in self.images[:3]:
            owner.shares_with(image, self.cast.member.project_id)

    def now_and_then(self, often: float) -> bool:
        return self.random.random() < often

    def word(self) -> str:
        if self.now_and_then(0.9):
            return self.random.choice(WORDS)
        return "".join(chr(self.random.choice((self.random.randrange(1, 128), self.random.randrange(1, 0xD800)))) for _ in range(9))

    def value(self, depth: int = 0) -> Any:
        kind = self.random.randrange(12 if depth < 3 else 8)
        if kind < 5:
            return self.word()
        if kind < 8:
            return self.random.choice((None, True, False, 0, -1, 1.5, 2**31, 2**63, -(2**63), 2**64, 1e300, 7))
        if kind < 10:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.word(): self.value(depth + 1) for _ in range(self.random.randrange(4))}

    def document(self, path: str) -> Any:
        choose = self.random.choice
        if self.now_and_then(0.1):
            return self.value()
        if path.endswith("/members"):
            return {"member": choose((self.cast.member.project_id, self.cast.outsider.project_id, self.word(), self.value()))}
        if "/members/" in path:
            return {"status": choose(("pending", "accepted", "rejected", self.value()))}
        if path.endswith("/import"):
            return {"method": choose(({"name": self.value()}, self.value()))}
        if path == "/v2/images":
            known = {"disk_format": choose(("raw", "qcow2")), "container_format": "bare", "name": self.word()}
            return {**known, **{self.word(): self.value() for _ in range(choose((0, 0, 1, 2)))}}
        return [self.change() for _ in range(choose((0, 1, 1, 1, 3)))]

    def change(self) -> Any:
        choose = self.random.choice
        if self.now_and_then(0.15):
            return choose(
                ({"op": self.value(), "path": self.value(), "value": self.value()}, {self.word(): self.value()}, self.value())
            )
        path = choose(("/", "/", "/", "//")) + choose(
            (self.word(), "colour", "name", "tags", "min_disk", "visibility", "protected")
        )
        fitting = {"tags": ["a"], "min_disk": 3, "visibility": "shared", "protected": False}.get(path.strip("/"), self.word())
        return {"op": choose(("add", "replace", "remove")), "path": path, "value": choose((fitting, fitting, self.value()))}

    def escaped(self, text: str) -> str:
        if self.now_and_then(0.2):
            return text.encode("unicode_escape").decode()
        return "".join(f"%{byte:02x}" for byte in text.encode())

    def query(self) -> str:
        choose = self.random.choice
        pairs = [
            f"{choose((*FILTERS, self.escaped(self.word())))}={self.escaped(choose((self.word(), self.images[0])))}"
            for _ in range(choose((0, 0, 1, 1, 2, 3)))
        ]
        return f"?{'&'.join(pairs)}" if pairs else ""

    def request(self) -> tuple[str, bytes]:
        """Make a request; give its method and its bytes."""
        choose = self.random.choice
        row = choose([each for each in ROWS if "/schemas/" not in each.path])
        method = choose(("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "FOO")) if self.now_and_then(0.1) else row.method
        member = choose((self.cast.member.project_id, self.cast.outsider.project_id, "x", "%C3%BC"))
        tag = choose(("there", self.escaped(self.word()) or "x"))
        path = (
            row.path.format(
                image_id=choose(self.images),
                member_id=member,
                tag=tag,
                store_id="second",
                task_id=choose(self.images),
                namespace=choose(("a", tag)),
                name=tag,
                schema=tag,
            )
            + self.query()
        )
        owner, member, outsider, admin = (self.cast.people[name] for name in ("owner", "member", "outsider", "admin"))
        who = self.cast.anonymous if self.now_and_then(0.05) else choose((owner, owner, owner, member, outsider, admin))
        lines = [f"{choose(HEADERS)}: {choose((*VALUES, self.word()))}" for _ in range(choose((0, 0, 1, 2)))]
        if method in ("PATCH", "PUT") and self.now_and_then(0.9):
            lines.append(f"Content-Type: {PATCH if method == 'PATCH' else DATA}")
        sent = self.body(row.path) if (row.body is Body.TAKEN and row.method != "GET") or self.now_and_then(0.05) else b""
        if sent and self.now_and_then(0.3):
            lines, sent = [*lines, "Transfer-Encoding: chunked"], chunk(sent) + chunk(b"")
        else:
            lines.append(f"Content-Length: {len(sent)}")
        clean = [line.replace("\n", " ").replace("\r", " ").encode("utf-8").decode("latin-1") for line in lines]
        return method, self.damaged(head(who, method, path.replace(" ", "+"), *clean) + sent)

    def body(self, path: str) -> bytes:
        if path.endswith(("/file", "/stage")):
            noise = self.random.randbytes
            return self.random.choice(
                (b"data", noise(5000), noise(200_000), bytes(9000), b"QFI\xfb" + noise(600), b"KDMV" + noise(900))
            )
        written = json.dumps(self.document(path)).encode()
        if self.now_and_then(0.1):
            at = self.random.randrange(len(written))
            written = written[:at] + self.random.randbytes(2) + written[at + 1 :]
        return written

    def damaged(self, request: bytes) -> bytes:
        if self.now_and_then(0.95):
            return request
        at = self.random.randrange(len(request))
        other = self.random.choice((b"", b"\x00", b"\r\n", b" ", b":", b"\xff", request[:at][-20:]))
        return request[:at] + other + request[at + 1 :]

    def learn(self, answer: Answer) -> None:
        """Remember what was created, so that later requests meet it."""
        if answer.status == 201:
            self.images.insert(0, str(UUID(json.loads(answer.body)["id"])))


def answer_to(cast: Cast, method: str, request: bytes) -> Answer | None:
    """Send a request and end; a request that was damaged may be found to have no end, and then gets no answer."""
    with Connection(cast.owner.endpoint, seconds=10) as wire:
        wire.send(request)
        try:
            found = wire.answer(to=method)
            while found.status < 200:
                found = wire.answer(to=method)
        except (EOFError, ConnectionResetError):
            return None
    return found


def attack(cast: Cast, count: int) -> None:
    seed = int(os.environ.get("PARTAGE_FUZZ_SEED") or random.randrange(10**9))
    print(f"PARTAGE_FUZZ_SEED={seed}")
    chance = Chance(seed, cast)
    seen: dict[int, int] = {}
    unanswered = 0
    for number in range(count):
        if number % AGE == 0:
            chance.begin_anew()
        method, request = chance.request()
        begun = time.monotonic()
        try:
            answer = answer_to(cast, method, request)
        except TimeoutError:
            answer = answer_to(cast, method, request + b"\r\n\r\n")  # damaged where it says how long it is
        took = time.monotonic() - begun
        if answer is None:
            unanswered += 1
            continue
        seen[answer.status] = seen.get(answer.status, 0) + 1
        assert answer.status < 500, f"number {number}: {request!r} was answered {answer.status} {answer.body!r}"
        assert took < 15, f"number {number}: {request!r} took {took} s"
        chance.learn(answer)
    print(f"{seen}, without an answer: {unanswered}")
    assert unanswered < count / 20
    assert {200, 204, 400, 401, 403, 404} <= set(seen)
    assert cast.owner.call("GET", "/v2/images?limit=1000").status_code == 200


def test_1500_requests_by_chance(cast: Cast) -> None:
    attack(cast, 1500)


@pytest.mark.usefixtures("world_on_postgresql")
def test_300_requests_by_chance_on_postgresql(cast_on_postgresql: Cast) -> None:
    attack(cast_on_postgresql, 300)
