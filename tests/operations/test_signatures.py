"""Signed images: bytes that were signed are taken, others are not, whichever way they come; T-15 and T-79."""

import gzip
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from castellan.common import exception
from castellan.common.objects.opaque_data import OpaqueData
from castellan.common.objects.x_509 import X509
from cryptography.hazmat.primitives.asymmetric import ed25519

from partage import problems
from partage.content.digest import Buffer
from partage.model.ids import ProjectID
from partage.model.image import Image, ImageStatus
from partage.model.import_request import ImportMethod, ImportRequest
from partage.model.location import NewLocation
from partage.model.task import Task, TaskStatus
from partage.operations import images, locations, tasks
from partage.operations.import_plugins import ImportPlugins
from partage.operations.imports import request as import_requests
from partage.operations.imports import run as import_runs
from partage.operations.service import Service
from partage.operations.signing import Unverifiable
from partage.records import images as image_rows
from partage.signatures.certificates import KeyManagerSignatures
from tests import uploading
from tests.operations.services import OWNER, download, make, queued_image
from tests.operations.signers import COLLIDING, HASHES, KEYS, Keys, Signer, certificate_of
from tests.services import change_service
from tests.unit.outbound import origins

DATA = random.Random(15).randbytes(700_000)
TOKEN = "the-owners-token"
DIRECT = ImportRequest(method=ImportMethod.GLANCE_DIRECT)


@pytest.fixture
def keys() -> Keys:
    return Keys()


@pytest.fixture
def service(tmp_path: Path, keys: Keys) -> Service:
    return make(tmp_path, signatures=KeyManagerSignatures(keys, auth_url="http://127.0.0.1:1/v3", timeout_seconds=5.0))


@pytest.fixture(scope="module")
def rsa() -> Signer:
    """Give a signer whose key need not be made for every test; `known_to` lets a test's key manager know it."""
    return Signer(Keys())


def known_to(keys: Keys, signer: Signer) -> Signer:
    keys.objects.update(signer.keys.objects)
    return signer


def signed_image(service: Service, properties: dict[str, str]) -> Image:
    image = queued_image(service)
    return with_properties(service, image, properties)


def with_properties(service: Service, image: Image, properties: dict[str, str]) -> Image:
    changed = replace(image, properties={**image.properties, **properties})
    with service.database.write() as tx:
        image_rows.save(tx, changed, was=image)
    return changed


def sent(service: Service, image: Image, data: bytes) -> Image:
    blocks = (data[start : start + 70_001] for start in range(0, len(data), 70_001))
    uploading.upload(service, OWNER, image.id, blocks, announced_bytes=None, store_id=None, token=TOKEN)
    return shown(service, image)


def shown(service: Service, image: Image) -> Image:
    return images.show_image(service, OWNER, image.id)


def unread() -> Iterator[bytes]:
    pytest.fail("a byte was asked for")
    yield b""


# Uploads


@pytest.mark.parametrize("hash_method", HASHES)
@pytest.mark.parametrize("key_type", KEYS)
def test_only_signed_bytes_are_accepted(key_type: str, hash_method: str, service: Service, keys: Keys) -> None:
    image = signed_image(service, Signer(keys, key_type).signs(DATA, hash_method))
    for wrong in (DATA[:-1], DATA + b"x", b"", bytes([DATA[0] ^ 1]) + DATA[1:]):
        with pytest.raises(problems.SignatureRefused, match="Signature verification failed"):
            sent(service, image, wrong)
        assert (shown(service, image).status, shown(service, image).size) == (ImageStatus.QUEUED, None)
    assert sent(service, image, DATA).status is ImageStatus.ACTIVE
    assert download(service, image.id) == DATA
    assert set(keys.asked) == {(TOKEN, image.properties["img_signature_certificate_uuid"])}


