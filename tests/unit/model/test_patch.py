"""The JSON patch: laws on random images, and each rule by example."""

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.model import patch
from partage.model.document import KnownFormats
from partage.model.ids import ImageID, ProjectID
from partage.model.image import Image, ImageStatus, Visibility

KNOWN = KnownFormats(disk=("raw", "qcow2"), container=("bare", "ova"))
THEN = datetime(2026, 1, 1, tzinfo=UTC)
NOW = THEN + timedelta(days=1)
IMAGE = Image(
    id=ImageID("11111111-1111-4111-8111-111111111111"),
    owner=ProjectID("mine"),
    created_at=THEN,
    updated_at=THEN,
    name="debian",
    properties={"os_distro": "debian"},
    tags=("one",),
)

texts = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
names = texts.filter(
    lambda name: name.strip() == name and name and name not in IMAGE.__slots__ and not name.startswith("os_glance")
)
names = names.filter(
    lambda name: name not in ("self", "file", "schema", "stores", "direct_url", "location", "locations", "deleted")
)
values: dict[str, Any] = {
    "name": st.none() | texts,
    "visibility": st.sampled_from(Visibility),
    "protected": st.booleans(),
    "os_hidden": st.booleans(),
    "min_disk": st.integers(0, 2**31 - 1),
    "min_ram": st.integers(0, 2**31 - 1),
    "disk_format": st.sampled_from([None, "raw", "qcow2"]),
    "container_format": st.sampled_from([None, "bare", "ova"]),
    "tags": st.sets(texts.map(str.strip), max_size=5).map(lambda tags: tuple(sorted(tags))),
}
properties = st.dictionaries(names, texts, max_size=6)
images = st.builds(lambda given, more: replace(IMAGE, **given, properties=more), st.fixed_dictionaries(values), properties)


def pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def diff(old: Image, new: Image) -> list[dict[str, Any]]:
    """Write a patch that makes `new` of `old`."""
    changes: list[dict[str, Any]] = []
    for name in values:
        value = getattr(new, name)
        if value != getattr(old, name):
            written = list(value) if isinstance(value, tuple) else value
            changes.append({"op": "replace", "path": pointer(name), "value": written})
    changes += [{"op": "remove", "path": pointer(name)} for name in old.properties if name not in new.properties]
    changes += [{"op": "add", "path": pointer(name), "value": value} for name, value in new.properties.items()]
    return changes


def applied(*changes: Any, to: Image = IMAGE, version: patch.Version = "2.1") -> Image:
    return patch.apply(to, patch.parse(list(changes), version=version, known=KNOWN), now=NOW)


@given(images, images)
def test_the_patch_between_two_images_makes_one_of_the_other(old: Image, new: Image) -> None:
    changes = diff(old, new)
    expected = replace(new, updated_at=NOW if changes else old.updated_at)
    assert applied(*changes, to=old) == expected


@given(images, images)
def test_touched_names_everything_that_differs(old: Image, new: Image) -> None:
    named = patch.list_changed_names(patch.parse(diff(old, new), version="2.1", known=KNOWN))
    differing = {name for name in values if getattr(old, name) != getattr(new, name)}
    assert differing <= named


def test_an_empty_patch_changes_nothing_not_even_the_time() -> None:
    assert applied() is IMAGE


def test_a_patch_without_effect_renews_the_time() -> None:
    assert applied({"op": "replace", "path": "/name", "value": "debian"}).updated_at == NOW


def test_changes_are_applied_in_order() -> None:
    changed = applied({"op": "add", "path": "/a", "value": "1"}, {"op": "replace", "path": "/a", "value": "2"})
    assert changed.properties["a"] == "2"


def test_the_image_itself_stays_as_it_is_when_a_later_change_fails() -> None:
    with pytest.raises(problems.PropertyConflict):
        applied({"op": "replace", "path": "/os_distro", "value": "x"}, {"op": "remove", "path": "/none"})
    assert IMAGE.properties == {"os_distro": "debian"}


def test_add_replaces_in_version_2_1_and_conflicts_in_version_2_0() -> None:
    assert applied({"op": "add", "path": "/os_distro", "value": "x"}).properties["os_distro"] == "x"
    with pytest.raises(problems.PropertyConflict, match="Property os_distro already present"):
        applied({"add": "/os_distro", "value": "x"}, version="2.0")
    with pytest.raises(problems.PropertyConflict, match="Property name already present"):
        applied({"add": "/name", "value": "x"}, version="2.0")


@pytest.mark.parametrize("op", ["replace", "remove"])
def test_absent_property_cannot_be_replaced_or_removed(op: str) -> None:
    with pytest.raises(problems.PropertyConflict, match="Property none does not exist"):
        applied({"op": op, "path": "/none", "value": "x"})


