"""Documents made by chance for each route that takes one: most of them make sense, some nearly do, some do not at all."""

import json
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

CELLS = Path(__file__).parents[1] / "api" / "cells"
VOCABULARY = {
    kind: words.split()
    for kind, _, words in (
        line.partition(":") for line in (CELLS / "vocabulary.txt").read_text().splitlines() if line and line[0] != "#"
    )
}
STRANGE = ("", " ", "a b", "a\nb", "9" * 25, "x" * 255, "x" * 256, "ü", "é" * 100, "\U0001f600", "\u202e", "\ufeff", "\x7f")
WORDS = (*VOCABULARY["words"], *VOCABULARY["words"], *STRANGE)
NUMBERS = (0, -1, 1.5, 7, 2**31, 2**31 - 1, -(2**31) - 1, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 1e300)
ODD_JSON = (
    *('"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\udc00\\ud800"', '"\\ud83d\\ude00"', '"\\uffff"', "NaN", "Infinity", "-Infinity"),
    *("1e999", "-0", "-0.0", "1E400", "0x10", "01", "+1", ".5", "5.", "tru", "null", "''", "{}", "[]", "[[]]", '{"":""}', '""'),
    *("9" * 100_000, "-" + "9" * 400, "1." + "0" * 5000, "[" * 10_000 + "]" * 10_000, '{"a":' * 2000 + "1" + "}" * 2000),
    *("[" * 900 + "]" * 900, '"' + "x" * 66_000 + '"', '"\\', '"\\x41"', '"\t"', '{"a":1,"a":2}', '{"__proto__":{}}', "/**/1"),
    *(str(2**31), str(2**63), str(-(2**63) - 1), "1e18", "1e19", "2147483648.0", "[1,2,]", "9223372036854775807"),
)
"""Values as they are written, for the place of a value: T-92."""

URLS = (
    "http://127.0.0.1:1/x", "http://[::1]/", "http://localhost", "http://a@b/", "file:///etc/passwd", "http://%00/", "http://é.example/",
    "http://example.invalid/", "https://127.0.0.1/", "http://0/", "http://2130706433/", "gopher://127.0.0.1/", "", "http://", "//x",
    "http://[fe80::1%25eth0]/", "http://127.0.0.1:99999/", "http://x:y/", "http://" + "a" * 300 + ".example/", "http://a/\r\nX: y",
)  # fmt: skip