def test_two_files_of_one_md5_have_not_one_signature(service: Service, keys: Keys, rsa: Signer) -> None:
    good, evil = COLLIDING
    image = signed_image(service, known_to(keys, rsa).signs(good))
    with pytest.raises(problems.SignatureRefused):
        sent(service, image, evil)
    assert sent(service, image, good).status is ImageStatus.ACTIVE


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "hash method": ({"_hash_method": "MD5"}, "is one of SHA-224, SHA-256, SHA-384, SHA-512"),
    "another hash method": ({"_hash_method": "SHA-1"}, "is one of SHA-224"),
    "key type": ({"_key_type": "RSA"}, "img_signature_key_type one of DSA, ECC_SECP384R1, ECC_SECP521R1, RSA-PSS"),
    "key of another kind": ({"_key_type": "ECC_SECP384R1"}, "has a key of another kind"),
    "no base64": ({"": "%%%"}, "is not base64"),
    "no ASCII": ({"": "ä"}, "is not base64"),
    "no signature": ({"": ""}, "img_signature is empty"),
    "no certificate": ({"_certificate_uuid": "36d4b546-64a2-4bb9-bdd0-ba676aa48f2c"}, "There is no certificate 36d4b546"),
    "a path": ({"_certificate_uuid": "../orders"}, "is not the UUID of a certificate"),
    "nothing": ({"_certificate_uuid": ""}, "is not the UUID of a certificate"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_signature_that_no_bytes_can_have_is_refused_before_any_come(case: str, service: Service, keys: Keys, rsa: Signer) -> None:
    changed, words = REFUSED[case]
    image = signed_image(service, known_to(keys, rsa).signs(DATA, **changed))
    with pytest.raises(problems.SignatureRefused, match=words):
        uploading.upload(service, OWNER, image.id, unread(), announced_bytes=None, store_id=None, token=TOKEN)
    assert shown(service, image).status is ImageStatus.QUEUED
    assert not [asked for asked in keys.asked if "/" in asked[1]]
    good = with_properties(service, shown(service, image), rsa.signs(DATA))
    assert sent(service, good, DATA).status is ImageStatus.ACTIVE


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (lambda: OpaqueData(b"x"), "is no certificate"),
        (lambda: X509(b"no DER"), "is no X.509 certificate"),
        (lambda: X509(None), "is no certificate"),
        (lambda: X509(certificate_of(ed25519.Ed25519PrivateKey.generate())), "has a key of another kind"),
    ],
)
def test_unusable_certificate_is_refused(kept: Callable[[], Any], words: str, service: Service, keys: Keys, rsa: Signer) -> None:
    image = signed_image(service, rsa.signs(DATA, _certificate_uuid=keys.keeps(kept())))
    with pytest.raises(problems.SignatureRefused, match=words):
        sent(service, image, DATA)


def test_key_manager_that_refuses_or_is_silent(service: Service, keys: Keys, rsa: Signer) -> None:
    image = signed_image(service, known_to(keys, rsa).signs(DATA))

    def refuse() -> None:
        raise exception.KeyManagerError(reason="a secret of the key manager")

    keys.in_the_way = refuse
    with pytest.raises(problems.SignatureRefused, match="could not be had") as caught:
        sent(service, image, DATA)
    assert "a secret" not in caught.value.sentence()
    never = threading.Event()
    keys.in_the_way = never.wait
    patient = KeyManagerSignatures(keys, auth_url="http://127.0.0.1:1/v3", timeout_seconds=0.2)
    began = time.monotonic()
    for _ in range(10):  # more than may wait at a time
        with pytest.raises(problems.KeyManagerUnavailable):
            sent(change_service(service, signatures=patient), image, DATA)
    assert time.monotonic() - began < 8
    assert shown(service, image).status is ImageStatus.QUEUED
    never.set()
    keys.in_the_way = lambda: None
    assert sent(change_service(service, signatures=patient), image, DATA).status is ImageStatus.ACTIVE


@pytest.mark.parametrize("missing", ["", "_hash_method", "_key_type", "_certificate_uuid"])
def test_incomplete_set_is_no_signature(missing: str, service: Service, keys: Keys, rsa: Signer) -> None:
    properties = {name: value for name, value in rsa.signs(DATA).items() if name != f"img_signature{missing}"}
    assert sent(service, signed_image(service, properties), b"other data").status is ImageStatus.ACTIVE
    assert keys.asked == []


def test_signed_image_is_refused_when_it_cannot_be_verified(service: Service, rsa: Signer) -> None:
    without = change_service(service, signatures=Unverifiable())
    image = signed_image(without, rsa.signs(DATA))
    with pytest.raises(problems.SignatureRefused, match=r"install partage\[signatures\]"):
        sent(without, image, DATA)
    assert shown(without, image).status is ImageStatus.QUEUED
    assert sent(without, queued_image(without), DATA).status is ImageStatus.ACTIVE


# Imports


def staged(service: Service, properties: dict[str, str], data: bytes) -> Image:
    image = signed_image(service, properties)
    uploading.stage(service, OWNER, image.id, iter([data]), announced_bytes=None)
    return shown(service, image)


def run(service: Service, image: Image) -> tuple[Image, Task]:
    claimed = import_runs.claim(service)
    assert claimed is not None
    import_runs.run(service, claimed)
    return shown(service, image), tasks.list_image_tasks(service, OWNER, image.id)[-1]


def asks(service: Service, image: Image, request: ImportRequest = DIRECT) -> None:
    import_requests.request_import(service, OWNER, image.id, request, request_id="req-1", token=TOKEN)


