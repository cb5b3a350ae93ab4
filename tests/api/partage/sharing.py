"""The sharing API as personas use it."""

from typing import Any

import requests

from tests.api.personas import Cast, Persona

SHARES = "/partage/v1/shares"
EVENTS = "/partage/v1/events"
WEBHOOKS = "/partage/v1/webhooks"


def share_path(image: str, project: str, action: str = "") -> str:
    """Name a share, or something to do with it."""
    return f"{SHARES}/{image}/{project}{f'/{action}' if action else ''}"


def adopt(who: Persona, image: str, **document: Any) -> requests.Response:
    """Adopt an image."""
    return who.call("POST", f"/partage/v1/images/{image}/adopt", json=document)


def lineage(who: Persona, image: str) -> requests.Response:
    """Ask what an image was adopted from."""
    return who.call("GET", f"/partage/v1/images/{image}/lineage")


def manifest(who: Persona, image: str, *, accept: str = "application/json", **more: Any) -> requests.Response:
    """Ask for the chunks of an image."""
    return who.call("GET", f"/partage/v1/images/{image}/manifest", headers={"Accept": accept}, params=more)


def chunks(who: Persona, image: str, ranges: str = "0-9") -> requests.Response:
    """Ask for ranges of an image's data."""
    return who.call("GET", f"/partage/v1/images/{image}/chunks", params={"ranges": ranges})


def uses_path(image: str) -> str:
    """Name the uses of an image."""
    return f"/partage/v1/images/{image}/uses"


def use_path(image: str, use_id: str = "s1", *, kind: str = "server", project: str | None = None) -> str:
    """Name one use of an image by the caller's project, or by another one."""
    return f"{uses_path(image)}/{kind}/{use_id}{f'?project={project}' if project else ''}"


def impact(who: Persona, image: str, action: str = "delete", **more: str) -> requests.Response:
    """Ask what an action on an image would do."""
    return who.call("GET", f"/partage/v1/images/{image}/impact", params={"action": action, **more})


def create_code(who: Persona, image: str, **document: Any) -> requests.Response:
    """Create a claim code of an image."""
    return who.call("POST", f"/partage/v1/images/{image}/codes", json=document)


def claim(who: Persona, code: str) -> requests.Response:
    """Claim a share with a code."""
    return who.call("POST", "/partage/v1/claims", json={"code": code})


def create_webhook(who: Persona) -> requests.Response:
    """Create a webhook, and delete it: a project has a bounded number."""
    answer = who.call("POST", WEBHOOKS, json={"url": "https://hooks.example.org/"})
    if answer.status_code == 201:
        assert who.call("DELETE", f"{WEBHOOKS}/{answer.json()['id']}").status_code == 204
    return answer


def webhook_of(who: Persona) -> str:
    """Return the id of a webhook of a persona's project; create one if there is none."""
    listed = who.call("GET", WEBHOOKS)
    if listed.status_code != 200:
        return "0" * 36
    found = listed.json()["webhooks"] or [who.call("POST", WEBHOOKS, json={"url": "https://hooks.example.org/"}).json()]
    return str(found[0]["id"])


def guard(who: Persona, image: str, mode: str | None = None) -> requests.Response:
    """Show the guard of an image, or switch it."""
    path = f"/partage/v1/images/{image}/guard"
    return who.call("GET", path) if mode is None else who.call("PUT", path, json={"mode": mode})


def end_access(who: Persona, image: str, action: str, **more: Any) -> requests.Response:
    """End access to an image by the call that can be acknowledged."""
    return who.call("POST", f"/partage/v1/images/{image}/end", json={"action": action, **more})


def offer(who: Persona, images: list[str], projects: list[str], **more: Any) -> requests.Response:
    """Offer images to projects."""
    headers = more.pop("headers", {})
    document = {"image_ids": images, "projects": projects, **more}
    return who.call("POST", SHARES, json=document, headers=headers)


def offered_image(cast: Cast, *people: Persona, notice: str = "P30D", data: bytes = b"x" * 5000) -> str:
    """Make an image with data and offer it to the projects of some people, or of the member."""
    image = cast.owner.has_an_image(data)
    projects = [each.project_id for each in people or (cast.member,)]
    answer = offer(cast.owner, [image], projects, terms={"notice": notice})
    assert [each["problem"] for each in answer.json()["results"]] == [None] * len(projects), answer.text
    return image


def shared_image(cast: Cast, notice: str = "P30D") -> str:
    """Make an image that the member has accepted."""
    image = offered_image(cast, notice=notice)
    assert cast.member.call("POST", share_path(image, cast.member.project_id, "accept")).status_code == 200
    return image


def seen(who: Persona, image: str, project: str) -> dict[str, Any]:
    """Show a share; the request must succeed."""
    answer = who.call("GET", share_path(image, project))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def list_rows(who: Persona, query: str) -> list[dict[str, Any]]:
    """List every share that a query finds, page by page."""
    path, found = f"{SHARES}?limit=1000&{query}", []
    while path:
        answer = who.call("GET", path)
        assert answer.status_code == 200, answer.text
        found += answer.json()["shares"]
        path = answer.json().get("next")
    return found
