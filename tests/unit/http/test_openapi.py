"""The OpenAPI document: valid by the specification's own schema, of every route, and true to what the table of routes says."""

import json
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from partage.http.openapi import parts_of
from partage.http.options import EdgeOptions
from partage.http.routing import Body, Row
from partage.http.v2 import openapi
from partage.http.v2.descriptions import DESCRIPTIONS
from partage.http.v2.routes import ROWS

FORMATS = EdgeOptions(www_authenticate_uri="").formats
DOCUMENT: dict[str, Any] = orjson.loads(orjson.dumps(openapi.build_document(FORMATS)))
"""As it comes over the wire."""


def key(row: Row) -> str:
    return f"{row.method} {row.path}"


def test_the_document_is_valid() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_schema_in_it_is_valid() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def test_every_route_is_described_in_descriptions_py_and_nothing_else_is() -> None:
    """A new route needs a row there: what it takes and gives, its parameters, and how it fails beyond what all do."""
    assert set(DESCRIPTIONS) == {key(row) for row in ROWS}


def test_every_route_is_in_the_document() -> None:
    found = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert found == {(row.method, row.path) for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=key)
def test_a_route_is_described_as_it_is(row: Row) -> None:
    found = DOCUMENT["paths"][row.path][row.method.lower()]
    assert found["summary"].endswith(".")
    assert (str(row.status.value) in found["responses"]) == DESCRIPTIONS[key(row)].succeeds
    if row.body is Body.REFUSED:
        assert "requestBody" not in found
    if row.rule is not None:
        assert row.rule in found["description"]
        assert "403" in found["responses"]
    in_path = {each["$ref"].rpartition("path.")[2] for each in found["parameters"] if "/path." in each["$ref"]}
    assert in_path == set(parts_of(row.path))


def test_openapi_references_resolve_and_no_component_is_unused() -> None:
    used = set()

    def follow(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                used.add(value["$ref"])
            for each in value.values():
                follow(each)
        elif isinstance(value, list):
            for each in value:
                follow(each)

    follow(DOCUMENT)
    there = {
        f"#/components/{kind}/{name}"
        for kind, named in DOCUMENT["components"].items()
        if kind != "securitySchemes"
        for name in named
    }
    assert used == there


def test_operations_have_names_of_their_own() -> None:
    names = [operation["operationId"] for methods in DOCUMENT["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_created_resources_link_to_their_operations() -> None:
    links = DOCUMENT["paths"]["/v2/images"]["post"]["responses"]["201"]["links"]
    assert links["patch_images_image_id"]["parameters"] == {"image_id": "$response.body#/id"}
    assert links["get_images_image_id_file"]["operationId"] == "get_images_image_id_file"
    members = DOCUMENT["paths"]["/v2/images/{image_id}/members"]["post"]["responses"]["200"]["links"]
    assert set(members) == {f"{method}_images_image_id_members_member_id" for method in ("get", "put", "delete")}


def test_formats_are_those_of_the_operator() -> None:
    assert DOCUMENT["components"]["schemas"]["image"]["properties"]["disk_format"]["enum"] == [None, *FORMATS.disk]


def test_the_document_is_the_same_every_time() -> None:
    assert openapi.reply(FORMATS).body == json.dumps(DOCUMENT, separators=(",", ":"), ensure_ascii=False).encode()
