"""The second act: the same accident twice, first on Glance's terms, then with notice; and what else sharing can do.

Shares are offered and accepted with the commands of client/, two commands in the place of the ten of the first act.

Project B runs a server from an image of project A. Whenever the server is rebuilt, Nova asks for the image by its id, as B.
"""

import re
import shlex
from pathlib import Path

from first_act import SHORT
from images import Images
from walk import Walk, find_id, find_value, has, has_field, lacks

_MESSAGE = "for your web servers"


def perform(walk: Walk, images: Images, folder: Path) -> None:
    """Delete a shared image twice: without notice, and with notice of 30 days."""
    b = walk.value("project-b", "token issue -f value -c project_id")
    saved = folder / "rebuilt.qcow2"
    _lose_an_image(walk, images.qcow2, b, saved)
    image = _offer_with_notice(walk, images.qcow2, b)
    _delete_with_notice(walk, image, images.qcow2, saved)
    _adopt(walk, image)
    _claim(walk, image)


def _lose_an_image(walk: Walk, disk: Path, b: str, saved: Path) -> None:
    walk.say("Second act. On Glance's terms: A shares an image, B accepts it and boots a server from it")
    image = _upload(walk, disk, "golden")
    walk.run("project-a", f"image share create {image} --project project-b", has("pending", "offered"))
    walk.run("project-b", "image share accept --all", has("golden", "accepted"))
    walk.run("project-a", "image share list --out -f json", has(image, b, "accepted"))
    walk.say("A cleans up and deletes the image. Nobody told A that B depends on it, and nobody tells B")
    walk.run("project-a", f"image delete {image}")
    walk.say("B rebuilds its server: Nova asks for the image by its id, and the rebuild fails. There is no way back")
    walk.run("project-b", f"image save --file {shlex.quote(str(saved))} {image}", has("No Image found"), fails=True)


def _offer_with_notice(walk: Walk, disk: Path, b: str) -> str:
    walk.say("The same with notice: A offers the image, and promises 30 days of notice")
    image = _upload(walk, disk, "golden-2")
    promise = f"--notice 30d --message {shlex.quote(_MESSAGE)}"
    walk.run("project-a", f"image share create {image} --project project-b {promise}", has("pending", "offered"))
    walk.say("B finds the offer in its inbox, with the terms, and accepts it. Its server is a use of the image")
    walk.run("project-b", f"image share show {image}", has(image, "P30D", _MESSAGE), has_field("member_id", b))
    walk.run("project-b", "image share accept --all", has("golden-2", "accepted"))
    walk.run("project-b", f"image use add {image} server web-1", has("web-1"))
    return image


def _delete_with_notice(walk: Walk, image: str, disk: Path, saved: Path) -> None:
    walk.say("Before A deletes the image, it asks who would lose what, and when")
    impact = walk.run("project-a", f"image impact show {image}", has("project-b"))
    found = re.search(r"\| project-b +\| (\S+) +\| +1 +\|", impact)
    ends = found.group(1) if found else "(no end)"
    walk.say("A deletes the image. For A and for everybody else it is gone")
    walk.run("project-a", f"image delete {image}")
    walk.run("project-a", f"image show {image}", has("No Image found"), fails=True)
    walk.say(f"B rebuilds its server: the same id still answers, with the same bytes, until {ends}")
    walk.run("project-b", f"image save --file {shlex.quote(str(saved))} {image}")
    walk.compare(disk, saved)
    saved.unlink(missing_ok=True)
    walk.say("B sees that the share ends, why, and when")
    columns = "-c image_name -c status -c notice -c ending_reason -c ends_at"
    walk.run("project-b", f"image share show {image} {columns}", has_field("ending_reason", "deleted"), has(ends))


def _adopt(walk: Walk, image: str) -> None:
    walk.say(
        "B wants to keep the image for longer than that: it adopts the image. No bytes are copied, and the new image is B's own"
    )
    adopted = walk.run("project-b", f"image adopt {image} --name our-golden", has_field("adopted_from", image))
    walk.run("project-b", "image list --private", has(find_id(adopted), "our-golden"))


def _claim(walk: Walk, image: str) -> None:
    walk.say("A changes its mind and takes the image back, with its id, its member and its terms")
    walk.run("project-a", f"image restore {image}", has_field("id", image), has_field("status", "active"))
    walk.say("A wants to share it with somebody whose project id it does not know: it makes a claim code and sends it to them")
    code = find_value(walk.run("project-a", f"image code create {image} --notice 30d", has("partage-claim-")), "code")
    walk.say("C claims the share with the code, and is a member with the same promise")
    walk.run("project-c", f"image claim {code}", has_field("status", "accepted"), has_field("notice", "P30D"))
    walk.run("project-c", "image list --shared", has(image, "active"))
    walk.run("project-c", "image claim partage-claim-guessed", lacks(image), fails=True)


def _upload(walk: Walk, disk: Path, name: str) -> str:
    formats = "--disk-format qcow2 --container-format bare"
    words = f"image create --private {formats} --file {shlex.quote(str(disk))} {SHORT} {name}"
    return find_id(walk.run("project-a", words, has_field("status", "active")))
