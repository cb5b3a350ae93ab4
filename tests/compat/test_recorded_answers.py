"""Requests without a client, and what Glance 33 answered to them: recorded/*.json.

Statuses, the headers that clients read, and bodies are compared. Where Partage answers otherwise, it is on purpose:
differences.py has each such answer and its reason.
"""

import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.compat import asking, clouds, differences, tables, worlds
from tests.compat.asking import Subject
from tests.compat.clouds import Cloud
from tests.compat.questions import Question

DOCS = Path(__file__).parents[2] / "docs"
IMAGE = "asked about"
MOST_ROWS = 15
RECORDED = Path(__file__).with_name("recorded")
ALL = [pytest.param(table, each, id=each.name) for table, rows in tables.RECORDED.items() for each in rows]


@pytest.fixture(scope="session")
def listed(cloud: Cloud) -> dict[str, str]:
    """Give the images of project-d, id to name."""
    return worlds.list_of_images(cloud)


@pytest.fixture
def subject(cloud: Cloud) -> Iterator[Subject]:
    """Give what is asked about, and forget it and all images of its name afterwards."""
    asked = Subject()
    yield asked
    asked.forget(cloud)
    clouds.forget_images(cloud, "project-a", prefix=IMAGE)


@cache
def recorded(table: str) -> dict[str, Any]:
    return dict(json.loads((RECORDED / f"{table}.json").read_text()))


@pytest.mark.parametrize(("table", "question"), ALL)
def test_answer_equals_the_recorded_answer(
    table: str, question: Question, cloud: Cloud, listed: dict[str, str], subject: Subject
) -> None:
    said = asking.ask(cloud, question, listed, IMAGE, subject)
    if cloud.is_glance and os.environ.get("PARTAGE_GOLDEN") == "write":
        record(table, question.name, said)
        return
    expected = recorded(table)[question.name]
    if not cloud.is_glance:
        expected = differences.applied_to(expected, question)
    assert said == expected


def test_every_documented_difference_is_observed() -> None:
    by_name = {each.name: (table, each) for table, rows in tables.RECORDED.items() for each in rows}
    answers = [(recorded(table)[name], each) for name, (table, each) in by_name.items()]
    unseen = [rule.reason for rule in differences.RULES if all(rule.change(answer, each) == answer for answer, each in answers)]
    for difference in differences.DIFFERENCES:
        for name in set(difference.questions) & set(by_name):  # the others show where both services run
            answer = recorded(by_name[name][0])[name]
            unseen += [f"{difference.reason}: {name}"] if difference.applied_to(answer) == answer else []
    assert not unseen


def test_observed_differences_are_documented() -> None:
    """Numbers of rows in docs/compatibility.md, headings of docs/comparison-with-glance.md; and that there are few rows."""
    compatibility = (DOCS / "compatibility.md").read_text()
    rows = {*re.findall(r"^\| (\d+) \|", compatibility, re.MULTILINE)}
    headings = {*re.findall(r"^### (.*)$", (DOCS / "comparison-with-glance.md").read_text(), re.MULTILINE)}
    shown = {each.reason for each in (*differences.RULES, *differences.RULES_BESIDE, *differences.DIFFERENCES)}
    used = shown | {*differences.SHOWN_BY_TESTS}
    assert used - rows - headings == set()
    assert rows - used == set()
    assert len(rows) <= MOST_ROWS


@pytest.mark.parametrize("name", sorted({name for names in differences.SHOWN_BY_TESTS.values() for name in names}))
def test_tests_named_in_a_row_exist(name: str) -> None:
    file, _, function = name.partition("::")
    assert f"\ndef {function}(" in (DOCS.parent / file).read_text()


def record(table: str, name: str, said: dict[str, Any]) -> None:
    """Keep one answer. Record with one process: the file is read and written whole."""
    file = RECORDED / f"{table}.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    ordered = {each.name: kept.get(each.name) for each in tables.RECORDED[table]} | {name: said}
    file.write_text(json.dumps({key: value for key, value in ordered.items() if value}, indent=1, ensure_ascii=False) + "\n")
