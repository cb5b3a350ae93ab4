"""A location that a service of the cloud gives to an image: where its bytes are to be fetched, and what they must be.

Source: Image API v2.17, "Add location". `sha1` is not computed here, so it is refused rather than believed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from partage import problems

DIGEST_BYTES: Mapping[str, int] = {"md5": 16, "sha256": 32, "sha512": 64}
_HEXADECIMAL = re.compile("[0-9a-fA-F]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewLocation:
    """Where an image's bytes are, and the digest that they must have; without an algorithm any bytes will do."""

    url: str
    os_hash_algo: str = ""
    os_hash_value: str = ""

    def validation_data(self) -> dict[str, str]:
        """Write the promised digest as the API has it."""
        return {"os_hash_algo": self.os_hash_algo, "os_hash_value": self.os_hash_value} if self.os_hash_algo else {}


def parse_new_location(document: object) -> NewLocation:
    """Check the document of an add-location call and make a value of it.

    Raises:
        BodyInvalid: it does not fit the schema, or promises what is no digest.
    """
    if not isinstance(document, dict):
        raise _mismatch("the body must be a JSON object")
    if "url" not in document:
        raise _mismatch("'url' is a required property")
    if not isinstance(document["url"], str):
        raise _mismatch(f"{str(document['url'])[:100]} is not of type 'string'")
    algorithm, value = _promised(document.get("validation_data", {}))
    return NewLocation(url=document["url"], os_hash_algo=algorithm, os_hash_value=value)


def _promised(given: Any) -> tuple[str, str]:
    if given is None or given == {}:
        return "", ""
    if not isinstance(given, dict) or set(given) != {"os_hash_algo", "os_hash_value"}:
        raise _mismatch("'validation_data' must have os_hash_algo and os_hash_value, and nothing else")
    algorithm, value = given["os_hash_algo"], given["os_hash_value"]
    if algorithm not in tuple(DIGEST_BYTES):
        raise _mismatch(f"{str(algorithm)[:100]!r} is not one of {', '.join(DIGEST_BYTES)}")
    if not isinstance(value, str) or not _HEXADECIMAL.fullmatch(value):
        raise problems.BodyInvalid(f"os_hash_value ({str(value)[:200]}) is not a valid hexadecimal value")
    wanted = DIGEST_BYTES[algorithm]
    if len(value) != 2 * wanted:
        raise problems.BodyInvalid(
            f"os_hash_value: ({value[:200]}) is not the correct size for ({algorithm}) (should be ({wanted}) bytes)"
        )
    return algorithm, value.lower()


def _mismatch(words: str) -> problems.BodyInvalid:
    return problems.BodyInvalid(f"Provided object does not match schema 'location': {words}")
