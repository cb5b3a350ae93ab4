"""Sealed tokens: what opens them, and what does not."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from partage import problems
from partage.identity.sealing import TokenSeal
from partage.model.ids import TaskID

KEY, OLD_KEY = "a-key-of-the-service-drawn-at-random", "the-key-that-was-there-before-this-one"
TASK = TaskID("2d0c8f0e-9a5c-4d54-9f6a-0a8b6f4b7a11")


@given(st.text(st.characters(codec="ascii"), max_size=8192))
def test_sealed_token_opens_and_is_not_readable(token: str) -> None:
    seal = TokenSeal([KEY])
    sealed = seal.seal(token, task_id=TASK)
    assert seal.unseal(sealed, task_id=TASK) == token
    assert len(token) < 8 or token not in sealed
    assert sealed != seal.seal(token, task_id=TASK)


def test_layout_is_the_one_that_is_described() -> None:
    raw = base64.urlsafe_b64decode(TokenSeal([KEY]).seal("token", task_id=TASK))
    assert raw[0] == 1
    assert len(raw) == 1 + 12 + len("token") + 16


def test_keys_change_one_after_the_other() -> None:
    before, between = TokenSeal([OLD_KEY]), TokenSeal([KEY, OLD_KEY])
    assert between.unseal(before.seal("token", task_id=TASK), task_id=TASK) == "token"
    assert TokenSeal([KEY]).unseal(between.seal("token", task_id=TASK), task_id=TASK) == "token"


def test_another_key_or_task_does_not_open() -> None:
    sealed = TokenSeal([OLD_KEY]).seal("token", task_id=TASK)
    for seal, task in ((TokenSeal([KEY]), TASK), (TokenSeal([OLD_KEY]), TaskID("another"))):
        with pytest.raises(problems.Unauthenticated, match="cannot decrypt the token"):
            seal.unseal(sealed, task_id=task)


@given(st.data())
def test_changed_text_does_not_open(data: st.DataObject) -> None:
    seal = TokenSeal([KEY])
    raw = bytearray(base64.urlsafe_b64decode(seal.seal("token", task_id=TASK)))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(problems.Unauthenticated):
        seal.unseal(base64.urlsafe_b64encode(raw).decode(), task_id=TASK)


@pytest.mark.parametrize("text", ["", "x", "AQ==", "AQ" * 40, "ä", "gAAAAA=token"])
def test_unsealed_text_does_not_open(text: str) -> None:
    with pytest.raises(problems.Unauthenticated):
        TokenSeal([KEY]).unseal(text, task_id=TASK)


def test_keys_are_not_shown() -> None:
    assert KEY not in repr(TokenSeal([KEY]))
    assert KEY not in repr(vars(TokenSeal([KEY])))
