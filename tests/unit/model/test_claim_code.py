"""The text of a claim code: read as it was written, however it was passed on."""

import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.model.claim_code import RANDOM_BYTES, ClaimRules, CodeText

NOW = datetime(2026, 11, 29, tzinfo=UTC)
randoms = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(random=randoms)
def test_code_is_read_as_it_was_written(random: bytes) -> None:
    code = CodeText.encode(random)
    assert CodeText.parse(str(code)) == code
    assert str(code).startswith(f"partage-claim-{code.id[:4]}-")


@given(first=randoms, second=randoms)
def test_codes_differ_where_their_random_bytes_do(first: bytes, second: bytes) -> None:
    one, two = CodeText.encode(first), CodeText.encode(second)
    assert (one == two) == (one.digest == two.digest) == (first == second)


@given(random=randoms, upper=st.booleans(), hyphen=st.sampled_from(["", " ", "-", "\n"]))
def test_code_is_read_whatever_its_case_and_separators(random: bytes, upper: bool, hyphen: str) -> None:
    code = CodeText.encode(random)
    head, _, groups = str(code).partition("claim-")
    text = f" {head}claim-{groups.replace('-', hyphen)}\n"
    assert CodeText.parse(text.upper() if upper else text) == code


def test_characters_that_look_alike_are_read_alike() -> None:
    code = CodeText.encode(bytes(RANDOM_BYTES))
    assert set(code.id + code.secret) == {"0"}
    assert CodeText.parse("partage-claim-" + "0Oo0" * 10) == code
    assert CodeText.parse("partage-claim-" + "1iIlL" * 8) == CodeText.parse("partage-claim-" + "1" * 40)


@given(
    text=st.text(max_size=80) | st.text(alphabet=string.ascii_letters + string.digits, max_size=50).map("partage-claim-".__add__)
)
def test_text_that_is_read_as_a_code_is_that_code(text: str) -> None:
    found = CodeText.parse(text)
    assert found is None or CodeText.parse(str(found)) == found


@pytest.mark.parametrize("text", ["", "partage-claim-", "partage-claim-" + "0" * 39, "partage-claim-" + "0" * 41, "0" * 40,
                                  "partage-claim-" + "u" * 40, "partage-claim-" + "é" * 40])  # fmt: skip
def test_text_that_cannot_be_a_code_is_none(text: str) -> None:
    assert CodeText.parse(text) is None


def test_secret_is_in_no_representation() -> None:
    code = CodeText.encode(bytes(range(RANDOM_BYTES)))
    assert code.secret not in repr(code)
    assert code.secret not in code.digest


def test_code_expires_within_the_bounds_of_the_operator() -> None:
    rules = ClaimRules(validity=timedelta(days=1), longest_validity=timedelta(days=2))
    assert rules.choose_expiry(None, NOW) == NOW + timedelta(days=1)
    assert rules.choose_expiry(NOW + timedelta(days=2), NOW) == NOW + timedelta(days=2)
    for refused in (NOW, NOW - timedelta(days=1), NOW + timedelta(days=2, seconds=1)):
        with pytest.raises(problems.TermsRefused):
            rules.choose_expiry(refused, NOW)
