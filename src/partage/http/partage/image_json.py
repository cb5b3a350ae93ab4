"""The JSON of images in the sharing API: what requests say, checked, and what replies say."""

from collections.abc import Mapping
from typing import Any

from partage import problems
from partage.http.partage.share_json import Document, image_to_json, require_object
from partage.model.adoption import AdoptionRequest, Lineage
from partage.model.document import KnownFormats, check_value, is_property_name, parse_new_image, read_name
from partage.model.image import Image
from partage.model.signature import NAMES as SIGNATURE


def parse_adoption(document: object, known: KnownFormats) -> AdoptionRequest:
    """Read a request to adopt an image.

    Raises:
        BodyInvalid: it does not fit its schema.
    """
    given = require_object(document, ("name", "visibility", "tags", "properties"))
    properties = given.get("properties", {})
    if not isinstance(properties, dict):
        raise problems.BodyInvalid("properties must be an object of texts")
    for text, value in properties.items():
        _check_property(read_name(text), value, known)
    attributes: Mapping[str, Any] = {name: value for name, value in given.items() if name != "properties"}
    # The operator's required properties are required of the new image, which has those of the source too.
    new = parse_new_image({**properties, **attributes}, KnownFormats(disk=known.disk, container=known.container))
    return AdoptionRequest(name=new.name, visibility=new.visibility, tags=new.tags, properties=new.properties)


def adoption_to_json(image: Image, lineage: Lineage) -> Document:
    """Write an image that was just adopted."""
    return image_to_json(image) | lineage_to_json(lineage)


def lineage_to_json(lineage: Lineage) -> Document:
    """Write what an image was adopted from."""
    return {"image_id": lineage.image_id, "adopted_from": lineage.adopted_from, "adopted_at": lineage.adopted_at}


def _check_property(name: str, value: object, known: KnownFormats) -> None:
    if name in SIGNATURE:
        raise problems.BodyInvalid(f"{name} is the source's: the signature of an adopted image is that of its data")
    if not is_property_name(name):
        raise problems.BodyInvalid(f"{name[:64]!r} cannot be the name of a property")
    check_value(name, value, known)
