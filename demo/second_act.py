"""The second act, with `curl`: the same accident twice, first on Glance's terms, then with notice; and what else sharing can do.

Project B runs a server from an image of project A. Whenever the server is rebuilt, Nova asks for the image by its id, as B.
"""

import json
import shlex
from pathlib import Path

from images import Images
from walk import Walk, find_id, has, has_field, lacks

_OFFER = {"terms": {"notice": "P30D", "message": "for your web servers"}, "make_shared": True}


def perform(walk: Walk, images: Images, folder: Path) -> None:
    """Delete a shared image twice: without notice, and with notice of 30 days."""
    projects = {name: walk.value(f"project-{name}", "token issue -f value -c project_id") for name in "abc"}
    saved = folder / "rebuilt.qcow2"
    _lose_an_image(walk, images.qcow2, projects["b"], saved)
    image = _offer_with_notice(walk, images.qcow2, projects)
    _delete_with_notice(walk, image, projects["b"], images.qcow2, saved)
    _adopt(walk, image)
    _claim(walk, image)


def _lose_an_image(walk: Walk, disk: Path, b: str, saved: Path) -> None:
    walk.say("Second act. On Glance's terms: A shares an image, B accepts it and boots a server from it")
    image = _upload(walk, disk, "golden")
    walk.run("project-a", f"image set --shared {image}")
    walk.run("project-a", f"image add project {image} {b}", has_field("status", "pending"))
    walk.run("project-b", f"image set --accept {image}")
    walk.say("A cleans up and deletes the image. Nobody told A that B depends on it, and nobody tells B")
    walk.run("project-a", f"image delete {image}")
    walk.say("B rebuilds its server: Nova asks for the image by its id, and the rebuild fails. There is no way back")
    walk.run("project-b", f"image save --file {shlex.quote(str(saved))} {image}", has("No Image found"), fails=True)


def _offer_with_notice(walk: Walk, disk: Path, projects: dict[str, str]) -> str:
    walk.say("The same with notice: A offers the image in one request, and promises 30 days of notice")
    image = _upload(walk, disk, "golden-2")
    offer = json.dumps({"image_ids": [image], "projects": [projects["b"]], **_OFFER})
    walk.request("a", "POST", "/partage/v1/shares", offer, has('"problem": null', projects["b"]))
    walk.say("B finds the offer in its inbox, with the terms, and accepts it")
    walk.request("b", "GET", "/partage/v1/shares?status=pending", "", has(image, "P30D", "for your web servers"))
    walk.request("b", "POST", f"/partage/v1/shares/{image}/{projects['b']}/accept", "", has('"status": "accepted"'))
    return image


def _delete_with_notice(walk: Walk, image: str, b: str, disk: Path, saved: Path) -> None:
    walk.say("Before A deletes the image, it asks who would lose access, and when")
    impact = walk.request("a", "GET", f"/partage/v1/images/{image}/impact?action=delete", "", has(b, '"ends": "later"'))
    ends_at = str(impact.get("projects", [{}])[0].get("ends_at"))
    walk.say("A deletes the image. For A and for everybody else it is gone")
    walk.run("project-a", f"image delete {image}")
    for other in ("project-a", "project-c"):
        walk.run(other, f"image show {image}", has("No Image found"), fails=True)
    walk.say(f"B rebuilds its server: the same id still answers, with the same bytes, until {ends_at}")
    walk.run("project-b", f"image save --file {shlex.quote(str(saved))} {image}")
    walk.compare(disk, saved)
    saved.unlink(missing_ok=True)
    walk.say("B sees that the share ends, why, and when")
    walk.request("b", "GET", f"/partage/v1/shares/{image}/{b}", "", has('"reason": "deleted"', ends_at[:10]))


def _adopt(walk: Walk, image: str) -> None:
    walk.say(
        "B wants to keep the image for longer than that: it adopts the image. No bytes are copied, and the new image is B's own"
    )
    adopted = walk.request(
        "b",
        "POST",
        f"/partage/v1/images/{image}/adopt",
        '{"name": "our-golden", "visibility": "private"}',
        has(f'"adopted_from": "{image}"'),
        status=201,
    )
    walk.run("project-b", "image list --private", has(str(adopted.get("image_id")), "our-golden"))


def _claim(walk: Walk, image: str) -> None:
    walk.say("A changes its mind and takes the image back, with its id, its member and its terms")
    walk.request("a", "POST", f"/partage/v1/images/{image}/restore", "", has(image))
    walk.say("A wants to share it with somebody whose project id it does not know: it makes a claim code and sends it to them")
    code = walk.request("a", "POST", f"/partage/v1/images/{image}/codes", '{"terms": {"notice": "P30D"}}', has("code"), status=201)
    walk.say("C claims the share with the code, and is a member with the same promise")
    claim = json.dumps({"code": code.get("code")})
    walk.request("c", "POST", "/partage/v1/claims", claim, has('"status": "accepted"', "P30D"), status=201)
    walk.run("project-c", "image list --shared", has(image, "active"))
    walk.request("c", "POST", "/partage/v1/claims", '{"code": "partage-claim-guessed"}', lacks(image), status=404)


def _upload(walk: Walk, disk: Path, name: str) -> str:
    words = f"image create --private --disk-format qcow2 --container-format bare --file {shlex.quote(str(disk))} {name}"
    return find_id(walk.run("project-a", words, has_field("status", "active")))