@pytest.mark.parametrize("name", ["name", "tags", "visibility", "owner", "protected", "disk_format"])
def test_attributes_cannot_be_removed(name: str) -> None:
    with pytest.raises(problems.AttributeReadOnly, match=f"Property {name} may not be removed"):
        applied({"op": "remove", "path": f"/{name}"})


@pytest.mark.parametrize("status", [status for status in ImageStatus if status not in ("queued", "importing")])
def test_formats_stay_as_they_are_once_there_is_image_data(status: ImageStatus) -> None:
    with pytest.raises(problems.StatusForbids, match="can be only replaced for a queued image"):
        applied({"op": "replace", "path": "/disk_format", "value": "raw"}, to=replace(IMAGE, status=status, disk_format="raw"))


REFUSED: list[tuple[type[problems.Problem], Any]] = [
    (problems.BodyInvalid, {"path": "/a", "value": "x"}),
    (problems.BodyInvalid, {"op": "test", "path": "/a", "value": "x"}),
    (problems.BodyInvalid, {"op": "move", "path": "/a", "from": "/b"}),
    (problems.BodyInvalid, {"op": {}, "path": "/a", "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "path": 5, "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "path": ["/a"], "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "path": "/a"}),
    (problems.BodyInvalid, {"op": "add", "path": "a", "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "path": "", "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "path": "/a/b", "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "path": "/a//b", "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "path": "/a/", "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "path": "/a~2", "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "path": "/a~", "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "path": "/tags/-", "value": "x"}),
    (problems.BodyInvalid, {"op": "add", "path": "/a", "value": 5}),
    (problems.BodyInvalid, {"op": "add", "path": "/a", "value": "\U0001f600"}),
    (problems.BodyInvalid, {"op": "add", "path": "/" + "x" * 256, "value": "x"}),
    (problems.BodyInvalid, {"op": "replace", "path": "/min_ram", "value": -1}),
    (problems.BodyInvalid, {"op": "replace", "path": "/min_ram", "value": 2**31}),
    (problems.BodyInvalid, {"op": "replace", "path": "/visibility", "value": "secret"}),
    (problems.BodyInvalid, {"op": "replace", "path": "/disk_format", "value": "floppy"}),
    (problems.BodyInvalid, {"op": "replace", "path": "/protected", "value": "true"}),
    (problems.BodyInvalid, {"op": "add", "path": "/locations", "value": []}),
    (problems.BodyInvalid, {"op": "add", "path": "/locations/-", "value": {"url": "x"}}),
    (problems.BodyInvalid, "add /a"),
    (problems.AttributeReadOnly, {"op": "replace", "path": "/id", "value": "x"}),
    (problems.AttributeReadOnly, {"op": "remove", "path": "/status"}),
    (problems.AttributeReadOnly, {"op": "add", "path": "/stores", "value": "x"}),
    (problems.AttributeReadOnly, {"op": "add", "path": "/os_hash_value", "value": "x"}),
    (problems.AttributeReadOnly, {"op": "add", "path": "/deleted", "value": "x"}),
    (problems.AttributeReadOnly, {"op": "add", "path": "/os_glance_import_task", "value": "x"}),
    (problems.AttributeReadOnly, {"op": "replace", "path": "/locations", "value": []}),
    (problems.AttributeReadOnly, {"op": "remove", "path": "/locations/0"}),
]


@pytest.mark.parametrize(("problem", "change"), REFUSED)
def test_invalid_or_forbidden_changes_are_refused(problem: type[problems.Problem], change: Any) -> None:
    with pytest.raises(problem):
        applied(change)


@pytest.mark.parametrize("change", [{"add": "/a", "remove": "/a", "value": "x"}, {"value": "x"}, {"add": 5, "value": "x"}])
def test_version_2_0_wants_exactly_one_operation_and_its_path(change: Any) -> None:
    with pytest.raises(problems.BodyInvalid):
        applied(change, version="2.0")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts, lambda each: st.lists(each) | st.dictionaries(texts, each)
)
wild_changes = st.dictionaries(
    st.sampled_from(["op", "path", "value", "add", "remove", "replace"]) | texts,
    json_values | st.sampled_from(["add", "/a", "/locations/-"]),
)


@pytest.mark.thorough
@given(json_values | st.lists(wild_changes), st.sampled_from(["2.0", "2.1"]))
def test_any_input_gives_changes_or_a_problem(document: Any, version: patch.Version) -> None:
    with contextlib.suppress(problems.Invalid, problems.Forbidden, problems.Conflict):
        patch.apply(IMAGE, patch.parse(document, version=version, known=KNOWN), now=NOW)
