"""A file of the host, beside the service's own and readable by it, that no request may reach, change or delete.

Numbers T-… are those of docs/security.md.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from tests import databases
from tests.api.conftest import World, cast_of
from tests.api.personas import PATCH, Cast, Persona
from tests.api.test_import_stories import task_from
from tests.unit.outbound.test_outbound_rules import REFUSED

Everybody = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Canary:
    """The file, and every answer that anybody got while it was watched."""

    file: Path
    secret: str
    heard: list[str]

    def hears(self, answer: requests.Response) -> int:
        self.heard.append(f"{answer.headers} {answer.text}")
        return answer.status_code


@pytest.fixture
def canary(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Canary]:
    """Give the file; afterwards it is as it was, and its words are in no answer, log line, database or store."""
    caplog.set_level("DEBUG")
    file, secret = tmp_path / "canary", secrets.token_hex(32)
    file.write_text(secret)
    watched = Canary(file, secret, [])
    yield watched
    assert file.read_text() == secret
    assert not [each for each in watched.heard if secret in each]
    assert secret not in caplog.text
    kept = [each for each in tmp_path.rglob("*") if each.is_file() and each != file]
    assert kept or "sqlite" not in databases.KINDS
    assert not [each for each in kept if secret.encode() in each.read_bytes()]


SPELLINGS = [
    "file://{path}", "filesystem://{path}", "FILE://{path}", "file:{path}", "file://localhost{path}", "%66ile://{path}",
    " file://{path}", "\tfile://{path}", "\nfile://{path}", "file\n://{path}", "file:///..{path}", "file://127.0.0.1{path}",
    "local://{path}", "{path}", "..{path}", "partage://local/../../{path}", "partage://packs/{path}", "posix://{path}",
    "swift+config://ref/c/o", "swift://user:key@127.0.0.1/c/o", "cinder://6f0a3c59-8a5e-4bb4-9f65-2c1f9f0d7c11", "rbd://pool/{path}",
    "s3://key:secret@127.0.0.1/bucket/{path}", "vsphere://host/folder{path}", "sheepdog://127.0.0.1:7000:{path}", "nfs://host{path}",
    "http:{path}", "http://{path}", "jar:file://{path}!/", "url:file://{path}", "data:text/plain,x", "gopher://127.0.0.1/_x",
    "http://127.0.0.1/;cat {path}", "http://127.0.0.1/`cat {path}`", "http://127.0.0.1/$(cat {path})",
    "http://127.0.0.1/\ncat {path}",
    "http://127.0.0.1/\x00", "http://example.org/ ;touch {path}", "rbd://`cat {path}`", "sheepdog://;cat {path};",
]  # fmt: skip
"""T-01 to T-04 and T-06: everything that was ever taken for a way to a file, a command, or the operator's own credentials."""


def roads(who: Persona, image: str, url: str, service: Persona) -> Iterator[requests.Response]:
    """Name the URL in every call that takes one, and in those that once did."""
    location = {"url": url, "metadata": {}}
    for document in (
        [{"op": "add", "path": "/locations/-", "value": location}],
        [{"op": "add", "path": "/locations/0", "value": location}],
        [{"op": "replace", "path": "/locations", "value": [location]}],
    ):
        yield who.patches(image, *document)
    yield who.creates(locations=[location])
    yield who.gives_location(image, url)
    yield who.gives_location(image, url, service)
    yield who.imports(image, "web-download", _uri=url)
    yield who.call("POST", "/v2/tasks", json=task_from(url))


@pytest.mark.parametrize("shown", [False, True])
def test_no_url_leads_to_a_file_of_the_host(
    shown: bool, canary: Canary, another_world: Callable[..., World], everybody: Everybody
) -> None:
    """Neither where users are shown no locations, nor where they are."""
    world = another_world(options={"show_direct_url": shown}, locations_shown=shown)
    cast = cast_of(world, everybody)
    for url in [spelling.format(path=canary.file) for spelling in SPELLINGS]:
        for who in (cast.owner, cast.admin):
            image = cast.owner.has_an_image(None)
            assert {canary.hears(each) for each in roads(who, image, url, cast.service)} <= {400, 403}, url
            assert cast.owner.shows(image).json()["status"] == "queued", url
            assert canary.hears(who.downloads(image)) == 204
            assert canary.hears(who.deletes(image)) == 204
    assert world.works() == 0
    cast.leave()


HEADERS = (
    "X-Image-Meta-Location",
    "X-Glance-Api-Copy-From",
    "X-Image-Meta-Property-Location",
    "Location",
    "Content-Location",
    "X-Sendfile",
    "X-Accel-Redirect",
    "X-Original-URL",
    "X-Rewrite-URL",
)


