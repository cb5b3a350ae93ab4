"""Changes of an image's locations by a patch.

The locations in this service's stores come first, and belong to the service: a client can name them in a replacement of the whole
list, and remove them. It can add locations on the web. A queued image has no locations, and becomes active with its first one;
those of a failed attempt do not count. The caller of this module finds out the sizes of new locations: see `list_added_urls`.

The bytes of an active image never change: if it has a digest, a new location must promise the same digest.
Source: Image API v2, "Image PATCH"; statuses and messages are Glance's. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from partage import problems
from partage.model.ids import StoreID
from partage.model.image import Image, ImageStatus
from partage.model.limits import Limits
from partage.model.location import DIGEST_BYTES, GivenLocation, Reference, is_digest, parse_given_location

_FAR = 10**9
_INVALID = "Invalid location"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationTerms:
    """Whether and how locations may be changed.

    `store` is the store of type http, which keeps URLs as references; None if there is none. `hash_algorithm` is the algorithm of
    digests that clients may promise.
    """

    visible: bool = False
    store: StoreID | None = None
    hash_algorithm: str = "sha512"
    limits: Limits = field(default_factory=Limits)


NO_CHANGES_ALLOWED = LocationTerms()


def add(image: Image, position: str, value: Any, *, terms: LocationTerms, now: datetime) -> Image:
    """Add a location before `position` of the list, or at its end.

    Raises:
        AttributeReadOnly: locations are not shown, so they cannot be changed.
        StatusConflict: the image is neither queued nor active.
        PropertyConflict: the promised digests are missing, or differ from the image's.
        BodyInvalid: the position is invalid, or the location is not a URL on the web, or exists.
        TooMany: the image would have too many locations.
        FormatMissing: a queued image would become active without its formats.
    """
    _require_visible(terms, "add")
    _require_status(image, "add")
    given = parse_given_location(value)
    promised = _merge_digests(image, [given], terms)
    if image.os_hash_value is not None and "os_hash_value" not in given.validation_data:
        # Differs from Glance, which accepts any: an owner could replace the bytes that others trust (OSSN-0065, OSSN-0090).
        raise problems.PropertyConflict(
            "The image has a digest, so a further location must promise the same one; "
            "give os_hash_algo and os_hash_value of the image in validation_data"
        )
    number = _number(position)
    if number is None:
        raise problems.BodyInvalid("Invalid position for adding a location.")
    known = _references(image)
    new = _make_reference(given, terms)
    if new in known:
        raise _duplicate(given)
    place = max(0, number - len(image.stores))
    references = (*known[:place], new, *known[place:])
    return _change_references(image, references, promised, terms=terms, now=now)


def replace_all(image: Image, value: Any, *, terms: LocationTerms, now: datetime) -> Image:
    """Set the first locations of an image, or change the order and the metadata of its locations.

    Raises:
        AttributeReadOnly: the list is empty, or locations are not shown.
        StatusConflict, PropertyConflict, TooMany, FormatMissing: as `add`.
        BodyInvalid: a location is not a URL on the web, occurs twice, or the URLs are not those that the image has.
    """
    if not value:
        raise problems.AttributeReadOnly("Cannot set locations to empty list.")
    _require_visible(terms, "update")
    _require_status(image, "replace")
    given = [parse_given_location(each) for each in value]
    promised = _merge_digests(image, given, terms)
    own = {own_url(image, store): {"store": store} for store in image.stores}
    known = _references(image)
    if own or known:
        if sorted(each.url for each in given) != sorted([*own, *(each.url for each in known)]):
            raise problems.BodyInvalid(
                "The locations of an image cannot be replaced: send exactly the URLs that it has. To change one, add or remove it"
            )
        _require_own_metadata(own, given)
    references = tuple(_make_reference(each, terms) for each in given if each.url not in own)
    for number, each in enumerate(references):
        if each in references[:number]:
            raise _duplicate(given[number])
    return _change_references(image, references, promised, terms=terms, now=now)


def remove(image: Image, position: str, *, terms: LocationTerms, now: datetime) -> Image:
    """Remove the location at `position`, but never the last.

    Raises:
        AttributeReadOnly: locations are not shown, so they cannot be changed.
        StatusConflict: the image is not active.
        StatusForbids: it is the last location.
        BodyInvalid: there is no location at this position.
    """
    _require_visible(terms, "remove")
    if image.status is not ImageStatus.ACTIVE:
        raise problems.StatusConflict(f"It's not allowed to remove locations if image status is {image.status}.")
    count = len(image.stores) + len(image.references)
    if count == 1:
        raise problems.StatusForbids("Cannot remove last location in the image.")
    number = count - 1 if position == "-" else _number(position)
    if number is None or number >= count:
        raise problems.BodyInvalid("Invalid position for removing a location.")
    if number < len(image.stores):
        return image.without_store(image.stores[number], now=now)
    gone = number - len(image.stores)
    return replace(image, references=(*image.references[:gone], *image.references[gone + 1 :]), updated_at=now)


def list_added_urls(image: Image, changed: Image) -> tuple[str, ...]:
    """List the URLs that a change added, each once; all URLs if the image became active by the change."""
    known = {each.url for each in image.references} if changed.status is image.status else set()
    return tuple(dict.fromkeys(each.url for each in changed.references if each.url not in known))


def own_url(image: Image, store: StoreID) -> str:
    """Return the URL of an image's bytes in a store of this service. Only this service can open it."""
    return f"partage://{store}/{image.id}"


