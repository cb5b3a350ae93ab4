"""Another image service's word, whatever it says: a description that can be kept here, or a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.model.document import ATTRIBUTES, DISALLOWED, DROPPED, RESERVED, KnownFormats, check_allowed, check_storable, read_name
from partage.model.remote_image import COPIED, parse_remote_image

GOOD = {"status": "active", "size": 5, "disk_format": "raw", "container_format": "bare"}
NAMES = st.sampled_from(sorted({*ATTRIBUTES, *DISALLOWED, *DROPPED, *RESERVED, "os_glance_x", "OS_GLANCE_x", "hw_x"})) | st.text(
    max_size=12
).map(lambda text: f"os_{text}")
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.text(max_size=3), max_size=2)


@given(st.dictionaries(NAMES, VALUES, max_size=8), st.sampled_from([("",), ("os_",), COPIED]))
def test_reserved_and_invalid_properties_are_not_imported(told: dict[str, object], copied: tuple[str, ...]) -> None:
    try:
        found = parse_remote_image({**GOOD, **told}, copied=copied, known=KnownFormats())
    except problems.RemoteImageRefused:
        return
    names = {read_name(text): value for text, value in told.items()}
    for name, value in found.properties.items():
        check_allowed(name)
        check_storable(name, value)
        assert name not in ATTRIBUTES
        assert "\x00" not in name + value
        assert names[name] == value
        assert name.startswith(copied)


@pytest.mark.parametrize("size", [-1, 2**63, 1.0, "5", None, True])
def test_size_is_a_number_of_bytes(size: object) -> None:
    with pytest.raises(problems.RemoteImageRefused, match="has no valid size"):
        parse_remote_image({**GOOD, "size": size}, copied=COPIED, known=KnownFormats())


@pytest.mark.parametrize(
    ("told", "digest"),
    [
        ({"os_hash_algo": "sha256", "os_hash_value": "ab", "checksum": "cd"}, ("sha256", "ab")),
        ({"os_hash_algo": "sha256", "checksum": "cd"}, ("md5", "cd")),
        ({"os_hash_algo": None, "os_hash_value": None, "checksum": None}, None),
        ({"os_hash_algo": ["sha256"], "os_hash_value": {}}, None),
    ],
)
def test_strongest_announced_digest_is_used(told: dict[str, object], digest: tuple[str, str] | None) -> None:
    assert parse_remote_image({**GOOD, **told}, copied=COPIED, known=KnownFormats()).digest == digest


@pytest.mark.parametrize("document", [None, [], "x", 5, {}])
def test_document_that_is_not_an_image_is_refused(document: object) -> None:
    with pytest.raises(problems.RemoteImageRefused):
        parse_remote_image(document, copied=COPIED, known=KnownFormats())
