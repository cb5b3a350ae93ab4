"""The sharing guide: every command that two projects type, from the upload to the deletion, and what each of them then sees.

Braces are places: {image} is the id that `image create` printed, {a} to {d} are the ids of the four projects.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """What is about to happen."""

    text: str


@dataclass(frozen=True)
class Command:
    """One command line of a cloud's user. `names` is what the image that it creates is called from here on."""

    who: str
    line: str
    names: str = ""


@dataclass(frozen=True)
class Comparison:
    """Compare a saved file with what was uploaded, and remove it."""

    saved: str
    uploaded: str


Step = Remark | Command | Comparison

CREATE = "image create --container-format bare --file"


def a(line: str, names: str = "") -> Command:
    return Command("project-a", line, names)


def b(line: str) -> Command:
    return Command("project-b", line)


def c(line: str) -> Command:
    return Command("project-c", line)


def d(line: str) -> Command:
    return Command("project-d", line)


STEPS: tuple[Step, ...] = (
    Remark("A uploads a disk image; B and C are other projects"),
    a(f"{CREATE} small.raw --disk-format raw pfsense", names="image"),
    Remark("the guide's next step: a new image is 'shared' with nobody, not private, so the first of these lists is empty"),
    a("image list --private"),
    a("image list --shared"),
    Remark("so that the rest can be followed to the letter"),
    a("image set --private {image}"),
    a("image list --private"),
    Remark("before sharing: B cannot see it; adding a member while it is private"),
    b("image show {image}"),
    a("image add project {image} {b}"),
    a("image set --shared {image}"),
    a("image show {image}"),
    a("image add project {image} {b}"),
    Remark("adding the same project twice"),
    a("image add project {image} {b}"),
    Remark("adding by name: needs the identity API to look the project up, which a member may not"),
    a("image add project {image} project-c"),
    a("image add project {image} {c}"),
    Remark("adding a project that does not exist, and the owner itself"),
    a("image add project {image} 00000000000000000000000000000000"),
    a("image remove project {image} 00000000000000000000000000000000"),
    a("image add project {image} {a}"),
    a("image member list {image}"),
    b("image member list {image}"),
    Remark("B before accepting: can show by id, not in the default list"),
    b("image show {image}"),
    b("image list"),
    b("image list --shared"),
    b("image list --member-status pending --shared"),
    b("image list --member-status all --shared"),
    a("image set --accept {image}"),
    b("image set --accept {image}"),
    b("image show {image}"),
    b("image list"),
    b("image list --shared"),
    b("image list --member-status accepted --shared"),
    b("image list --member-status rejected --shared"),
    b("image save --file saved.raw {image}"),
    Comparison("saved.raw", "small.raw"),
    Remark("A: B accepted, C pending"),
    a("image member list {image}"),
    a("image member get {image} {b}"),
    b("image member get {image} {b}"),
    b("image member get {image} {c}"),
    Remark("B must not modify, delete, share on, or deactivate"),
    b("image set --property os_distro=freebsd {image}"),
    b("image set --name mine {image}"),
    b("image set --tag mine {image}"),
    b("image set --private {image}"),
    b("image add project {image} {c}"),
    b("image remove project {image} {b}"),
    b("image set --deactivate {image}"),
    b("image delete {image}"),
    Remark("a protected image cannot be deleted"),
    a("image set --protected {image}"),
    a("image delete {image}"),
    a("image set --unprotected {image}"),
    Remark("B rejects, then accepts again, then back to pending"),
    b("image set --reject {image}"),
    b("image list --shared"),
    b("image list --member-status rejected --shared"),
    b("image show {image}"),
    b("image set --pending {image}"),
    b("image set --accept {image}"),
    Remark("a project that was never invited (D)"),
    d("image show {image}"),
    d("image member list {image}"),
    d("image set --accept {image}"),
    d("image save --file x.raw {image}"),
    Remark("C is still pending"),
    c("image show {image}"),
    c("image member list {image}"),
    Remark("back to private while it has members, and shared again"),
    a("image set --private {image}"),
    b("image show {image}"),
    a("image member list {image}"),
    a("image set --shared {image}"),
    b("image show {image}"),
    Remark("community and public"),
    a("image set --community {image}"),
    d("image show {image} -c id -c visibility"),
    d("image list"),
    d("image list --community --name pfsense"),
    a("image add project {image} {d}"),
    a("image set --public {image}"),
    a("image set --shared {image}"),
    Remark("A withdraws B"),
    a("image remove project {image} {b}"),
    b("image show {image}"),
    b("image list --shared"),
    a("image member list {image}"),
    a("image remove project {image} {b}"),
    Remark("A deactivates, C (accepted) saves"),
    c("image set --accept {image}"),
    a("image set --deactivate {image}"),
    c("image save --file x.raw {image}"),
    a("image set --activate {image}"),
    Remark("A deletes while C is a member"),
    a("image delete {image}"),
    c("image show {image}"),
    c("image list --shared"),
    a("image member list {image}"),
    Remark("a qcow2 declared raw, and the reverse"),
    a(f"{CREATE} small.qcow2 --disk-format raw wrongraw", names="wrongraw"),
    a(f"{CREATE} small.raw --disk-format qcow2 wrongqcow"),
    a("image list --sort name:asc"),
    a(f"{CREATE} small.qcow2 --disk-format qcow2 rightqcow", names="rightqcow"),
    a("image list --sort name:asc"),
)
