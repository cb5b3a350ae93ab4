"""The first act, with the real `openstack` client: everything that sharing is on Glance.

Project A owns an image and wants project B to run instances from it. Project C has no access.
"""

import shlex
from pathlib import Path

from images import Images
from walk import Walk, find_id, has, has_field, lacks

SHORT = "-c id -c status -c size"
"""The columns of an image that matter here."""

_MEMBERS = "-c 'Member ID' -c Status"


def perform(walk: Walk, images: Images, folder: Path) -> None:
    """Share two images, and stop sharing them, as on Glance."""
    b = walk.value("project-b", "token issue -f value -c project_id")
    walk.say(f"Three projects: A owns an image, B wants to run instances from it (the project {b}), C has no access")
    raw, qcow2 = _upload(walk, images)
    _share(walk, raw, b)
    _accept(walk, raw, b, images.raw, folder / "saved.raw")
    _reject(walk, raw, b)
    _withdraw(walk, raw, b)
    _share_the_other_format(walk, qcow2, b, images.qcow2, folder / "saved.qcow2")
    _delete(walk, raw, qcow2)


def _upload(walk: Walk, images: Images) -> tuple[str, str]:
    walk.say("A uploads the same disk as two private images, raw and qcow2")
    formats = {"raw": images.raw, "qcow2": images.qcow2}
    ids = [_create(walk, name, file) for name, file in formats.items()]
    return ids[0], ids[1]


def _create(walk: Walk, disk_format: str, file: Path) -> str:
    formats = f"--disk-format {disk_format} --container-format bare"
    words = f"image create --private {formats} --file {shlex.quote(str(file))} {SHORT} disk-{disk_format}"
    size = str(file.stat().st_size)
    return find_id(walk.run("project-a", words, has_field("status", "active"), has_field("size", size)))


def _share(walk: Walk, image: str, b: str) -> None:
    walk.say("B cannot see a private image")
    walk.run("project-b", f"image show {image}", has("No Image found"), fails=True)
    walk.say("A shares the raw image with B")
    walk.run("project-a", f"image set --shared {image}")
    walk.run("project-a", f"image add project {image} {b}", has_field("status", "pending"), has_field("member_id", b))
    walk.run("project-a", f"image member list {image} {_MEMBERS}", has(b, "pending"))
    walk.say("B can show the pending image by its id; B's list has it after B accepts")
    walk.run("project-b", f"image show {image} -c id -c visibility", has_field("visibility", "shared"))
    walk.run("project-b", "image list", lacks(image))
    walk.run("project-b", "image list --shared --member-status pending", has(image))


def _accept(walk: Walk, image: str, b: str, original: Path, saved: Path) -> None:
    walk.say("B accepts, finds the image in its list, and downloads it")
    walk.run("project-b", f"image set --accept {image}")
    walk.run("project-b", "image list --shared", has(image, "active"))
    walk.run("project-b", f"image save --file {shlex.quote(str(saved))} {image}")
    walk.compare(original, saved)
    saved.unlink(missing_ok=True)
    walk.say("A sees that B accepted; C still cannot see the image; B cannot change it")
    walk.run("project-a", f"image member list {image} {_MEMBERS}", has(b, "accepted"))
    walk.run("project-c", f"image show {image}", has("No Image found"), fails=True)
    walk.run("project-c", f"image save --file {shlex.quote(str(saved))} {image}", fails=True)
    walk.run("project-b", f"image set --name mine {image}", has("403"), fails=True)


def _reject(walk: Walk, image: str, b: str) -> None:
    walk.say("B rejects the image, which leaves B's list, and accepts it again")
    walk.run("project-b", f"image set --reject {image}")
    walk.run("project-a", f"image member list {image} {_MEMBERS}", has(b, "rejected"))
    walk.run("project-b", f"image set --accept {image}")
    walk.run("project-b", "image list --shared", has(image))


def _withdraw(walk: Walk, image: str, b: str) -> None:
    walk.say("A removes B: B cannot see the image any more")
    walk.run("project-a", f"image remove project {image} {b}")
    walk.run("project-b", f"image show {image}", has("No Image found"), fails=True)
    walk.run("project-b", "image list --shared", lacks(image))


def _share_the_other_format(walk: Walk, image: str, b: str, original: Path, saved: Path) -> None:
    walk.say("The same with the qcow2 image: share, accept, download, compare")
    walk.run("project-a", f"image set --shared {image}")
    walk.run("project-a", f"image add project {image} {b}", has_field("status", "pending"))
    walk.run("project-b", f"image set --accept {image}")
    walk.run("project-b", f"image save --file {shlex.quote(str(saved))} {image}")
    walk.compare(original, saved)
    saved.unlink(missing_ok=True)


def _delete(walk: Walk, raw: str, qcow2: str) -> None:
    walk.say("A deletes both images while B is a member of one: B cannot see it any more")
    walk.run("project-a", f"image delete {raw} {qcow2}")
    walk.run("project-a", "image list", lacks(raw), lacks(qcow2))
    walk.run("project-b", f"image show {qcow2}", has("No Image found"), fails=True)
    walk.run("project-b", "image list --shared", lacks(qcow2))
