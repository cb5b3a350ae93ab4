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

from tests.compat import clouds, differences, questions, transcript, worlds
from tests.compat.clouds import Cloud
from tests.compat.questions import Question
from tests.compat.worlds import Answer

DOCS = Path(__file__).parents[2] / "docs"
RECORDED = Path(__file__).with_name("recorded")
HEADERS = (
    *(
        "accept-patch",
        "accept-ranges",
        "allow",
        "content-length",
        "content-md5",
        "content-range",
        "content-type",
        "etag",
        "location",
    ),
    *("openstack-image-import-methods", "openstack-image-store-ids", "retry-after", "www-authenticate", "x-openstack-request-id"),
)
SHAPES = (
    ("etag", r'"[\x21\x23-\x7e]+"', "a strong one"),
    ("x-openstack-request-id", r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a new one"),
)
"""Headers whose value is new each time, its shape, and what is recorded of it."""

ALL = [pytest.param(table, each, id=each.name) for table, rows in questions.TABLES.items() for each in rows]


@pytest.fixture(scope="session")
def listed(cloud: Cloud) -> dict[str, str]:
    """Give the images of project-d, id to name."""
    return worlds.list_of_images(cloud)


@pytest.fixture
def asked(cloud: Cloud) -> Iterator[str]:
    """Give the name of the image that is asked about, and forget all images of the project afterwards."""
    yield "asked about"
    clouds.forget_images(cloud, "project-a", prefix="asked about")


@cache
def recorded(table: str) -> dict[str, Any]:
    return dict(json.loads((RECORDED / f"{table}.json").read_text()))


@pytest.mark.parametrize(("table", "question"), ALL)
def test_answer_is_the_recorded_one(table: str, question: Question, cloud: Cloud, listed: dict[str, str], asked: str) -> None:
    said = ask(cloud, question, listed, asked)
    if cloud.is_glance and os.environ.get("PARTAGE_GOLDEN") == "write":
        record(table, question.name, said)
        return
    expected = recorded(table)[question.name]
    if not cloud.is_glance:
        expected = differences.applied_to(expected, question)
    assert said == expected


def test_every_difference_still_shows() -> None:
    by_name = {each.name: (table, each) for table, rows in questions.TABLES.items() for each in rows}
    answers = [(recorded(table)[name], each) for name, (table, each) in by_name.items()]
    unseen = [rule.reason for rule in differences.RULES if all(rule.change(answer, each) == answer for answer, each in answers)]
    for difference in differences.DIFFERENCES:
        for name in difference.questions:
            answer = recorded(by_name[name][0])[name]
            unseen += [f"{difference.reason}: {name}"] if difference.applied_to(answer) == answer else []
    assert not unseen


def test_differences_are_those_that_users_are_told_of() -> None:
    """Numbers of rows and names of parts in docs/compatibility.md, headings of docs/comparison-with-glance.md."""
    compatibility = (DOCS / "compatibility.md").read_text()
    rows = {*re.findall(r"^\| (\d+) \|", compatibility, re.MULTILINE)}
    parts = {*re.findall(r"^\| ([A-Z][^|]*) \|", compatibility, re.MULTILINE)}
    headings = {*re.findall(r"^### (.*)$", (DOCS / "comparison-with-glance.md").read_text(), re.MULTILINE)}
    used = {each.reason for each in (*differences.RULES, *differences.DIFFERENCES)}
    assert used - rows - parts - headings == set()
    assert rows - used == set()


def record(table: str, name: str, said: dict[str, Any]) -> None:
    """Keep one answer. Record with one process: the file is read and written whole."""
    file = RECORDED / f"{table}.json"
    kept = json.loads(file.read_text()) if file.exists() else {}
    ordered = {each.name: kept.get(each.name) for each in questions.TABLES[table]} | {name: said}
    file.write_text(json.dumps({key: value for key, value in ordered.items() if value}, indent=1, ensure_ascii=False) + "\n")


def ask(cloud: Cloud, question: Question, listed: dict[str, str], name: str) -> dict[str, Any]:
    """Ask, and return status, headers and body with names in place of ids and times."""
    places = {each.removeprefix("project-"): project for each, project in cloud.projects.items()}
    names = transcript.Names({project: f"<{each}>" for each, project in cloud.projects.items()})
    names.known |= {image: f"<{each}>" for image, each in listed.items()}
    names.known |= {cloud.endpoint: "<image service>", cloud.identity: "<identity service>"}
    places["second"] = next(image for image, each in listed.items() if each == "beta")
    if question.on:
        places["image"] = worlds.image_in(cloud, question.on, name)
        names.known[places["image"]] = "<image>"
    path, body = filled(question.path, places), filled(question.body, places)
    answer = worlds.send(cloud, question.who, question.method, path, body=body, headers=question.headers)
    forget_created(cloud, question, answer)
    return written(question, answer, names)


def filled(value: Any, places: dict[str, str]) -> Any:
    """Put ids where their names stand in braces."""
    if isinstance(value, str):
        for name, place in places.items():
            value = value.replace("{" + name + "}", place)
        return value
    if isinstance(value, list):
        return [filled(each, places) for each in value]
    if isinstance(value, dict):
        return {name: filled(each, places) for name, each in value.items()}
    return value


def forget_created(cloud: Cloud, question: Question, answer: Answer) -> None:
    """Delete the image that a question has created."""
    if question.method == "POST" and question.path == "/v2/images" and answer.status == 201:
        worlds.send(cloud, question.who, "DELETE", f"/v2/images/{answer.document['id']}")


def written(question: Question, answer: Answer, names: transcript.Names) -> dict[str, Any]:
    """Write an answer as it is recorded: values that are new each time become names or a sentence."""
    headers = {name: ", ".join(answer.headers[name]) for name in HEADERS if name in answer.headers}
    if "allow" in headers:
        headers["allow"] = ", ".join(sorted(headers["allow"].replace(" ", "").split(",")))
    if "octet-stream" not in headers.get("content-type", ""):
        headers.pop("content-length", None)
    for name, shape, sentence in SHAPES:
        if name in headers:
            headers[name] = sentence if re.fullmatch(shape, headers[name]) else f"not {sentence}: {headers[name]}"
    kept = {"status": answer.status, "headers": headers, "body": body_of(answer)}
    if question.name.startswith("list: ") and "images" in (kept["body"] or ()):
        kept["body"]["images"] = [image["name"] for image in kept["body"]["images"]]
    return dict(json.loads(names.applied_to(json.dumps(kept, ensure_ascii=False, sort_keys=True))))


def body_of(answer: Answer) -> Any:
    """Read the body as its media type says; image data as text."""
    if answer.body and "application/json" in answer.headers.get("content-type", [""])[0]:
        return answer.document
    return " ".join(answer.body.decode().split()) or None