@pytest.mark.parametrize("key_type", KEYS)
def test_import_verifies_with_the_certificate_fetched_at_the_request(key_type: str, service: Service, keys: Keys) -> None:
    signer = Signer(keys, key_type)
    for data, status in ((DATA, ImageStatus.ACTIVE), (DATA[:-1], ImageStatus.QUEUED)):
        image = staged(service, signer.signs(DATA), data)
        asks(service, image)
        kept, keys.objects = keys.objects, {}
        image, task = run(service, image)
        keys.objects = kept
        assert image.status is status
        assert (task.status is TaskStatus.SUCCESS) is (status is ImageStatus.ACTIVE)
    assert "Signature verification failed" in task.message
    assert len(keys.asked) == 2


def test_data_from_the_web_is_verified(service: Service, keys: Keys, rsa: Signer) -> None:
    with origins.serving(origins.saying(origins.content(DATA))) as origin:
        near = change_service(service, fetch=origins.rules(origin.port))
        request = ImportRequest(method=ImportMethod.WEB_DOWNLOAD, uri=origin.url())
        for signed, status in ((DATA, ImageStatus.ACTIVE), (DATA + b"x", ImageStatus.QUEUED)):
            image = signed_image(near, known_to(keys, rsa).signs(signed))
            asks(near, image, request)
            assert run(near, image)[0].status is status


def test_signature_that_no_bytes_can_have_makes_no_task(service: Service, rsa: Signer) -> None:
    image = staged(service, rsa.signs(DATA), DATA)
    with pytest.raises(problems.SignatureRefused, match="There is no certificate"):
        asks(service, image)
    assert tasks.list_image_tasks(service, OWNER, image.id) == []
    assert shown(service, image).status is ImageStatus.UPLOADING


def test_signature_that_changed_since_is_not_taken_on_trust(service: Service, keys: Keys, rsa: Signer) -> None:
    other = Signer(keys, "ECC_SECP384R1")
    for before in ({}, known_to(keys, rsa).signs(DATA)):
        image = staged(service, before, DATA)
        asks(service, image)
        with_properties(service, shown(service, image), other.signs(DATA))
        image, task = run(service, image)
        assert (image.status, "got another signature" in task.message) == (ImageStatus.QUEUED, True)


def test_signature_is_over_the_bytes_that_the_image_gets(service: Service, keys: Keys, rsa: Signer) -> None:
    unpacking = change_service(service, import_plugins=ImportPlugins(decompress=True))
    packed = gzip.compress(DATA, mtime=0)
    for signed, status in ((DATA, ImageStatus.ACTIVE), (packed, ImageStatus.QUEUED)):
        image = staged(unpacking, known_to(keys, rsa).signs(signed), packed)
        asks(unpacking, image)
        assert run(unpacking, image)[0].status is status


def test_refused_request_does_not_contact_the_key_manager(service: Service, keys: Keys, rsa: Signer) -> None:
    image = sent(service, signed_image(service, known_to(keys, rsa).signs(DATA)), DATA)
    keys.asked.clear()
    with pytest.raises(problems.StatusConflict):
        asks(service, image)
    with pytest.raises(problems.StatusConflict):
        locations.add_location(service, OWNER, image.id, NewLocation(url="https://example.org/"), request_id="r", token=TOKEN)
    reader = replace(OWNER, roles=frozenset({"reader"}))
    waiting = staged(service, rsa.signs(DATA), DATA)
    with pytest.raises(problems.PolicyForbids):
        import_requests.request_import(service, reader, waiting.id, DIRECT, request_id="r", token=TOKEN)
    assert keys.asked == []


def test_copy_between_stores_does_not_contact_the_key_manager(service: Service, keys: Keys, rsa: Signer) -> None:
    image = sent(service, signed_image(service, known_to(keys, rsa).signs(DATA)), DATA)
    keys.asked.clear()
    admin = replace(OWNER, is_admin=True, roles=frozenset({"admin"}), project_id=ProjectID("A"))
    request = ImportRequest(method=ImportMethod.COPY_IMAGE, all_stores=True)
    import_requests.request_import(service, admin, image.id, request, request_id="req-1", token=TOKEN)
    assert keys.asked == []


def test_verifier_takes_any_buffer(service: Service, keys: Keys, rsa: Signer) -> None:
    image = signed_image(service, known_to(keys, rsa).signs(DATA))
    buffers: list[Buffer] = [bytearray(DATA[:10]), memoryview(DATA)[10:20], DATA[20:]]
    uploading.upload(service, OWNER, image.id, iter(buffers), announced_bytes=None, store_id=None, token=TOKEN)  # type: ignore[arg-type]
    assert shown(service, image).status is ImageStatus.ACTIVE
