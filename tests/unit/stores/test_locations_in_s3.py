"""Locations of Glance's stores of type s3: the secret key in them may have slashes, is not used, and is not kept."""

import pytest

from partage import problems
from partage.stores.originals.objects import ObjectName, parse_s3, remove_keys


@pytest.mark.parametrize("keys", ["", "AKIA:secret@", "AKIA:wJal/rXUtn/FEMI+K7@", "AKIA:a@b/c@"])
@pytest.mark.parametrize("host", ["host", "host:8080", "host/below"])
def test_keys_are_ignored_whatever_they_contain(keys: str, host: str) -> None:
    url = f"s3+https://{keys}{host}/bucket/object"
    assert parse_s3(url) == ObjectName("", "bucket", "object")
    assert remove_keys(url) == f"s3+https://{host}/bucket/object"


@pytest.mark.parametrize(
    "url", ["s3://host/object", "s3://AKIA:sec/ret@host", "file:///bucket/object", "object", "s3:///bucket/object"]
)
def test_location_without_bucket_is_refused_without_its_keys(url: str) -> None:
    with pytest.raises(problems.StoreUnavailable, match="names no bucket") as refusal:
        parse_s3(url)
    assert "AKIA" not in refusal.value.sentence()
