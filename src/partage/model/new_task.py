"""A request to create a task, by an administrator. Source: Image API v2, "Create task"; messages are Glance's."""

from collections.abc import Mapping
from dataclasses import dataclass

from partage import problems
from partage.model.document import KnownFormats, parse_new_image
from partage.model.image import NewImage
from partage.model.task import TaskType


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """An image to create and the URL of its data. `input` is the client's document, which the task shows."""

    image: NewImage
    import_from: str
    input: Mapping[str, object]


def parse_new_task(document: object, known: KnownFormats) -> NewTask:
    """Check the document of a create-task call and make a value of it.

    Raises:
        BodyInvalid: it does not fit, or is of a type that the service alone makes.
        AttributeReadOnly: a property of the image is the service's own.
    """
    if not isinstance(document, dict):
        raise problems.BodyInvalid("Provided object does not match schema 'task': the body must be a JSON object")
    for name in ("type", "input"):
        if name not in document:
            raise problems.BodyInvalid(f"Task '{name}' is required")
    if document["type"] != TaskType.IMPORT:
        raise problems.BodyInvalid(
            f"Tasks of type {str(document['type'])[:100]!r} cannot be created; the type that can is 'import'"
        )
    return _parse_input(document["input"], known)


def _parse_input(given: object, known: KnownFormats) -> NewTask:
    if not isinstance(given, dict):
        raise problems.BodyInvalid("Provided object does not match schema 'task': input must be a JSON object")
    for name in ("import_from", "import_from_format", "image_properties"):
        if name not in given:
            raise problems.BodyInvalid(f"Input does not contain '{name}' field")
    if not isinstance(given["import_from"], str):
        raise problems.BodyInvalid("Input field 'import_from' must be a URL")
    image = parse_new_image(given["image_properties"], known)
    for name, value in (("container_format", image.container_format), ("disk_format", image.disk_format)):
        if value is None:
            raise problems.BodyInvalid(f"Input field 'image_properties' must have {name}")
    return NewTask(image=image, import_from=given["import_from"], input=given)
