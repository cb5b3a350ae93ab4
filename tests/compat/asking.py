"""Ask a question of a cloud, and write the answer so that two clouds can be compared: names stand for ids and times."""

import json
import re
import secrets
from typing import Any

from tests.compat import transcript, worlds
from tests.compat.clouds import Cloud
from tests.compat.questions import Question
from tests.compat.worlds import Answer

OF_THE_CONNECTION = {"connection", "date", "keep-alive", "server", "transfer-encoding"}
"""Headers that the server below the service sends. All others are compared."""
SHAPES = (
    ("etag", r'"[\x21\x23-\x7e]+"', "a strong one"),
    ("x-openstack-request-id", r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "a new one"),
)
"""Headers whose value is new each time, its shape, and what is recorded of it."""


def ask(cloud: Cloud, question: Question, listed: dict[str, str], name: str, *, image: str = "") -> dict[str, Any]:
    """Ask, and return status, headers and body with names in place of ids and times.

    `image`: one that is in the state that is asked about already; without it one is made.
    """
    places = {each.removeprefix("project-"): project for each, project in cloud.projects.items()}
    names = transcript.Names({project: f"<{each}>" for each, project in cloud.projects.items()})
    names.known |= {image: f"<{each}>" for image, each in listed.items()}
    names.known |= {cloud.endpoint: "<image service>", cloud.identity: "<identity service>"}
    places["second"] = next((image for image, each in listed.items() if each == "beta"), "")
    places |= {"namespace": f"Asked-{secrets.token_hex(4)}", "new": f"New-{secrets.token_hex(4)}"}
    names.known |= {places["namespace"]: "<namespace>", places["new"]: "<new>"}
    if question.on in worlds.NAMESPACES:
        worlds.namespace_in(cloud, question.on, places["namespace"])
    elif question.on:
        places["image"] = image or worlds.image_in(cloud, question.on, name)
        names.known[places["image"]] = "<image>"
    if question.on == "imported":
        places["task"] = worlds.settled(cloud, places["image"])[0]["id"]
        names.known |= {places["task"]: "<task>", cloud.user("project-a"): "<user of project-a>"}
    path, body = filled(question.path, places), filled(question.body, places)
    answer = worlds.send(cloud, question.who, question.method, path, body=body, headers=question.headers)
    forget_made(cloud, question, answer, places)
    return written(question, answer, names, places)


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


def forget_made(cloud: Cloud, question: Question, answer: Answer, places: dict[str, str]) -> None:
    """Delete what was made for a question or by it; let an import that it has started come to its end."""
    if question.method == "POST" and question.path == "/v2/images" and answer.status == 201:
        worlds.send(cloud, question.who, "DELETE", f"/v2/images/{answer.document['id']}")
    if answer.status == 202:
        worlds.settled(cloud, places["image"])
    if "metadefs" in question.path and (question.on or answer.status == 201):
        for each in ("namespace", "new"):
            worlds.forget_namespace(cloud, places[each])


def written(question: Question, answer: Answer, names: transcript.Names, places: dict[str, str]) -> dict[str, Any]:
    """Write an answer as it is recorded: values that are new each time become names or a sentence."""
    headers = {name: ", ".join(values) for name, values in answer.headers.items() if name not in OF_THE_CONNECTION}
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
    if question.name.startswith("contains: ") and "images" in (kept["body"] or ()):
        kept["body"]["images"] = [image["name"] for image in kept["body"]["images"] if image["id"] == places["image"]]
    return dict(json.loads(names.applied_to(json.dumps(kept, ensure_ascii=False, sort_keys=True))))


def body_of(answer: Answer) -> Any:
    """Read the body as its media type says; image data as text."""
    if answer.body and "application/json" in answer.headers.get("content-type", [""])[0]:
        return answer.document
    return " ".join(answer.body.decode().split()) or None
