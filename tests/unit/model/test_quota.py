"""Quotas as values: what counts against which limit, and how much is kept ahead of data whose size nobody said."""

import pytest

from partage import problems
from partage.model.quota import MEBIBYTE, Allowance, Place, Usage, parse_keystone_limits

GIBIBYTE = 1 << 30
USAGE = Usage(
    stored_bytes=3 * MEBIBYTE + 1,
    lone_bytes=7,
    staged_bytes=2 * MEBIBYTE,
    kept_stored_bytes=500,
    kept_staged_bytes=60,
    images=4,
    uploading=2,
)


def test_the_operators_own_limit_is_of_everything_together() -> None:
    allowance = Allowance(stored_bytes=10)
    assert allowance.limit_bytes(Place.STAGED) == allowance.limit_bytes(Place.STORED) == 10
    assert allowance.sum_used_bytes(Place.STAGED, USAGE) == 3 * MEBIBYTE + 1 + 7 + 500 + 60


def test_unified_limits_count_stored_and_staged_mebibytes() -> None:
    limits = {"image_size_total": 5, "image_stage_total": 6, "image_count_total": 7, "image_count_uploading": 8, "other": 9}
    allowance = parse_keystone_limits(limits, one_over=False)
    assert (allowance.stored_bytes, allowance.staged_bytes) == (5 * MEBIBYTE, 6 * MEBIBYTE)
    assert (allowance.images, allowance.uploading) == (7, 8)
    assert allowance.sum_used_bytes(Place.STORED, USAGE) == 3 * MEBIBYTE + 1 + 500
    assert allowance.sum_used_bytes(Place.STAGED, USAGE) == 2 * MEBIBYTE + 60


def test_unregistered_limit_is_zero_and_minus_one_is_unlimited() -> None:
    allowance = parse_keystone_limits({"image_size_total": -1}, one_over=False)
    assert allowance == Allowance(images=0, uploading=0, stored_bytes=None, staged_bytes=0, together=False)
    with pytest.raises(problems.QuotaExceeded):
        allowance.check_images(Usage())


def test_usage_is_in_whole_mebibytes_without_reservations() -> None:
    assert USAGE.to_report() == {"image_size_total": 3, "image_stage_total": 2, "image_count_total": 4, "image_count_uploading": 2}


@pytest.mark.parametrize(
    ("limit", "used", "wanted", "granted"),
    [
        (1000, 0, 1000, 1000),
        (1000, 999, 1, 1),
        (4 * MEBIBYTE, 0, 1, 1),
        (4 * MEBIBYTE + 1, 0, 1, 1 + 64 * 1024),
        (GIBIBYTE, 0, 0, 16 * MEBIBYTE),
        (100 * GIBIBYTE, 0, 5, 5 + 64 * MEBIBYTE),
    ],
)
def test_reservation_grows_with_the_free_quota(limit: int, used: int, wanted: int, granted: int) -> None:
    assert Allowance(stored_bytes=limit).grow(Place.STORED, used, wanted) == granted
    assert used + granted <= limit


def test_one_byte_above_the_limit_is_refused_naming_the_limit() -> None:
    with pytest.raises(problems.QuotaExceeded, match="room for 600 more bytes"):
        Allowance(stored_bytes=1000).grow(Place.STORED, 400, 601)


def test_one_upload_may_exceed_while_usage_is_within_the_limit() -> None:
    allowance = Allowance(stored_bytes=1000, one_over=True)
    assert allowance.grow(Place.STORED, 1000, 5000) > 5000
    with pytest.raises(problems.QuotaExceeded):
        allowance.grow(Place.STORED, 1001, 1)
    with pytest.raises(problems.QuotaExceeded):
        allowance.check_bytes(Place.STORED, 1000, 1)
