"""The operator's schema of custom properties: both of Glance's forms, and what is refused of it."""

from typing import Any

import pytest

from partage import problems
from partage.model import document, image_schema, patch
from partage.model.document import KnownFormats

DISTRO = {"type": "string", "enum": ["debian", "ubuntu"], "description": "d"}
KERNEL = {"type": ["null", "string"], "pattern": "^[0-9a-f]{4}$"}


def known(described: dict[str, Any]) -> KnownFormats:
    return KnownFormats(properties=image_schema.parse(described))


@pytest.mark.parametrize("form", [{"os_distro": DISTRO}, {"properties": {"os_distro": DISTRO}}])
def test_both_forms_say_the_same(form: dict[str, Any]) -> None:
    assert image_schema.parse(form) == image_schema.PropertySchemas(by_name={"os_distro": DISTRO})


def test_values_are_checked_against_the_schema() -> None:
    formats = known({"os_distro": DISTRO, "kernel_id": KERNEL})
    made = document.parse_new_image({"os_distro": "debian", "kernel_id": "0af1", "other": "any"}, formats)
    assert made.properties == {"os_distro": "debian", "kernel_id": "0af1", "other": "any"}
    for wrong in ({"os_distro": "windows"}, {"kernel_id": "xyz"}, {"kernel_id": None}, {"os_distro": 5}):
        with pytest.raises(problems.BodyInvalid, match="does not match schema 'image'"):
            document.parse_new_image(wrong, formats)


def test_required_properties_are_checked_on_create_only() -> None:
    formats = known({"properties": {"os_distro": DISTRO}, "required": ["os_distro", "name"]})
    document.parse_new_image({"name": "n", "os_distro": "debian"}, formats)
    for lacking, name in (({"name": "n"}, "os_distro"), ({"os_distro": "debian"}, "name")):
        with pytest.raises(problems.BodyInvalid, match=f"'{name}' is a required property"):
            document.parse_new_image(lacking, formats)
    patch.parse([{"op": "add", "path": "/colour", "value": "blue"}], version="2.1", known=formats)


@pytest.mark.parametrize("op", ["add", "replace"])
def test_patch_is_checked_against_the_schema(op: str) -> None:
    formats = known({"os_distro": DISTRO})
    patch.parse([{"op": op, "path": "/os_distro", "value": "debian"}], version="2.1", known=formats)
    with pytest.raises(problems.BodyInvalid, match="is not one of"):
        patch.parse([{"op": op, "path": "/os_distro", "value": "windows"}], version="2.1", known=formats)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([], "JSON object"),
        ({"properties": []}, "must map names"),
        ({"properties": {}, "required": "name"}, "list of names"),
        ({"properties": {}, "required": [5]}, "list of names"),
        ({"a": "string"}, "must be a JSON object"),
        ({"a": {"type": "nonsense"}}, "not a JSON schema"),
        ({"a": {"type": "integer"}}, "must allow the type string"),
        ({"a": {"type": ["null", "boolean"]}}, "must allow the type string"),
    ],
)
def test_invalid_schema_file_is_reported(wrong: Any, words: str) -> None:
    with pytest.raises(problems.Invalid, match=words):
        image_schema.parse(wrong)
