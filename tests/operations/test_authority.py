"""The rules in force: Glance's defaults, an operator's file, and what is remembered of them."""

from datetime import UTC, datetime
from os import utime
from pathlib import Path

import pytest

from partage import problems
from partage.model.caller import Caller
from partage.model.ids import ImageID, ProjectID, UserID
from partage.model.image import Image, Visibility
from partage.policies import authority
from partage.policies.authority import Authority
from partage.policies.images import DOWNLOAD_IMAGE, GET_IMAGE, MODIFY_IMAGE, PUBLICIZE_IMAGE

NOW = datetime(2026, 11, 24, tzinfo=UTC)
IMAGE = Image(id=ImageID("i"), owner=ProjectID("A"), created_at=NOW, updated_at=NOW, visibility=Visibility.PRIVATE)


def somebody(project: str, *roles: str, **more: str) -> Caller:
    return Caller(user_id=UserID("u"), project_id=ProjectID(project), roles=frozenset(roles), **more)  # type: ignore[arg-type]


def may(rules: Authority, who: Caller, rule: str, image: Image = IMAGE) -> bool:
    return rules.allows(who, rule, authority.of_image(who, image))


def test_defaults_are_those_of_glance() -> None:
    rules = Authority()
    owner, reader, admin = somebody("A", "member", "reader"), somebody("A", "reader"), somebody("Z", "admin", "member", "reader")
    asked = (GET_IMAGE, DOWNLOAD_IMAGE, MODIFY_IMAGE, PUBLICIZE_IMAGE)
    assert [may(rules, owner, rule) for rule in asked] == [True, True, True, False]
    assert [may(rules, reader, rule) for rule in (GET_IMAGE, DOWNLOAD_IMAGE, MODIFY_IMAGE)] == [True, False, False]
    assert may(rules, admin, PUBLICIZE_IMAGE)
    assert not rules.hides_images


def test_a_decision_for_one_caller_or_image_is_not_taken_for_another() -> None:
    rules = Authority()
    assert may(rules, somebody("A", "member", "reader"), MODIFY_IMAGE)
    assert not may(rules, somebody("B", "member", "reader"), MODIFY_IMAGE)
    assert not may(rules, somebody("A", "reader"), MODIFY_IMAGE)
    theirs = Image(id=ImageID("j"), owner=ProjectID("B"), created_at=NOW, updated_at=NOW)
    assert not may(rules, somebody("A", "member", "reader"), MODIFY_IMAGE, theirs)


def test_a_system_scoped_token_is_not_let_even_with_the_role() -> None:
    assert not may(Authority(), somebody("A", "admin", "member", "reader", system_scope="all"), MODIFY_IMAGE)


def test_an_operators_rule_counts_and_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"get_image": "role:admin"\n"modify_image": "role:editor and name:%(name)s"\n')
    rules = Authority(file)
    assert rules.hides_images
    assert not may(rules, somebody("A", "member", "reader"), GET_IMAGE)
    file.write_text("{}\n")
    utime(file, (2_000_000_000, 2_000_000_000))
    assert may(rules, somebody("A", "member", "reader"), GET_IMAGE)
    assert not rules.hides_images


def test_a_rule_on_any_attribute_of_the_image_is_decided_for_each_value(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"get_image": "\'raw\':%(disk_format)s"\n')
    rules = Authority(file)
    raw = Image(id=ImageID("i"), owner=ProjectID("A"), created_at=NOW, updated_at=NOW, disk_format="raw")
    assert may(rules, somebody("A", "reader"), GET_IMAGE, raw)
    assert not may(rules, somebody("A", "reader"), GET_IMAGE)


@pytest.mark.parametrize("text", ["get_image: [[[", '"get_image": "rule:no_such_rule"', '"get_image": "rule:get_image"'])
def test_rules_that_make_no_sense_let_nobody_in(tmp_path: Path, text: str) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(text + "\n")
    with pytest.raises(problems.Unavailable, match="policy file cannot be used"):
        Authority(file)


def test_a_missing_file_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(problems.Unavailable, match="does not exist"):
        Authority(tmp_path / "absent.yaml")
