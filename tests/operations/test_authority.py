"""The rules in force: Glance's defaults, an operator's file, and what is remembered of them."""

import json
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
    return rules.allows(who, rule, authority.image_target(who, image))


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


WRONG = {
    "no YAML": ("get_image: [[[", "it is not YAML"),
    "unknown rule": ('"get_image": "rule:no_such_rule"', "refers to the rule no_such_rule, which does not exist"),
    "itself": ('"get_image": "rule:get_image"', "the rule get_image refers to itself"),
    "circle": ('"get_image": "rule:a"\n"a": "rule:b"\n"b": "not rule:a"', "refers to itself, directly or through other rules"),
    "list": ("- get_image", "not a mapping of names to rules"),
    "text": ("get_image", "not a mapping of names to rules"),
    "number": ("5", "not a mapping of names to rules"),
    "rule is a number": ("get_image: 5", "the rule get_image is not text"),
    "rule is nothing": ("get_image:", "the rule get_image is not text"),
    "rule is a mapping": ("get_image: {role: admin}", "the rule get_image is not text"),
    "name is a number": ('5: "!"', "the name 5 of a rule is not text"),
    "no check": ('"get_image": "admin"', "does not parse at 'admin'"),
    "misspelt word": ('"get_image": "role:admin an role:member"', "does not parse at 'an'"),
    "open parenthesis": ('"get_image": "(role:admin"', "check its parentheses"),
    "closed parenthesis": ('"get_image": "role:admin)"', "check its parentheses"),
    "nothing behind and": ('"get_image": "role:admin and"', "the operands of and, or and not"),
    "two checks": ('"get_image": "role:admin role:member"', "the operands of and, or and not"),
    "empty parentheses": ('"get_image": "()"', "check its parentheses"),
}


@pytest.mark.parametrize("name", WRONG)
def test_invalid_rules_refuse_everybody(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text, words = WRONG[name]
    file = tmp_path / "policy.yaml"
    file.write_text(text + "\n")
    with pytest.raises(problems.Unavailable) as refused:
        Authority(file)
    assert f"The policy file {file} cannot be used: " in refused.value.sentence()
    assert words in refused.value.sentence()
    assert "\n" not in refused.value.sentence()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("content", [b"\xff\xfe", b"get_image: '\x00'"])
def test_policy_file_that_is_no_text_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_bytes(content)
    with pytest.raises(problems.Unavailable, match="cannot be used: it is not"):
        Authority(file)


@pytest.mark.parametrize(
    "rule",
    ["", "@", "!", "role:a", "NOT role:a", "(role:a or role:b) and not (role:c)", "'raw':%(disk_format)s", "not not role:a"],
)
def test_rules_of_every_form_are_taken(rule: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(json.dumps({"get_image": rule}))
    Authority(file)


def test_rules_in_the_old_form_of_lists_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"get_image": [["role:editor"], ["role:admin", "role:member"]]}')
    rules = Authority(file)
    assert [may(rules, somebody("A", *roles), GET_IMAGE) for roles in (["editor"], ["member"], ["admin", "member"])] == [
        True,
        False,
        True,
    ]


@pytest.mark.parametrize("place", ["missing", "folder"])
def test_unreadable_policy_file_is_reported(place: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(problems.Unavailable, match="cannot be read"):
        Authority(tmp_path / place)


def test_relative_file_is_the_one_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "policy.yaml").write_text('"get_image": "!"\n')
    monkeypatch.chdir(tmp_path)
    rules = Authority(Path("policy.yaml"))
    monkeypatch.chdir("/")
    assert not may(rules, somebody("A", "member", "reader"), GET_IMAGE)


@pytest.mark.parametrize("text", ["get_image: [[[", "- x", '"get_image": "admin"', '"get_image": "rule:nowhere"', None])
def test_file_that_breaks_while_running_leaves_the_last_rules(
    text: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"get_image": "role:editor"\n')
    rules = Authority(file)
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    for _ in range(3):
        assert may(rules, somebody("A", "editor"), GET_IMAGE)
        assert not may(rules, somebody("A", "member", "reader"), GET_IMAGE)
    assert len([each for each in caplog.records if "rules that were read before stay in force" in each.message]) == 1
    file.write_text('"get_image": "role:reader"\n# mended\n')
    assert may(rules, somebody("A", "member", "reader"), GET_IMAGE)


def test_unknown_rule_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text('"get_imagse": "!"\n"default": "!"\n"staff": "role:staff"\n"get_image": "rule:staff"\n"mine": "role:x"\n')
    assert Authority(file).list_unused_rules({"mine"}) == ["get_imagse"]
