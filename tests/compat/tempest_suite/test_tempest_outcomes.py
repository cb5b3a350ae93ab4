"""The comparison that `make compat` ends with, and the files it reads; Tempest itself is not needed here."""

from pathlib import Path

import pytest

from tests.compat.tempest_suite import outcomes
from tests.compat.tempest_suite.__main__ import KNOWN, PROFILES


def test_equal_outcomes_are_accepted() -> None:
    here = {"a": ("success", ""), "b": ("skip", "no Nova")}
    found = outcomes.compared(here, {"a": "success", "b": "skip"}, {})
    assert found.is_good
    assert (found.passed, found.skipped_alike) == (["a"], ["b"])


@pytest.mark.parametrize("outcome", ["fail", "skip"])
def test_test_that_passes_on_glance_must_pass_here(outcome: str) -> None:
    found = outcomes.compared({"a": (outcome, "")}, {"a": "success"}, {})
    assert not found.is_good
    assert [*found.failed, *found.skipped] == ["a"]


def test_test_that_was_not_run_has_failed() -> None:
    assert outcomes.compared({}, {"a": "success"}, {}).failed == ["a"]


def test_test_without_recorded_outcome_must_pass() -> None:
    assert outcomes.compared({"new": ("fail", "")}, {}, {}).failed == ["new"]


@pytest.mark.parametrize("outcome", ["fail", "skip"])
def test_known_failure_may_fail(outcome: str) -> None:
    found = outcomes.compared({"a": (outcome, "")}, {"a": "success"}, {"a": "reason"})
    assert found.is_good
    assert found.known == ["a"]


def test_known_failure_must_not_pass() -> None:
    found = outcomes.compared({"a": ("success", "")}, {"a": "success"}, {"a": "reason"})
    assert not found.is_good
    assert found.now_pass == ["a"]
    assert "    1  PASS but are said not to" in found.table


def test_known_test_without_a_reason_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "known.txt"
    file.write_text("a\n")
    with pytest.raises(ValueError, match="no reason"):
        outcomes.read_known(file)
    file.write_text("## because\na\na\n")
    with pytest.raises(ValueError, match="twice"):
        outcomes.read_known(file)


def test_known_failures_pass_on_glance_and_are_documented() -> None:
    passing = {name for profile in PROFILES for name, outcome in outcomes.read_outcomes(profile.there).items() if outcome != "skip"}
    compatibility = (Path(__file__).parents[3] / "docs" / "compatibility.md").read_text()
    known = outcomes.read_known(KNOWN)
    assert {*known} - passing == set()
    assert [reason for reason in {*known.values()} if f"| {reason.partition(':')[0]} |" not in compatibility] == []