def _require_visible(terms: LocationTerms, verb: str) -> None:
    if not terms.visible:
        raise problems.AttributeReadOnly(f"It's not allowed to {verb} locations if locations are invisible.")


def _require_status(image: Image, verb: str) -> None:
    if image.status not in (ImageStatus.QUEUED, ImageStatus.ACTIVE):
        raise problems.StatusConflict(f"It's not allowed to {verb} locations if image status is {image.status}.")


def _references(image: Image) -> tuple[Reference, ...]:
    return () if image.status is ImageStatus.QUEUED else image.references


def _number(position: str) -> int | None:
    """Parse a position. A large number is the end of the list, as "-" is."""
    if position == "-":
        return _FAR
    if not (position.isascii() and position.isdigit()):
        return None
    return min(int(position[:10]), _FAR)


def _make_reference(given: GivenLocation, terms: LocationTerms) -> Reference:
    """Return the reference to a URL on the web. Its host and port are checked when it is opened."""
    scheme = given.url.partition("://")[0]
    if scheme.lower() not in ("http", "https"):
        raise problems.BodyInvalid(f"{_INVALID}: only http and https URLs are accepted")
    if terms.store is None:
        raise problems.BodyInvalid(
            f"{_INVALID}: this service has no store of type http, which stores URLs as references; "
            "import from there instead (web-download)"
        )
    return given.to_reference(terms.store)


def _duplicate(given: GivenLocation) -> problems.BodyInvalid:
    return problems.BodyInvalid(f"The location {given.url} already exists")


def _require_own_metadata(own: Mapping[str, Mapping[str, object]], given: Iterable[GivenLocation]) -> None:
    for each in given:
        if each.url in own and each.metadata != own[each.url]:
            raise problems.BodyInvalid(f"The metadata of {each.url} is set by the service; do not change it")


def _merge_digests(image: Image, given: Sequence[GivenLocation], terms: LocationTerms) -> dict[str, str]:
    """Merge the digests that locations promise. A queued image gets them; an active image must have them already."""
    promised: dict[str, str] = {}
    for each in given:
        for name, text in each.validation_data.items():
            if promised.setdefault(name, text.lower()) != text.lower():
                raise problems.PropertyConflict(f"Conflicting values for {name}")
    if image.status is ImageStatus.QUEUED:
        _check_digests(promised, terms)
        return promised
    for name, text in promised.items():
        present = getattr(image, name)
        if present is not None and present != text:
            raise problems.PropertyConflict(f"{name} is already set with a different value")
    new = [name for name in promised if getattr(image, name) is None]
    if new:
        raise problems.PropertyConflict(f"New value(s) for {', '.join(new)} may only be provided when image status is 'queued'")
    return {}


def _check_digests(promised: Mapping[str, str], terms: LocationTerms) -> None:
    if not promised:
        return
    algorithm, value = promised["os_hash_algo"], promised["os_hash_value"]
    if algorithm != terms.hash_algorithm:
        raise problems.PropertyConflict(f"os_hash_algo must be {terms.hash_algorithm}, not {algorithm}")
    for name, text, by in (("checksum", promised.get("checksum"), "md5"), ("os_hash_value", value, algorithm)):
        if text is not None and not is_digest(text, DIGEST_BYTES[by]):
            raise problems.PropertyConflict(f"{name} ({text}) is not a hexadecimal value of {DIGEST_BYTES[by]} bytes, as {by} has")


def _change_references(
    image: Image, references: tuple[Reference, ...], promised: dict[str, str], *, terms: LocationTerms, now: datetime
) -> Image:
    before = len(_references(image))
    if len(references) > before:
        terms.limits.check_locations(len(image.stores) + len(references))
    changed = replace(image, references=references, updated_at=now)
    if image.status is not ImageStatus.QUEUED:
        return changed
    missing = [name for name in ("disk_format", "container_format") if getattr(image, name) is None]
    if missing:
        raise problems.FormatMissing(f"Properties {', '.join(missing)} must be set prior to saving data.")
    digests: dict[str, Any] = dict(promised)
    return replace(changed, **digests).become(ImageStatus.ACTIVE, now=now)
