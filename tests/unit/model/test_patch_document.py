"""The document of a create call."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.model import document
from partage.model.document import KnownFormats
from partage.model.ids import ImageID
from partage.model.image import NewImage, Visibility

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KNOWN = KnownFormats(disk=("raw",), container=("bare",))


def parsed(given: Any) -> NewImage:
    return document.parse_new_image(given, KNOWN)


def test_absent_attributes_have_the_apis_defaults() -> None:
    assert parsed({}) == NewImage(visibility=Visibility.SHARED)


def test_names_that_are_no_attributes_are_properties() -> None:
    assert parsed({"name": "x", "os_distro": "debian", "": "empty"}).properties == {"os_distro": "debian", "": "empty"}


def test_tags_are_kept_once() -> None:
    new = parsed({"tags": ["b", "a", "b"]})
    assert new.tags == ("b", "a", "b")  # they count as they were given
    assert new.image(id=ImageID("i"), owner=None, now=NOW).tags == ("a", "b")


def test_an_owner_of_null_is_not_the_same_as_no_owner_given() -> None:
    assert parsed({"owner": None}).owner_given
    assert not parsed({}).owner_given


def test_whole_numbers_may_be_written_as_fractions() -> None:
    assert parsed({"min_ram": 512.0}).min_ram == 512


def test_digest_is_ignored() -> None:
    assert parsed({"os_hash_algo": "md5", "os_hash_value": "x"}) == NewImage()


INVALID: list[Any] = [
    [],
    "x",
    {"name": 5},
    {"name": "x" * 256},
    {"id": "x"},
    {"id": None},
    {"id": "11111111-1111-4111-8111-11111111111G"},
    {"min_ram": -1},
    {"min_ram": 2**31},
    {"min_ram": 1e300},
    {"min_ram": 1.5},
    {"min_ram": True},
    {"min_disk": None},
    {"visibility": "x"},
    {"visibility": None},
    {"protected": "true"},
    {"os_hidden": 1},
    {"disk_format": "x"},
    {"container_format": 5},
    {"tags": "x"},
    {"tags": [5]},
    {"tags": ["x" * 256]},
    {"owner": 5},
    {"owner": "x" * 256},
    {"a": 5},
    {"a": None},
    {"a": {}},
    {"x" * 256: "a"},
    {"name": "\U0001f600"},
    {"\U0001f600": "x"},
    {"a": "\U0001f600"},
    {"tags": ["\U0001f600"]},
    {"a": "x" * 65_536},
    {"locations": "x"},
    {"status": "x"},
    {"status": ["queued"]},
]


@pytest.mark.parametrize("given", INVALID, ids=lambda given: repr(given)[:40])
def test_document_outside_the_schema_is_refused(given: Any) -> None:
    with pytest.raises(problems.BodyInvalid):
        parsed(given)


SERVICE_OWNED: list[dict[str, Any]] = [
    {"status": "active"},
    {"checksum": "x"},
    {"size": 1},
    {"virtual_size": 1},
    {"created_at": "x"},
    {"updated_at": "x"},
    {"self": "x"},
    {"file": "x"},
    {"schema": "x"},
    {"direct_url": "x"},
    {"stores": "x"},
    {"location": "x"},
    {"deleted": "x"},
    {"deleted_at": "x"},
    {"locations": []},
    {"os_glance_import_task": "x"},
]


@pytest.mark.parametrize("given", SERVICE_OWNED, ids=lambda given: next(iter(given)))
def test_read_only_attributes_are_refused(given: Any) -> None:
    with pytest.raises(problems.AttributeReadOnly):
        parsed(given)


def test_a_message_does_not_repeat_a_value_of_any_length() -> None:
    with pytest.raises(problems.BodyInvalid) as caught:
        parsed({"disk_format": "x" * 100_000})
    assert len(caught.value.sentence()) < 1_000


texts = st.text(max_size=10)
names = st.sampled_from(sorted(document.ATTRIBUTES)) | texts
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts, lambda each: st.lists(each) | st.dictionaries(texts, each)
)


@pytest.mark.thorough
@given(st.dictionaries(names, json_values))
def test_any_input_gives_an_image_or_a_problem(given: Any) -> None:
    with contextlib.suppress(problems.Invalid, problems.Forbidden):
        parsed(given)
