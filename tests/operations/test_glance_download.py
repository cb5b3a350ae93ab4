"""Imports from another region: where the token goes and where it never does, what is taken over, and what is refused.

The other image service and the catalog are doubles, made to misbehave; tests/api/test_other_regions.py has the real ones.
"""

import gzip
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from partage import problems
from partage.identity.sealing import TokenSeal
from partage.model.ids import TaskID
from partage.model.image import Image, ImageStatus
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.limits import Limits
from partage.model.signature import NAMES
from partage.model.task import Task, TaskStatus
from partage.operations import images, tasks
from partage.operations.import_plugins import ImportPlugins
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.other_regions import OtherRegions
from partage.operations.service import Service
from partage.outbound.rules import operators_rules
from partage.policies.authority import Authority
from partage.policies.properties import PropertyProtections
from partage.records import images as image_rows
from tests.operations.services import OWNER, Clock, download, make, queued_image
from tests.services import change_service
from tests.unit.outbound import origins

DATA = random.Random(9).randbytes(3_000_000)
ELSEWHERE = "6f0a1a0e-67f2-4d6c-9d4e-2c5a9c1f4f10"
TOKEN = "gAAAAA-the-token-of-the-owner"
DOCUMENT, FILE = f"/v2/images/{ELSEWHERE}", f"/v2/images/{ELSEWHERE}/file"
MANIFEST = f"/partage/v1/images/{ELSEWHERE}/manifest?marker=0&limit=8192"
"""What a Glance does not have: every path that it does not know is answered with its versions."""


@dataclass
class Catalog:
    """Knows one endpoint, and notes who asked."""

    url: str = ""
    away: bool = False
    asked: list[tuple[str, str, str]] = field(default_factory=list)

    def find_image_endpoint(self, token: str, region: str, interface: str) -> str:
        self.asked.append((token, region, interface))
        if self.away:
            raise problems.IdentityUnavailable("The identity service is away")
        if region != "Elsewhere" or interface != "public":
            raise problems.RegionUnknown("There is no such region")
        return self.url


@pytest.fixture
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture
def service(tmp_path: Path, catalog: Catalog) -> Service:
    rules = operators_rules(origins.rules(connect_seconds=5.0, networks_allowed=()), cafile="")
    regions = OtherRegions(catalog=catalog, seal=TokenSeal(["k" * 32]), rules=rules)
    return make(tmp_path, other_regions=regions)


def described(data: bytes = DATA, **changed: Any) -> dict[str, Any]:
    """Describe an active image as an image service does."""
    document = {
        "id": ELSEWHERE,
        "status": "active",
        "size": len(data),
        "checksum": hashlib.md5(data).hexdigest(),
        "os_hash_algo": "sha512",
        "os_hash_value": hashlib.sha512(data).hexdigest(),
        "disk_format": "raw",
        "container_format": "bare",
        "name": "theirs",
        "owner": "theirs",
        "visibility": "public",
        "os_hidden": False,
        "tags": ["theirs"],
        "hw_cpu_cores": "5",
        "trait:STORAGE_DISK_SSD": "required",
        "os_distro": "rhel",
        "speed": "88mph",
    }
    return {name: value for name, value in {**document, **changed}.items() if value is not ...}


def region(told: object = None, data: bytes = DATA, **answers: bytes) -> origins.Answer:
    """Serve one image as another region's image service does."""
    body = json.dumps(described() if told is None else told).encode()
    found = {DOCUMENT: origins.content(body), FILE: origins.content(data)}
    return origins.by_path({**found, **{{"document": DOCUMENT, "file": FILE}[name]: raw for name, raw in answers.items()}})


def asked(service: Service, image: Image | None = None, **changed: Any) -> Image:
    """Ask for the import as an owner does."""
    image = image or queued_image(service)
    fields: dict[str, Any] = {"region": "Elsewhere", "remote_image_id": ELSEWHERE, **changed}
    request = ImportRequest(method=ImportMethod.GLANCE_DOWNLOAD, **fields)
    import_requests.request_import(service, OWNER, image.id, request, request_id="req-1", token=TOKEN)
    return image


def done(service: Service, image: Image) -> tuple[Image, Task]:
    """Do it as a worker does; give the image, and what became of its task."""
    claimed = import_runs.claim(service)
    assert claimed is not None
    assert TOKEN not in repr(claimed)
    import_runs.run(service, claimed)
    return images.show_image(service, OWNER, image.id), tasks.list_image_tasks(service, OWNER, image.id)[-1]


