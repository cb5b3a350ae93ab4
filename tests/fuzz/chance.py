"""Requests made by chance from parts that people and attackers use: the same ones for the same seed and the same answers."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from partage.http.routing import Body, Row
from partage.http.v2.routes import ROWS
from tests.api.connection import Answer, chunk, head
from tests.api.oddities import DOCUMENTS, HEADERS, QUERIES, TARGETS
from tests.api.personas import DATA, PATCH, Cast, Persona
from tests.fuzz import raw
from tests.fuzz.documents import URLS, VOCABULARY, Documents

FILTERS, NAMES, VALUES = VOCABULARY["filters"], VOCABULARY["headers"], (*VOCABULARY["values"], DATA, PATCH)
AGE = 80
"""After so many requests what they are about is made anew: chance deletes it all sooner or later."""

OFFSETS = (0, 1, 2, 4, 10_000, 2**31, 2**63, 2**64, "", "-", "x", "9" * 4000, " 1", "+1", "1.0", "٣")
RANGES = ("bytes={}-{}", "bytes={}-{}", "bytes={}-{},5-6", "bytes = {}-{}", "bits={}-{}", "bytes {}-{}/5", "{}{}", "BYTES={}-{}")


@dataclass(frozen=True)
class Shot:
    """One request as it goes over the wire. One that is not `whole` may have no end, and then gets no answer."""

    method: str
    data: bytes
    whole: bool = True


@dataclass
class Things:
    """What requests are about, the newest first."""

    images: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    namespaces: list[str] = field(default_factory=list)


class Chance:
    """Makes requests. `origin` is a web server that the service may fetch from."""

    def __init__(self, seed: int, cast: Cast, origin: str = "http://127.0.0.1:1") -> None:
        self.random = random.Random(seed)
        self.cast = cast
        self.origin = origin
        self.things = Things()
        self.number = 0
        self.documents = Documents(self.random, {})
        self.kinds: tuple[tuple[float, Callable[[], Shot]], ...] = (
            (0.70, self.ordinary),
            (0.10, self.malformed),
            (0.06, self.unreadable),
            (0.05, self.long_header),
            (0.05, self.odd_target),
            (0.04, self.odd_query),
        )

    def shot(self) -> Shot:
        """Make the next request."""
        if self.number % AGE == 0:
            self.begin_anew()
        self.number += 1
        weights, makers = zip(*self.kinds, strict=True)
        made: Shot = self.random.choices(makers, weights)[0]()
        return made

    def begin_anew(self) -> None:
        """Make images with and without data, one that is staged, members, and a namespace with definitions."""
        owner, admin = self.cast.owner, self.cast.admin
        known = {"tags": ["there"], "colour": "blue"}
        things = Things(
            images=[owner.has_an_image(b"data", **known), owner.has_an_image(b"more", **known), owner.has_an_image(None)],
            tasks=self.things.tasks[:3] or ["none"],
            namespaces=[f"ns{self.random.randrange(10**9)}"],
        )
        for image in things.images:
            owner.shares_with(image, self.cast.member.project_id)
        things.images.append(owner.has_an_image(None))
        owner.stages(things.images[-1], b"staged")
        definition = {"title": "t", "type": "string"}
        namespace = {
            "namespace": things.namespaces[0],
            "visibility": "public",
            "objects": [{"name": "one", "properties": {"p": definition}}],
            "properties": {"one": definition},
            "tags": [{"name": "one"}, {"name": "two"}],
            "resource_type_associations": [{"name": "OS::Nova::Server", "prefix": "p:"}],
        }
        admin.call("POST", "/v2/metadefs/namespaces", json=namespace)
        things.images.append("none")
        self.things = things
        near = {
            "project": (self.cast.member.project_id, self.cast.outsider.project_id),
            "url": tuple(f"{self.origin}{path}" for path in ("/good", "/good/short", "/loop", "/none")) + URLS[:1],
            "image": tuple(things.images),
            "namespace": (*things.namespaces, f"ns{self.random.randrange(10**9)}"),
        }
        self.documents = Documents(self.random, near)

    def ordinary(self) -> Shot:
        """Make a request that is well-formed, whatever it asks for; one in twenty is damaged afterwards."""
        method, data = self.request()
        damaged = self.damaged(data)
        return Shot(method, damaged, whole=damaged == data)

    def malformed(self) -> Shot:
        """Make a request that is not HTTP as it should be."""
        method, data = self.request()
        kind = self.random.choice(raw.KINDS)
        return Shot(method, kind(data, self.random), whole=False)

    def unreadable(self) -> Shot:
        """Make a request with one of the documents that no reader should choke on."""
        row = self.random.choice([each for each in ROWS if each.body is Body.TAKEN and each.method != "GET"])
        sent = self.random.choice(list(DOCUMENTS.values()))
        lines = [f"Content-Type: {self.random.choice((PATCH, DATA, 'application/json'))}", f"Content-Length: {len(sent)}"]
        return Shot(row.method, head(self.somebody(), row.method, self.path(row), *lines) + sent)

    def long_header(self) -> Shot:
        """Make a request with a header of tens of kilobytes, of its own or many times the same."""
        row = self.row()
        name = self.random.choice(list(HEADERS))
        lines = [f"{name}: {self.random.choice(HEADERS[name])}"]
        if self.now_and_then(0.3):
            lines = self.random.choice(
                (["X-A: " + "x" * 65_000], [f"X-{each}: x" for each in range(6000)], ["X-" + "a" * 65_000 + ": x"])
            )
        return Shot(row.method, head(self.somebody(), row.method, self.path(row), *lines, "Content-Length: 0"), whole=False)

    def odd_target(self) -> Shot:
        method = self.random.choice(("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"))
        data = head(self.somebody(), method, self.random.choice(TARGETS), "Content-Length: 0")
        return Shot(method, data, whole=False)

    def odd_query(self) -> Shot:
        row = self.random.choice([each for each in ROWS if each.method == "GET"])
        query = "&".join(self.random.choice(QUERIES) for _ in range(self.random.choice((1, 1, 2, 3))))
        target = f"{self.path(row)}?{query}".encode().decode("latin-1")
        return Shot("GET", head(self.somebody(), "GET", target.replace(" ", "+").replace("\\", "%5C")), whole=False)

    def now_and_then(self, often: float) -> bool:
        return self.random.random() < often

    def row(self) -> Row:
        """Choose a route: those by which things come into being and change more often than their share."""
        if self.now_and_then(0.3):
            return self.random.choice([each for each in ROWS if each.body is Body.TAKEN and each.method != "GET"])
        return self.random.choice([each for each in ROWS if "/schemas/" not in each.path or self.now_and_then(0.1)])

    def somebody(self) -> Persona:
        owner, member, outsider, admin = (self.cast.people[name] for name in ("owner", "member", "outsider", "admin"))
        if self.now_and_then(0.08):
            return self.random.choice(list(self.cast.people.values()))
        return self.random.choice((owner, owner, owner, member, outsider, admin, admin))

    def path(self, row: Row) -> str:
        """Fill a path's parameters in, mostly with what is there."""
        choose, strange = self.random.choice, self.escaped(self.documents.word()) or "x"
        values = {
            "image_id": choose((*self.things.images, *self.things.images, strange)),
            "member_id": choose((self.cast.member.project_id, self.cast.outsider.project_id, "x", "%C3%BC")),
            "tag": choose(("there", strange)),
            "store_id": choose(("second", "local", "none")),
            "task_id": choose((*self.things.tasks, *self.things.images)),
            "namespace": choose((*self.things.namespaces, *self.things.namespaces, strange)),
            "name": choose(("one", "two", "OS::Nova::Server", strange)),
            "schema": choose(("namespace", "tags", strange)),
        }
        return row.path.format(**values)

    def escaped(self, text: str) -> str:
        if self.now_and_then(0.2):
            return text.encode("unicode_escape").decode()
        return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))

    def query(self) -> str:
        choose = self.random.choice
        near = (self.things.images[0], choose(self.things.namespaces), choose(self.things.tasks))
        pairs = [
            f"{choose((*FILTERS, self.escaped(self.documents.word())))}={self.escaped(choose((self.documents.word(), *near)))}"
            for _ in range(choose((0, 0, 1, 1, 2, 3)))
        ]
        return f"?{'&'.join(pairs)}" if pairs else ""

    def request(self) -> tuple[str, bytes]:
        """Make a request; give its method and its bytes."""
        choose, row = self.random.choice, self.row()
        method = choose(("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "FOO")) if self.now_and_then(0.1) else row.method
        path = self.path(row) + self.query()
        lines = [f"{choose(NAMES)}: {choose((*VALUES, self.documents.word()))}" for _ in range(choose((0, 0, 1, 2)))]
        if self.now_and_then(0.1) or (row.path.endswith("/file") and self.now_and_then(0.3)):
            name = choose(("Range", "Range", "Content-Range", "X-OpenStack-Image-Size"))
            lines.append(f"{name}: {choose(RANGES).format(choose(OFFSETS), choose(OFFSETS))}")
        if method in ("PATCH", "PUT") and self.now_and_then(0.9):
            lines.append(f"Content-Type: {self.media_type(row)}")
        sent = self.body(row) if (row.body is Body.TAKEN and row.method != "GET") or self.now_and_then(0.05) else b""
        if sent and self.now_and_then(0.3):
            lines, sent = [*lines, "Transfer-Encoding: chunked"], chunk(sent) + chunk(b"")
        else:
            lines.append(f"Content-Length: {len(sent)}")
        clean = [line.replace("\n", " ").replace("\r", " ").encode("utf-8", "replace").decode("latin-1") for line in lines]
        return method, head(self.somebody(), method, path.replace(" ", "+"), *clean) + sent

    def media_type(self, row: Row) -> str:
        if row.method == "PATCH":
            return self.random.choice((PATCH, PATCH, PATCH, PATCH.replace("2.1", "2.0"), "application/json"))
        return DATA

    def body(self, row: Row) -> bytes:
        if row.path.endswith(("/file", "/stage")):
            noise = self.random.randbytes
            return self.random.choice(
                (b"data", noise(5000), noise(200_000), bytes(9000), b"QFI\xfb" + noise(600), b"KDMV" + noise(900))
            )
        written = self.documents.written(row.path)
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
        if answer.status != 201 or not answer.body:
            return
        made: Any = json.loads(answer.body)
        where = str(made.get("self", ""))
        for prefix, known in (
            ("/v2/images/", self.things.images),
            ("/v2/tasks/", self.things.tasks),
            ("/v2/metadefs/namespaces/", self.things.namespaces),
        ):
            if where.startswith(prefix) and "/" not in where.removeprefix(prefix):
                known.insert(0, where.removeprefix(prefix))
