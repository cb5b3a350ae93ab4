"""Ask a question of a cloud, and write the answer so that two clouds can be compared: names stand for ids and times."""

import json
import re
import secrets
from dataclasses import dataclass
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


@dataclass
class Subject:
    """What questions are about: made when one wants it in another state, or when the last one may have changed it."""

    state: str = ""
    image: str = ""
    namespace: str = ""

    def prepare(self, cloud: Cloud, state: str, name: str) -> None:
        """Have it in a state; an image gets a name by which it can be forgotten, a namespace is forgotten with `forget`."""
        if self.state and self.state == state:
            return
        self.forget(cloud)
        if state in worlds.NAMESPACES:
            self.namespace = f"Asked-{secrets.token_hex(4)}"
            worlds.namespace_in(cloud, state, self.namespace)
        elif state:
            self.image = worlds.image_in(cloud, state, name)
        self.state = state

    def forget(self, cloud: Cloud) -> None:
        """Have nothing."""
        if self.namespace:
            worlds.forget_namespace(cloud, self.namespace)
        self.state = self.image = self.namespace = ""


def ask(cloud: Cloud, question: Question, listed: dict[str, str], name: str, subject: Subject) -> dict[str, Any]:
    """Ask, and return status, headers and body with names in place of ids and times."""
    subject.prepare(cloud, question.on, name)
    places = {each.removeprefix("project-"): project for each, project in cloud.projects.items()}
    places |= {"image": subject.image, "namespace": subject.namespace, "new": f"New-{secrets.token_hex(4)}"}
    places["second"] = next((image for image, each in listed.items() if each == "beta"), "")
    names = transcript.Names({project: f"<{each}>" for each, project in cloud.projects.items()})
    names.known |= {image: f"<{each}>" for image, each in listed.items()}
    names.known |= {cloud.endpoint: "<image service>", cloud.identity: "<identity service>"}
    names.known[cloud.endpoint.replace("http://", "https://")] = "<image service behind a proxy>"
    names.known[cloud.project_of_the_administrator] = "<the administrator's project>"
    names.known |= {places[each]: f"<{each}>" for each in ("image", "namespace", "new") if places[each]}
    if question.on == "imported":
        places["task"] = worlds.settled(cloud, subject.image)[0]["id"]
        names.known |= {places["task"]: "<task>", cloud.user("project-a"): "<user of project-a>"}
    path, body = filled(question.path, places), filled(question.body, places)
    answer = worlds.send(cloud, question.who, question.method, path, body=body, headers=question.headers)
    said = written(question, answer, names, subject)
    if answer.status == 202:
        worlds.settled(cloud, subject.image)
    if may_have_changed(question, answer):
        forget_made(cloud, question, answer, places["new"])
        subject.forget(cloud)
    return said


def may_have_changed(question: Question, answer: Answer) -> bool:
    """Say whether what was asked about can be another now: data that is refused was begun to be taken."""
    takes_data = question.path.endswith(("/file", "/stage"))
    return question.method not in {"GET", "HEAD"} and (answer.status < 300 or takes_data)


def forget_made(cloud: Cloud, question: Question, answer: Answer, namespace: str) -> None:
    """Delete what a question has made."""
    if question.path == "/v2/images" and answer.status == 201:
        worlds.send(cloud, question.who, "DELETE", f"/v2/images/{answer.document['id']}")
    if "metadefs" in question.path:
        worlds.forget_namespace(cloud, namespace)


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


def written(question: Question, answer: Answer, names: transcript.Names, subject: Subject) -> dict[str, Any]:
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
        kept["body"]["images"] = [image["name"] for image in kept["body"]["images"] if image["id"] == subject.image]
    if question.name.startswith("catalog: "):
        kept["body"] = by_name(kept["body"])
    return dict(json.loads(names.applied_to(json.dumps(kept, ensure_ascii=False, sort_keys=True))))


def by_name(value: Any) -> Any:
    """Put lists of what has names into the order of the names: of that of loaded definitions each database has its own."""
    if isinstance(value, dict):
        return {name: by_name(each) for name, each in value.items()}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return sorted(map(by_name, value), key=lambda each: str(each.get("name") or each.get("namespace")))
    return value


def body_of(answer: Answer) -> Any:
    """Read the body as its media type says; image data as text. The order of an image's tags says nothing, and Glance's changes."""
    if answer.body and "application/json" in answer.headers.get("content-type", [""])[0]:
        body = answer.document
        is_image = isinstance(body, dict) and "os_hidden" in body
        return {**body, "tags": sorted(body["tags"])} if is_image else body
    return " ".join(answer.body.decode().split()) or None