def test_no_header_leads_to_a_file_of_the_host(canary: Canary, another_world: Callable[..., World], everybody: Everybody) -> None:
    cast = cast_of(another_world(), everybody)
    owner = cast.owner
    for name in HEADERS:
        for value in (f"file://{canary.file}", str(canary.file)):
            made = owner.call("POST", "/v2/images", json={"disk_format": "raw", "container_format": "bare"}, headers={name: value})
            image = made.json()["id"]
            assert owner.downloads(image, **{name: value}).status_code == 204
            assert owner.uploads(image, b"data", **{name: value}).status_code == 204
            assert owner.downloads(image, **{name: value}).content == b"data"
            assert canary.hears(owner.deletes(image)) == 204
    cast.leave()


PLACES = (
    "/v2/images/{way}/file",
    "/v2/images/{way}",
    "/v2/images/{image}/tags/{way}",
    "/v2/images/{image}/members/{way}",
    "/v2/stores/{way}/{image}",
    "/v2/tasks/{way}",
    "/v2/schemas/{way}",
    "/v2/metadefs/namespaces/{way}",
    "/{way}",
)


def test_no_path_leads_to_a_file_of_the_host(canary: Canary, another_world: Callable[..., World], everybody: Everybody) -> None:
    """T-07: ids, tags, members, stores and tasks that are paths."""
    cast = cast_of(another_world(), everybody)
    owner, admin = cast.owner, cast.admin
    image = owner.has_an_image(b"data")
    climbing = "../" * 12 + str(canary.file).lstrip("/")
    ways = (
        climbing,
        climbing.replace("/", "%2F"),
        climbing.replace(".", "%2e"),
        climbing.replace("../", "..%5c"),
        str(canary.file).replace("/", "%2f"),
    )
    for way in ways:
        for at in PLACES:
            path = at.format(way=way, image=image)
            for method in ("GET", "DELETE"):
                answer = requests.Request(method, admin.endpoint, headers={"X-Auth-Token": str(admin.token)}).prepare()
                answer.url = admin.endpoint + path  # as it stands: the client would tidy it up
                assert canary.hears(admin.http.send(answer, timeout=60)) in (300, 400, 404, 405, 409)
    for name in (climbing, str(canary.file)):
        assert canary.hears(owner.call("GET", f"/v2/images/{image}/file", params={"prefer": name})) in (400, 409)
        assert canary.hears(owner.uploads(owner.has_an_image(None), b"x", **{"X-Image-Meta-Store": name})) == 400
        assert canary.hears(owner.creates(id=name)) == 400
    cast.leave()


def test_file_references_in_documents_are_kept_as_text(
    canary: Canary, another_world: Callable[..., World], everybody: Everybody
) -> None:
    """References of JSON and of other formats are not followed; what names a file is kept as the text it is."""
    cast = cast_of(another_world(), everybody)
    names = {
        "$ref": f"file://{canary.file}",
        "xml": f'<!DOCTYPE x [<!ENTITY e SYSTEM "file://{canary.file}">]><x>&e;</x>',
        "include": f"!include {canary.file}",
        "format": "{0.__class__}%s${HOME}",
    }
    image = cast.owner.creates(name=f"@{canary.file}", **names).json()
    assert {name: image[name] for name in names} == names
    assert image["name"] == f"@{canary.file}"
    for text in (f'{{"name": {{"$ref": "file://{canary.file}"}}}}', f"@{canary.file}", names["xml"]):
        assert canary.hears(cast.owner.call("POST", "/v2/images", data=text)) == 400
        assert (
            canary.hears(cast.owner.call("PATCH", f"/v2/images/{image['id']}", data=text, headers={"Content-Type": PATCH})) == 400
        )
    assert json.loads(cast.owner.shows(image["id"]).text)["xml"] == names["xml"]
    cast.leave()


@pytest.mark.parametrize("part", range(4))
def test_forbidden_url_is_refused_by_every_route(part: int, cast: Cast, world: World) -> None:
    """T-33 to T-36 and T-38: one check for all; a URL that two programs read differently is a client's mistake, never a fault."""
    world.works()  # what others left to be done
    image = cast.owner.has_an_image(None)
    for url in sorted(set(REFUSED))[part::4]:
        for answer in (
            cast.owner.imports(image, "web-download", _uri=url),
            cast.owner.gives_location(image, url, cast.service),
            cast.admin.call("POST", "/v2/tasks", json=task_from(url)),
        ):
            assert answer.status_code == 400, (url, answer.text)
    assert world.works() == 0
    assert cast.owner.shows(image).json()["status"] == "queued"