def imported(service: Service, catalog: Catalog, answer: origins.Answer, **changed: Any) -> tuple[Image, Task]:
    with origins.serving(answer, host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        return done(service, asked(service, **changed))


def sealed_tokens(service: Service) -> list[str | None]:
    with service.database.read() as tx:
        return [row[0] for row in tx.execute(text("SELECT sealed_token FROM tasks"))]


# What is taken over


def test_image_gets_bytes_formats_and_chosen_properties(service: Service, catalog: Catalog) -> None:
    before = queued_image(service)
    with service.database.write() as tx:
        image_rows.save(tx, replace(before, properties={"hw_cpu_cores": "1", "mine": "x"}, disk_format="iso"), was=before)
    with origins.serving(region(), host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        image, task = done(service, asked(service, before))
    assert (task.status, task.message) == (TaskStatus.SUCCESS, "Copied 2 MiB")
    assert (image.status, image.size, image.disk_format, image.container_format) == (ImageStatus.ACTIVE, len(DATA), "raw", "bare")
    assert image.os_hash_value == hashlib.sha512(DATA).hexdigest()
    own = {name: value for name, value in image.properties.items() if not name.startswith("os_glance_")}
    copied = {"hw_cpu_cores": "5", "trait:STORAGE_DISK_SSD": "required", "os_distro": "rhel"}
    assert own == {"mine": "x", **copied}
    assert (image.name, image.owner, image.visibility, image.tags) == (before.name, OWNER.project_id, before.visibility, ())
    assert download(service, image.id) == DATA
    assert catalog.asked == [(TOKEN, "Elsewhere", "public")]
    heads = [head.decode().lower() for head in origin.requests]
    assert [head.split()[1] for head in heads] == [DOCUMENT, MANIFEST, FILE]
    assert all(f"x-auth-token: {TOKEN.lower()}" in head for head in heads)


RESERVED = (
    "os_glance_stage_host",
    "os_glance_import_task",
    "OS_GLANCE_x",
    " os_glance_x",
    "os_glance_x",
    "\uff4f\uff53_glance_x",  # in full-width letters
    "os_hidden",
    "os_hash_algo",
    "stores",
    "owner",
    "deleted",
    "location",
)


def test_reserved_names_never_come_in(service: Service, catalog: Catalog) -> None:
    service = change_service(service, other_regions=replace(service.integrations.require_regions(), copied=("",)))
    planted = {name: "http://evil" for name in RESERVED if name not in ("os_hash_algo", "os_hidden")}
    image, task = imported(service, catalog, region(described(**planted)))
    assert task.status is TaskStatus.SUCCESS
    assert not {name for name, value in image.properties.items() if "evil" in value}
    assert not set(RESERVED[:-6]) & {name for name in image.properties if image.properties[name]}
    assert {"speed", "hw_cpu_cores"} <= set(image.properties)
    assert "os_hidden" not in image.properties
    assert image.owner == OWNER.project_id


def test_data_without_any_digest_is_taken_by_its_size(service: Service, catalog: Catalog) -> None:
    answer = region(described(os_hash_algo=None, os_hash_value=None, checksum=None))
    assert imported(service, catalog, answer)[0].status is ImageStatus.ACTIVE


def test_data_is_compared_before_it_is_unpacked(service: Service, catalog: Catalog) -> None:

    packed = gzip.compress(DATA, mtime=0)
    unpacking = change_service(service, import_plugins=ImportPlugins(decompress=True))
    image, task = imported(unpacking, catalog, region(described(packed), packed))
    assert (task.status, image.size) == (TaskStatus.SUCCESS, len(DATA))


# What is refused


REFUSED: dict[str, tuple[Callable[[], origins.Answer], str]] = {
    "not active": (lambda: region(described(status="queued")), "should be active and is queued"),
    "no document": (lambda: region([1]), "is not a JSON object"),
    "no JSON": (lambda: region(document=origins.content(b"<html>")), "description of the image cannot be read"),
    "endless": (lambda: region(document=origins.content(b" " * 2_000_000)), "description of the image cannot be read"),
    "no size": (lambda: region(described(size=None)), "has no valid size"),
    "a truth as size": (lambda: region(described(size=True)), "has no valid size"),
    "no format": (lambda: region(described(disk_format=None)), "has no disk_format"),
    "unknown format": (lambda: region(described(disk_format="zip")), "has a disk_format that is not taken here"),
    "a number as property": (lambda: region(described(hw_cpu_cores=5)), "has a hw_cpu_cores that is not taken here"),
    "a NUL": (lambda: region(described(hw_x="a\x00b")), "NUL"),
    "four bytes": (lambda: region(described(hw_x="\U0001f600")), "4 byte"),
    "unknown digest": (lambda: region(described(os_hash_algo="shake_128")), "'shake_128', which is not known here"),
    "another digest": (lambda: region(described(os_hash_value="0" * 128)), "sha512 of the image data should be 000"),
    "another checksum": (lambda: region(described(os_hash_algo=None, checksum="0" * 32)), "md5 of the image data should be 000"),
    "fewer bytes": (lambda: region(data=DATA[:-1]), "another number"),
    "more bytes": (lambda: region(data=DATA + b"x"), "another number"),
    "broken off": (
        lambda: region(file=b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + DATA[:-1]),
        "did not give the image or all of it",
    ),
    "too large": (lambda: region(described(size=1 << 41)), "at most 1099511627776 bytes"),
    "absent": (lambda: origins.by_path({}), "has no such image that you may see"),
    "forbidden": (lambda: region(file=origins.content(b"", status="403 Forbidden")), "does not let you have the image"),
    "expired": (lambda: region(file=origins.content(b"", status="401 Unauthorized")), "does not accept the token any more"),
    "broken": (lambda: region(document=origins.content(b"", status="500 Oh")), "did not give the image"),
    "no HTTP": (lambda: origins.saying(b"SSH-2.0-OpenSSH_9.2\r\n"), "did not give the image"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_remote_image_leaves_the_image_unchanged(case: str, service: Service, catalog: Catalog) -> None:
    answer, words = REFUSED[case]
    image, task = imported(service, catalog, answer())
    assert (task.status, words in task.message) == (TaskStatus.FAILURE, True), task.message
    assert (image.status, image.size, image.disk_format) == (ImageStatus.QUEUED, None, "raw")
    assert not {name for name in image.properties if not name.startswith("os_glance_")}
    assert sealed_tokens(service) == [None]
    assert TOKEN not in json.dumps(dict(task.input)) + task.message


@pytest.mark.parametrize("changed", [{"region": "Nowhere"}, {"interface": "secret"}])
def test_region_or_interface_that_is_not_in_the_catalog(changed: dict[str, str], service: Service, catalog: Catalog) -> None:
    with origins.serving(region(), host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        image, task = done(service, asked(service, **changed))
        assert origin.connections == 0
    assert (image.status, task.status, task.message) == (ImageStatus.QUEUED, TaskStatus.FAILURE, "There is no such region")


def test_unavailable_keystone_is_not_reported_as_a_store_failure(service: Service, catalog: Catalog) -> None:
    catalog.away = True
    image, task = done(service, asked(service, all_stores_must_succeed=False))
    assert (image.status, task.message) == (ImageStatus.QUEUED, "The identity service is away")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["document", "file"])
def test_token_follows_no_redirect(where: str, status: int, service: Service, catalog: Catalog) -> None:
    with origins.serving(region()) as other, origins.serving(region()) as target:
        for location in (other.url(DOCUMENT), target.url(DOCUMENT), "/v2/images/another", "https://elsewhere.example/"):
            answer = region(**{where: origins.redirect(location, status)})
            with origins.serving(answer, host="127.0.0.1") as origin:
                catalog.url = origin.url(host="127.0.0.1", path="")
                image, task = done(service, asked(service))
                assert len(origin.requests) == (1 if where == "document" else 3)
            assert (image.status, task.status) == (ImageStatus.QUEUED, TaskStatus.FAILURE)
        assert other.connections == target.connections == 0


def test_remote_id_does_not_choose_the_path(service: Service, catalog: Catalog) -> None:
    """What Python reads as a UUID may have braces and a prefix; nothing of it is a path."""
    with origins.serving(region(), host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        done(service, asked(service, remote_image_id=f"urn:uuid:{{{ELSEWHERE}}}"))
        assert origin.requests[0].split()[1].decode() == f"/v2/images/urn%3Auuid%3A%7B{ELSEWHERE}%7D"


def test_protected_properties_are_for_those_who_may_set_them(service: Service, catalog: Catalog, tmp_path: Path) -> None:
    """Otherwise another region without protections would be a way around them."""
    file = tmp_path / "protections"
    rights = "".join(f"{each} = {{}}\n" for each in ("create", "read", "update", "delete"))
    file.write_text("[^hw_.*]\n" + rights.replace("{}", "admin") + "[.*]\n" + rights.replace("{}", "@"))
    guarded = replace(service, protections=PropertyProtections(Authority(), file))
    with origins.serving(region(), host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        image, task = done(guarded, asked(guarded))
        assert [head.split()[1].decode() for head in origin.requests] == [DOCUMENT, MANIFEST, FILE]
    assert (image.status, task.message) == (ImageStatus.QUEUED, "Attribute 'hw_cpu_cores' is reserved.")


def test_signature_of_another_region_is_not_taken_on_trust(service: Service, catalog: Catalog) -> None:
    """Its certificate is in that region's key manager, if anywhere."""
    service = change_service(service, other_regions=replace(service.integrations.require_regions(), copied=("img_",)))
    image, task = imported(service, catalog, region(described(**dict.fromkeys(NAMES, "x"))))
    assert (image.status, "got another signature" in task.message) == (ImageStatus.QUEUED, True)


def test_more_properties_than_an_image_may_have_are_not_taken(service: Service, catalog: Catalog) -> None:
    image, task = imported(replace(service, limits=Limits(properties=2)), catalog, region())
    assert (image.status, "number of allowed image properties" in task.message) == (ImageStatus.QUEUED, True)
    image, task = imported(replace(service, limits=Limits(properties=3)), catalog, region())
    assert image.status is ImageStatus.ACTIVE


def test_disabled_glance_download_stores_no_token(service: Service) -> None:
    off = change_service(service, other_regions=None)
    with pytest.raises(problems.FeatureOff):
        asked(off)
    assert sealed_tokens(off) == []


# How the token is kept


def test_token_is_kept_sealed_and_only_while_the_task_needs_it(service: Service, catalog: Catalog, tmp_path: Path) -> None:
    image = asked(service)
    waiting = sealed_tokens(service)[0]
    assert waiting is not None
    assert TOKEN not in waiting
    assert (
        service.integrations.require_regions().seal.unseal(waiting, task_id=tasks.list_image_tasks(service, OWNER, image.id)[0].id)
        == TOKEN
    )
    with origins.serving(region(), host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        _, task = done(service, image)
    assert task.status is TaskStatus.SUCCESS
    assert sealed_tokens(service) == [None]
    service.close()
    stored = b"".join(each.read_bytes() for each in tmp_path.rglob("*") if each.is_file())
    assert TOKEN.encode() not in stored


def test_token_waits_with_a_task_whose_worker_died(service: Service, catalog: Catalog) -> None:
    image = asked(service)
    first = import_runs.claim(service)
    assert first is not None
    service.process.running_tasks.clear()
    import_runs.recover(service)
    with origins.serving(region(), host="127.0.0.1") as origin:
        catalog.url = origin.url(host="127.0.0.1", path="")
        assert done(service, image)[1].status is TaskStatus.SUCCESS
    assert sealed_tokens(service) == [None]


def test_token_is_deleted_when_its_task_fails_or_image_is_deleted(service: Service) -> None:
    clock = Clock()
    timed = replace(service, clock=clock)
    asked(timed)
    clock.passes(hours=3)
    import_runs.recover(timed)
    assert sealed_tokens(timed) == [None]
    gone = asked(timed)
    images.delete_image(timed, OWNER, gone.id)
    claimed = import_runs.claim(timed)
    assert claimed is not None
    import_runs.run(timed, claimed)
    assert sealed_tokens(timed) == [None, None]


def test_only_the_import_from_another_region_keeps_the_token(service: Service) -> None:
    image = queued_image(service)
    request = ImportRequest(method=ImportMethod.WEB_DOWNLOAD, uri="https://example.org/")
    import_requests.request_import(service, OWNER, image.id, request, request_id="req-1", token=TOKEN)
    assert sealed_tokens(service) == [None]


def test_worker_with_another_key_says_so(service: Service, catalog: Catalog) -> None:
    image = asked(service)
    stranger = change_service(service, other_regions=replace(service.integrations.require_regions(), seal=TokenSeal(["x" * 32])))
    _, task = done(stranger, image)
    assert "the same imports.token_keys in every process" in task.message
    assert catalog.asked == []


def test_tokens_do_not_open_in_another_task() -> None:
    seal = TokenSeal(["k" * 32])
    sealed = seal.seal(TOKEN, task_id=TaskID("a"))
    with pytest.raises(problems.Unauthenticated):
        seal.unseal(sealed, task_id=TaskID("b"))