class Documents:
    """Makes documents. `near` are good words for what is there: projects, stores, URLs that can be fetched, images."""

    def __init__(self, chance: random.Random, near: Mapping[str, tuple[str, ...]]) -> None:
        self.random = chance
        self.near = near

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
            return self.random.choice((None, True, False, *NUMBERS))
        if kind < 10:
            return [self.value(depth + 1) for _ in range(self.random.randrange(4))]
        return {self.word(): self.value(depth + 1) for _ in range(self.random.randrange(4))}

    def written(self, path: str) -> bytes:
        """Write a document for a path; now and then with a value that no writer of JSON writes, or in no encoding of JSON."""
        document = self.of(path)
        text = json.dumps(document, ensure_ascii=self.now_and_then(0.7))
        if self.now_and_then(0.15):
            text = self._with_odd_value(document)
        kind = self.random.randrange(60)
        if kind == 0:
            return b"\xef\xbb\xbf" + text.encode("utf-8", "surrogatepass")
        if kind == 1:
            return text.encode("utf-16", "surrogatepass")
        return text.encode("utf-8", "surrogatepass")

    def of(self, path: str) -> Any:
        """Make a document for the route of this path, as the table of routes writes it."""
        if self.now_and_then(0.1):
            return self.value()
        for ending, make in self._makers().items():
            if path.endswith(ending):
                return make()
        return [self.change() for _ in range(self.random.choice((0, 1, 1, 1, 3)))]

    def change(self) -> Any:
        choose = self.random.choice
        if self.now_and_then(0.15):
            return choose(
                ({"op": self.value(), "path": self.value(), "value": self.value()}, {self.word(): self.value()}, self.value())
            )
        name = choose(
            (self.word(), "colour", "name", "tags", "min_disk", "visibility", "protected", "locations", "locations/-", "tags/0")
        )
        path = choose(("/", "/", "/", "//")) + name
        known = {"tags": ["a"], "min_disk": 3, "visibility": "shared", "protected": False, "locations": []}
        fitting = {**known, "locations/-": {"url": self.url(), "metadata": {}}}.get(path.strip("/"), self.word())
        if self.now_and_then(0.1):
            return {choose(("add", "replace", "remove")): path, "value": fitting}
        return {"op": choose(("add", "replace", "remove")), "path": path, "value": choose((fitting, fitting, self.value()))}

    def url(self) -> str:
        choose = self.random.choice
        return choose((choose(self.near["url"]), choose(self.near["url"]), choose(URLS), self.word()))

    def _makers(self) -> dict[str, Callable[[], Any]]:
        choose = self.random.choice
        return {
            "/v2/images": self._image,
            "/members": lambda: {"member": choose((*self.near["project"], self.word(), self.value()))},
            "/members/{member_id}": lambda: {"status": choose(("pending", "accepted", "rejected", self.value()))},
            "/import": self._import,
            "/v2/images/{image_id}/locations": self._location,
            "/v2/tasks": self._task,
            "/namespaces": self._namespace,
            "/namespaces/{namespace}": self._namespace,
            "/objects": self._object,
            "/objects/{name}": self._object,
            "/properties": self._property,
            "/properties/{name}": self._property,
            "/tags": lambda: {"tags": [{"name": self._name()} for _ in range(choose((0, 1, 3, 40)))]},
            "/tags/{name}": lambda: {"name": self._name()},
            "/resource_types": self._association,
        }

    def _image(self) -> Any:
        choose = self.random.choice
        known = {"disk_format": choose(("raw", "qcow2")), "container_format": "bare", "name": self.word()}
        return {**known, **self._further(choose((0, 0, 1, 2)))}

    def _import(self) -> Any:
        choose = self.random.choice
        if self.now_and_then(0.4):
            name = choose(("glance-direct", "web-download", "copy-image"))
            method = {"name": name, "uri": choose(self.near["url"])}
            return {"method": method, **choose(({}, {"stores": ["second"]}, {"all_stores": True}))}
        name = choose(("glance-direct", "web-download", "copy-image", "glance-download", self.value()))
        method = {"name": name, "uri": choose((self.url(), self.url(), self.value())), **self._further(choose((0, 0, 0, 1)))}
        if name == "glance-download":
            method |= {"glance_region": choose(("RegionOne", self.word())), "glance_image_id": choose(self.near["image"])}
        more = {
            "stores": choose((["second"], ["local", "second"], ["none"], [], self.value())),
            "all_stores": choose((True, False, self.value())),
            "all_stores_must_succeed": choose((True, False, self.value())),
        }
        kept = {key: value for key, value in more.items() if self.now_and_then(0.25)}
        return {"method": choose((method, method, method, method, self.value())), **kept}

    def _location(self) -> Any:
        choose = self.random.choice
        digest = {
            "os_hash_algo": choose(("sha256", "sha512", "md5", self.value())),
            "os_hash_value": choose(("ab" * 32, self.value())),
        }
        return {
            "url": choose((self.url(), self.url(), self.value())),
            **choose(({}, {"validation_data": choose((digest, self.value()))})),
        }

    def _task(self) -> Any:
        choose = self.random.choice
        if self.now_and_then(0.3):
            known = {"disk_format": "raw", "container_format": "bare"}
            given = {"import_from": choose(self.near["url"]), "import_from_format": "raw", "image_properties": known}
            return {"type": "import", "input": given}
        given = {
            "import_from": choose((self.url(), self.value())),
            "import_from_format": choose(("raw", self.value())),
            "image_properties": choose((self._image(), self.value())),
        }
        return {"type": choose(("import", "import", "export", self.value())), "input": choose((given, given, given, self.value()))}

    def _namespace(self) -> Any:
        choose = self.random.choice
        parts = {
            "display_name": self.word(),
            "description": self.word(),
            "visibility": choose(("public", "private", self.value())),
            "protected": choose((False, False, True, self.value())),
            "owner": choose((*self.near["project"], self.word())),
            "objects": [self._object() for _ in range(choose((0, 1, 2)))],
            "properties": {self.word(): self._property()},
            "tags": [{"name": self._name()}],
            "resource_type_associations": [self._association()],
        }
        kept = {name: value for name, value in parts.items() if self.now_and_then(0.4)}
        return {"namespace": choose((*self.near["namespace"], self._name())), **kept, **self._further(choose((0, 0, 0, 1)))}

    def _object(self) -> Any:
        parts = {"description": self.word(), "required": [self.word()], "properties": {self.word(): self._property()}}
        kept = {name: value for name, value in parts.items() if self.now_and_then(0.5)}
        return {"name": self._name(), **kept, **self._further(self.random.choice((0, 0, 0, 1)))}

    def _property(self) -> Any:
        choose = self.random.choice
        kind = choose(("string", "integer", "array", "boolean", "object", "number", self.value()))
        known = {"name": self._name(), "title": self.word(), "type": kind}
        names = ("minimum", "maximum", "maxLength", "pattern", "enum", "default", "items", "operators", "readonly", "required")
        return {**known, **{name: self.value() for name in names if self.now_and_then(0.1)}}

    def _association(self) -> Any:
        choose = self.random.choice
        prefix = choose(({}, {"prefix": self.word()}, {"properties_target": self.word()}))
        return {"name": choose(("OS::Nova::Server", "OS::Cinder::Volume", self.word(), self._name())), **prefix}

    def _name(self) -> Any:
        return self.random.choice(("one", "two", "Two", "three", self.word(), self.word()[:80], "x" * 80, "x" * 81, self.value()))

    def _further(self, count: int) -> dict[str, Any]:
        return {self.word(): self.value() for _ in range(count)}

    def _with_odd_value(self, document: Any) -> str:
        """Put a written value in the place of some value of the document, or of a name."""
        odd = self.random.choice(ODD_JSON)
        mark = "@@odd@@"
        if isinstance(document, dict) and document:
            name = self.random.choice(list(document))
            if self.now_and_then(0.15) and odd.startswith('"'):
                return json.dumps({**document, mark: "x"}).replace(json.dumps(mark), odd)
            return json.dumps({**document, name: self._deeper(document[name], mark)}).replace(json.dumps(mark), odd)
        if isinstance(document, list) and document:
            return json.dumps([self._deeper(document[0], mark), *document[1:]]).replace(json.dumps(mark), odd)
        return odd

    def _deeper(self, value: Any, mark: str) -> Any:
        if isinstance(value, dict) and value and self.now_and_then(0.7):
            name = self.random.choice(list(value))
            return {**value, name: self._deeper(value[name], mark)}
        if isinstance(value, list) and value and self.now_and_then(0.7):
            return [self._deeper(value[0], mark), *value[1:]]
        return mark
