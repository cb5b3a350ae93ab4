"""Another Partage as a double, made to misbehave: the document of one image, its manifest, and ranges of its data."""

import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from partage.content import chunking, digest, manifest, parts
from partage.content.manifest import ManifestEntry
from tests.operations.test_glance_download import DOCUMENT, ELSEWHERE, FILE, described
from tests.unit.outbound import origins

SHARING = f"/partage/v1/images/{ELSEWHERE}"
Change = Callable[[bytes], bytes]


def cut(data: bytes) -> list[ManifestEntry]:
    """Cut data as a writer does."""
    cutter = chunking.Cutter()
    found = [*cutter.feed(data), *cutter.finish()]
    return [ManifestEntry(None if each.data is None else digest.compute_for_chunk(each.data), each.length) for each in found]


@dataclass
class Peer:
    """Serves `data`. `pages` and `frames` change what it sends; `statuses` are those of the next requests for chunks."""

    data: bytes
    document: dict[str, Any] | None = None
    entries: list[ManifestEntry] | None = None
    pages: Change = bytes
    frames: Change = bytes
    statuses: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    sent_bytes: int = 0
    before_chunks: Callable[[int], None] = lambda _number: None

    def __call__(self, connection: socket.socket, head: bytes) -> None:
        """Answer one request, as `origins.Answer`."""
        asked = head.split(b" ")[1].decode()
        if b"/manifest" in head:
            assert b"accept: application/vnd.partage.manifest\r\n" in head.lower()
        self.asked.append(asked)
        raw = self._answer(urlsplit(asked).path, {name: each[0] for name, each in parse_qs(urlsplit(asked).query).items()})
        self.sent_bytes += len(raw)
        connection.sendall(raw)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The ranges of the data that were asked for: first byte, and the byte after the last."""
        found = re.findall(r"(\d+)-(\d+)", " ".join(each.partition("ranges=")[2] for each in self.asked))
        return [(int(first), int(last) + 1) for first, last in found]

    def _answer(self, path: str, query: dict[str, str]) -> bytes:
        if path == DOCUMENT:
            return origins.content(json.dumps(self.document or described(self.data)).encode())
        if path == FILE:
            return origins.content(self.data)
        if path == f"{SHARING}/manifest":
            return origins.content(self.pages(self._page(int(query["marker"]), int(query["limit"]))))
        if path == f"{SHARING}/chunks":
            return self._chunks(query["ranges"])
        return origins.content(b"", status="404 Not Found")

    def _page(self, start: int, limit: int) -> bytes:
        position, found = 0, []
        for entry in cut(self.data) if self.entries is None else self.entries:
            if position >= start:
                found.append(entry)
            position += entry.length
        return b"".join(each.encoded for each in manifest.encode_all(start, found[:limit]))

    def _chunks(self, ranges: str) -> bytes:
        self.before_chunks(sum("/chunks" in each for each in self.asked))
        if self.statuses:
            return origins.content(b"", status=self.statuses.pop(0))
        wanted = parts.parse_ranges(ranges, len(self.data))
        return origins.content(self.frames(parts.compress([self.data[each.start : each.stop] for each in wanted])))
