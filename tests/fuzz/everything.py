"""Every path by every method as every persona, once: what no chance leaves out."""

import random
from collections.abc import Iterator

from partage.http.v2.routes import ROWS
from tests.api.connection import head
from tests.fuzz.chance import Chance, Shot

METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "FOO")
NEVER = {"DELETE"}
"""Methods that come last, so that the others still meet what there is."""


def shots(chance: Chance) -> Iterator[Shot]:
    """Make each of the requests, with a body where a row of that method, or of any, takes one; in an order by chance."""
    rows = {row.path: row for row in ROWS} | {row.path: row for row in ROWS if row.method in ("PUT", "POST", "PATCH")}
    combined = [(path, method, who) for path in rows for method in METHODS for who in chance.cast.people.values()]
    random.Random(chance.random.random()).shuffle(combined)
    for number, (path, method, who) in enumerate(sorted(combined, key=lambda each: each[1] in NEVER)):
        if number % 200 == 0:
            chance.begin_anew()
        row = rows[path]
        sent = chance.body(row) if method in ("PUT", "POST", "PATCH") else b""
        lines = [f"Content-Type: {chance.media_type(row)}", f"Content-Length: {len(sent)}"]
        yield Shot(method, head(who, method, chance.path(row), *lines) + sent)
