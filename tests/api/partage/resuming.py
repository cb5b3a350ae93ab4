"""Resumable uploads over HTTP: the requests of the draft, as a persona sends them."""

from typing import Any

import requests

from tests.api.personas import DATA, Persona

PARTIAL = "application/partial-upload"
DRAFT = {"Upload-Draft-Interop-Version": "8"}


def upload_path(image: str) -> str:
    """Return the path of an image's upload."""
    return f"/partage/v1/images/{image}/upload"


def begin(who: Persona, image: str, data: Any = b"", *, complete: bool = False, **headers: str) -> requests.Response:
    """Begin an upload, with the first bytes."""
    given = {"Upload-Complete": "?1" if complete else "?0", "Content-Type": DATA, **_write_names(headers)}
    return who.call("POST", upload_path(image), data=data, headers=given)


def add(who: Persona, image: str, at: int, data: Any = b"", *, complete: bool = False, **headers: str) -> requests.Response:
    """Send the bytes that follow."""
    given = {
        "Upload-Complete": "?1" if complete else "?0",
        "Upload-Offset": str(at),
        "Content-Type": PARTIAL,
        **_write_names(headers),
    }
    return who.call("PATCH", upload_path(image), data=data, headers=given)


def ask(who: Persona, image: str) -> requests.Response:
    """Ask how far the upload is."""
    return who.call("HEAD", upload_path(image))


def offset(who: Persona, image: str) -> int:
    """Return how far the upload is; there must be one."""
    answer = ask(who, image)
    assert answer.status_code == 204, answer.headers
    return int(answer.headers["Upload-Offset"])


def _write_names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}
