"""Locations: URLs of image data outside of this service's stores.

A reference is a location that an image has. The other classes are validated requests of clients.
Source: Image API v2, the `locations` attribute; v2.17, "Add location". `sha1` is refused, because this service does not compute it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from partage import problems
from partage.model.ids import StoreID

DIGEST_BYTES: Mapping[str, int] = {"md5": 16, "sha256": 32, "sha512": 64}
LONGEST_URL = 255
LONGEST_METADATA = 8192
"""Characters of one location's metadata as JSON."""

_LONGEST_TEXTS = {"checksum": 32, "os_hash_algo": 64, "os_hash_value": 128}
_DEEPEST_METADATA = 20
_HEXADECIMAL = re.compile("[0-9a-fA-F]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A URL of an image's data, and the store of type http that reads it."""

    url: str
    store: StoreID
    metadata: Mapping[str, object] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """Return the API's document."""
        return {"url": self.url, "metadata": {**self.metadata, "store": self.store}}


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenLocation:
    """A location in a patch: its URL, the client's metadata, and the digests that the client promises."""

    url: str
    metadata: Mapping[str, object]
    validation_data: Mapping[str, str] = field(default_factory=dict)

    def to_reference(self, store: StoreID) -> Reference:
        """Return the requested reference."""
        return Reference(
            url=self.url, store=store, metadata={name: self.metadata[name] for name in self.metadata if name != "store"}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLocation:
    """The URL of an image's bytes, and their digest. Without an algorithm the digest is not checked."""

    url: str
    os_hash_algo: str = ""
    os_hash_value: str = ""

    def validation_data(self) -> dict[str, str]:
        """Return the promised digest as in the API's document."""
        return {"os_hash_algo": self.os_hash_algo, "os_hash_value": self.os_hash_value} if self.os_hash_algo else {}


def parse_given_location(document: Any) -> GivenLocation:
    """Parse one location of a patch.

    Raises:
        BodyInvalid: it does not match the schema.
    """
    if not isinstance(document, dict):
        _image_mismatch(f"{_shorten(document)} is not of type 'object'")
    for name, kind, label in (("url", str, "string"), ("metadata", dict, "object")):
        if name not in document:
            _image_mismatch(f"{name!r} is a required property")
        if not isinstance(document[name], kind):
            _image_mismatch(f"{_shorten(document[name])} is not of type {label!r}")
    if len(document["url"]) > LONGEST_URL:
        _image_mismatch(f"{_shorten(document['url'])} is too long")
    _check_metadata(document["metadata"])
    if len(json.dumps(document["metadata"])) > LONGEST_METADATA:
        raise problems.BodyInvalid(f"The metadata of a location has more than {LONGEST_METADATA} characters; leave some out")
    given = document.get("validation_data", {})
    _check_validation_data(given)
    return GivenLocation(url=document["url"], metadata=document["metadata"], validation_data=given)


def parse_new_location(document: object) -> NewLocation:
    """Parse the document of an add-location call.

    Raises:
        BodyInvalid: it does not match the schema, or the promised digest is invalid.
    """
    if not isinstance(document, dict):
        raise _mismatch("the body must be a JSON object")
    if "url" not in document:
        raise _mismatch("'url' is a required property")
    if not isinstance(document["url"], str):
        raise _mismatch(f"{str(document['url'])[:100]} is not of type 'string'")
    algorithm, value = _parse_digests(document.get("validation_data", {}))
    return NewLocation(url=document["url"], os_hash_algo=algorithm, os_hash_value=value)


def is_digest(value: str, size_bytes: int) -> bool:
    """Whether a text is a hexadecimal digest of `size_bytes` bytes."""
    return bool(_HEXADECIMAL.fullmatch(value)) and len(value) == 2 * size_bytes


def _check_metadata(value: object, deep: int = 0) -> None:
    """Accept only strings, and lists and objects of them. Source: Glance's stores, which return 500 for other values."""
    if deep > _DEEPEST_METADATA:
        raise problems.BodyInvalid(f"The metadata of a location is nested more than {_DEEPEST_METADATA} deep; make it flatter")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if not isinstance(each, dict | list | str):
            raise problems.BodyInvalid(f"The metadata of a location may hold texts, lists and objects only, not {_shorten(each)}")
        _check_metadata(each, deep + 1)


def _check_validation_data(given: Any) -> None:
    if not isinstance(given, dict):
        _image_mismatch(f"{_shorten(given)} is not of type 'object'")
    if not given:
        return
    for name in ("os_hash_algo", "os_hash_value"):
        if name not in given:
            _image_mismatch(f"{name!r} is a required property")
    for name, value in given.items():
        if name not in _LONGEST_TEXTS:
            _image_mismatch(f"Additional properties are not allowed ({_shorten(name)} was unexpected)")
        if not isinstance(value, str):
            _image_mismatch(f"{_shorten(value)} is not of type 'string'")
        if len(value) > _LONGEST_TEXTS[name]:
            _image_mismatch(f"{_shorten(value)} is too long")
        if name == "checksum" and len(value) < _LONGEST_TEXTS[name]:
            _image_mismatch(f"{_shorten(value)} is too short")


def _parse_digests(given: Any) -> tuple[str, str]:
    if given is None or given == {}:
        return "", ""
    if not isinstance(given, dict) or set(given) != {"os_hash_algo", "os_hash_value"}:
        raise _mismatch("'validation_data' must have os_hash_algo and os_hash_value, and nothing else")
    algorithm, value = given["os_hash_algo"], given["os_hash_value"]
    if algorithm not in tuple(DIGEST_BYTES):
        raise _mismatch(f"{str(algorithm)[:100]!r} is not one of {', '.join(DIGEST_BYTES)}")
    if not isinstance(value, str) or not _HEXADECIMAL.fullmatch(value):
        raise problems.BodyInvalid(f"os_hash_value ({str(value)[:200]}) is not a valid hexadecimal value")
    size_bytes = DIGEST_BYTES[algorithm]
    if not is_digest(value, size_bytes):
        raise problems.BodyInvalid(
            f"os_hash_value: ({value[:200]}) is not the correct size for ({algorithm}) (should be ({size_bytes}) bytes)"
        )
    return algorithm, value.lower()


def _shorten(value: object) -> str:
    return repr(value)[:300]


def _image_mismatch(words: str) -> NoReturn:
    raise problems.BodyInvalid(f"Provided object does not match schema 'image': {words}")


def _mismatch(words: str) -> problems.BodyInvalid:
    return problems.BodyInvalid(f"Provided object does not match schema 'location': {words}")
