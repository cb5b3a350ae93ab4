"""Signed images over HTTP: castellan's real client, the real Keystone, and a small Barbican that gives one certificate."""

import json
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from partage.signatures import certificates
from partage.signatures.certificates import KeyManagerSignatures
from tests.api.conftest import World, cast_of
from tests.api.personas import Cast
from tests.operations.signers import Keys, Signer
from tests.standalone import RunningKeystone

DATA = b"signed bytes" * 5000


@dataclass
class Barbican:
    """Speaks as much of the Key Manager API as fetching a secret takes. `payload` is under every id that `names` has."""

    url: str = ""
    payload: bytes = b""
    secret_type: str = "certificate"
    names: set[str] = field(default_factory=set)
    tokens: list[str] = field(default_factory=list)

    def answers(self, path: str) -> tuple[int, str, bytes]:
        """Answer a GET."""
        if path == "/":
            links = [{"rel": "self", "href": f"{self.url}/v1/"}]
            version = {"id": "v1", "status": "CURRENT", "min_version": "1.0", "max_version": "1.1", "links": links}
            return 200, "application/json", json.dumps({"versions": [version]}).encode()
        place = path.removeprefix("/v1").strip("/").split("/")
        if place[0] != "secrets" or place[1] not in self.names:
            return 404, "application/json", json.dumps({"title": "Not Found", "description": "No secret"}).encode()
        if place[2:] == ["payload"]:
            return 200, "application/octet-stream", self.payload
        told: dict[str, Any] = {
            "name": "signer",
            "status": "ACTIVE",
            "secret_type": self.secret_type,
            "content_types": {"default": "application/octet-stream"},
            "created": "2026-11-24T08:00:00",
        }
        return 200, "application/json", json.dumps(told).encode()


@pytest.fixture
def barbican(keystone: RunningKeystone) -> Iterator[Barbican]:
    """Run it, and put it into the catalog."""
    made = Barbican()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = made.answers(self.path)
            made.tokens.append(self.headers.get("X-Auth-Token", ""))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    service = keystone.call("POST", "/services", {"service": {"type": "key-manager", "name": "barbican"}})["service"]["id"]
    place = {"service_id": service, "interface": "public", "url": made.url, "region_id": "RegionOne"}
    keystone.call("POST", "/endpoints", {"endpoint": place})
    yield made
    keystone.call("DELETE", f"/services/{service}")
    server.shutdown()
    server.server_close()


@pytest.fixture
def signed(
    keystone: RunningKeystone, another_world: Callable[..., World], everybody: dict[str, tuple[str, str]]
) -> Iterator[tuple[World, Cast]]:
    """Give a service that verifies, and everybody on it."""
    auth_url = f"{keystone.url}/v3"
    keys = certificates.barbican(auth_url=auth_url, cafile="")
    world = another_world(signatures=KeyManagerSignatures(keys, auth_url=auth_url, timeout_seconds=20.0))
    cast = cast_of(world, everybody)
    yield world, cast
    cast.leave()


@pytest.fixture
def signer(barbican: Barbican) -> Signer:
    """Give somebody whose certificate is in Barbican, in PEM as there is usual."""
    made = Signer(Keys(), "ECC_SECP384R1")
    der = made.keys.objects[made.certificate_id].get_encoded()
    barbican.payload = x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM)
    barbican.names.add(made.certificate_id)
    return made


def test_bad_signature_is_400_and_the_retry_works(
    signed: tuple[World, Cast], signer: Signer, barbican: Barbican, keystone: RunningKeystone
) -> None:
    owner = signed[1].owner
    image = owner.has_an_image(None, **signer.signs(DATA))
    refused = owner.uploads(image, DATA[:-1])
    assert (refused.status_code, "Signature verification failed" in refused.text) == (400, True), refused.text
    shown = owner.shows(image).json()
    assert (shown["status"], shown["size"], shown["checksum"]) == ("queued", None, None)
    assert owner.uploads(image, DATA).status_code == 204
    assert owner.shows(image).json()["status"] == "active"
    assert owner.downloads(image).content == DATA
    used = {each for each in barbican.tokens if each}
    whose = {keystone.call("GET", "/auth/tokens", X_Subject_Token=each)["token"]["project"]["id"] for each in used}
    assert whose == {owner.project_id}


def test_import_of_wrong_bytes_fails_and_says_so(signed: tuple[World, Cast], signer: Signer) -> None:
    world, cast = signed
    owner = cast.owner
    for data, outcome in ((DATA + b"x", "failure"), (DATA, "success")):
        image = owner.has_an_image(None, **signer.signs(DATA))
        assert owner.stages(image, data).status_code == 204
        assert owner.imports(image).status_code == 202
        world.works()
        task = owner.call("GET", f"/v2/images/{image}/tasks").json()["tasks"][0]
        assert task["status"] == outcome
        assert "certificate" not in task
    assert owner.shows(image).json()["status"] == "active"


@pytest.mark.parametrize("way", ["upload", "import", "location", "task"])
def test_unknown_certificate_is_400_for_upload_and_import(way: str, signed: tuple[World, Cast], signer: Signer) -> None:
    owner, admin = signed[1].owner, signed[1].admin
    properties = signer.signs(DATA, _certificate_uuid=str(uuid.uuid4()))
    image = owner.has_an_image(None, **properties)
    if way == "upload":
        answer = owner.uploads(image, DATA)
    elif way == "import":
        assert owner.stages(image, DATA).status_code == 204
        answer = owner.imports(image)
    elif way == "location":
        answer = owner.gives_location(image, "https://example.org/disk", signed[1].service)
    else:
        described = {"disk_format": "raw", "container_format": "bare", **properties}
        given = {"import_from": "https://example.org/disk", "import_from_format": "raw", "image_properties": described}
        answer = admin.call("POST", "/v2/tasks", json={"type": "import", "input": given})
    assert (answer.status_code, "There is no certificate" in answer.text) == (400, True), answer.text
    assert owner.call("GET", f"/v2/images/{image}/tasks").json() == {"tasks": []}


@pytest.mark.parametrize("kept", [{"payload": b"no PEM"}, {"secret_type": "opaque"}, {"secret_type": "symmetric"}])
def test_secret_that_is_not_a_certificate_is_400(
    kept: dict[str, Any], signed: tuple[World, Cast], signer: Signer, barbican: Barbican
) -> None:
    for name, value in kept.items():
        setattr(barbican, name, value)
    owner = signed[1].owner
    image = owner.has_an_image(None, **signer.signs(DATA))
    assert owner.uploads(image, DATA).status_code == 400
    assert owner.shows(image).json()["status"] == "queued"


def test_signed_images_are_400_without_a_key_manager(signed: tuple[World, Cast]) -> None:
    owner = signed[1].owner
    image = owner.has_an_image(None, **Signer(Keys(), "ECC_SECP384R1").signs(DATA))
    refused = owner.uploads(image, DATA)
    assert (refused.status_code, "could not be had from the key manager" in refused.text) == (400, True)


def test_signed_images_are_400_without_the_extra(cast: Cast) -> None:
    image = cast.owner.has_an_image(None, **Signer(Keys(), "ECC_SECP384R1").signs(DATA))
    refused = cast.owner.uploads(image, DATA)
    assert (refused.status_code, "install partage[signatures]" in refused.text) == (400, True)
    assert cast.owner.shows(image).json()["status"] == "queued"
