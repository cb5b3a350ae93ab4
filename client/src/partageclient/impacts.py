"""Impact: who would lose what if access to an image ended.

Partage knows it. On plain Glance it is put together from what Nova, Cinder and Glance show to each profile of clouds.yaml that
belongs to the same cloud. What no profile can see is unknown, which is never written as zero.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openstack.connection import Connection

from partageclient import errors, images, parallel, uses_seen
from partageclient.connections import Cloud, as_cloud
from partageclient.images import Image
from partageclient.uses_seen import Looked, Seen

ACTIONS = ("delete", "private", "unshare")
OWNER, MEMBER, OTHER = "owner", "member", "other"


@dataclass(frozen=True)
class ProjectImpact:
    """What one project would lose.

    `role` is owner, member or other (a project that uses a public or community image). `status` is the member's answer. `ends` is
    now, later or never, and `ends_at` when (RFC 3339). Numbers are None where nobody knows. The ids are those that could be seen;
    Partage shows numbers only.
    """

    project_id: str
    role: str
    status: str | None = None
    project_name: str | None = None
    ends: str = "now"
    ends_at: str | None = None
    servers: int | None = None
    volumes: int | None = None
    snapshots: int | None = None
    server_ids: tuple[str, ...] = ()
    volume_ids: tuple[str, ...] = ()
    snapshot_ids: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether all numbers are known."""
        return None not in (self.servers, self.volumes)

    @property
    def uses(self) -> int:
        """The number of known servers and volumes."""
        return (self.servers or 0) + (self.volumes or 0)


@dataclass(frozen=True)
class Impact:
    """Who would lose what. `is_open`: projects without a share have access too, and not all of them can be known.

    `source` is service (Partage knows it) or profiles (put together from what they see). `notes` say why something is unknown.
    """

    image_id: str
    image_name: str | None
    action: str
    source: str
    projects: tuple[ProjectImpact, ...]
    is_open: bool = False
    notes: tuple[str, ...] = ()


def impact(
    conn: Connection | Cloud,
    image: str,
    *,
    action: str = "delete",
    project_id: str | None = None,
    profiles: Collection[str] | None = None,
    progress: parallel.Progress | None = None,
) -> Impact:
    """Say who would lose what if the project of `conn` did something with an image.

    Args:
        conn: the connection of the image's owner.
        image: its id or name.
        action: delete, private (make it private) or unshare (remove one member).
        project_id: the member, for unshare.
        profiles: profiles of clouds.yaml to look with, besides `conn`; all of the same cloud unless given. Not used on Partage.
        progress: is called with the number of projects that were asked.

    Raises:
        NotFound, Ambiguous: the image.
        Invalid: unshare without a project.
        ClientError: the image service does not answer or refuses. Other services that do not answer are notes.
    """
    cloud = as_cloud(conn)
    if action not in ACTIONS or (action == "unshare") != bool(project_id):
        raise errors.Invalid(
            f"Show the impact of {action}", "unshare needs a project, and nothing else has one", "Actions: delete, private, unshare"
        )
    found = images.find_image(cloud, image)
    if "impact" in cloud.features.names:
        return _ask_service(cloud, found, action, project_id)
    looked = uses_seen.look_everywhere(cloud, str(found["id"]), profiles, progress)
    return _put_together(cloud, found, action, project_id, looked)


def find_impact_of_ends(
    conn: Connection | Cloud, image_id: str, project_ids: Sequence[str], *, profiles: Collection[str] | None = None
) -> Impact:
    """Say what members would lose if their shares of an image ended: as `impact` does for unshare, for several at once.

    Raises:
        NotFound: a project is no member.
        ClientError: the image service does not answer or refuses.
    """
    cloud = as_cloud(conn)
    found = images.find_image(cloud, image_id)
    if "impact" in cloud.features.names:
        parts = parallel.read(lambda each: _ask_service(cloud, found, "unshare", each), project_ids)
    else:
        looked = uses_seen.look_everywhere(cloud, image_id, profiles)
        parts = [_put_together(cloud, found, "unshare", each, looked) for each in project_ids]
    rows = tuple(row for part in parts for row in part.projects)
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    source = parts[0].source if parts else "service"
    return Impact(image_id, found.get("name"), "unshare", source, rows, notes=tuple(notes))


def find_own_uses(conn: Connection | Cloud, image_id: str) -> ProjectImpact:
    """Say what the project of `conn` itself has of an image: servers, volumes, snapshots. What cannot be seen is None.

    Raises:
        NotSignedIn, Unreachable: the cloud gives no token.
    """
    cloud = as_cloud(conn)
    return _row(uses_seen.look(cloud, image_id), cloud.project_id, MEMBER, None)


def _ask_service(cloud: Cloud, image: Image, action: str, project_id: str | None) -> Impact:
    asked = f"Show the impact of {action} on image {image['id']}"
    query = {"action": action, **({"project": project_id} if project_id else {})}
    document = cloud.request("GET", f"/partage/v1/images/{image['id']}/impact", query=query, asked=asked).document
    rows = [_read(each) for each in document["projects"]]
    notes: tuple[str, ...] = ()
    if action == "delete" and image.get("owner") == cloud.project_id:
        seen = uses_seen.look(cloud, str(image["id"]))
        rows.insert(0, _row(seen, cloud.project_id, OWNER, None))
        notes = seen.notes
    left_out = document.get("projects_left_out")
    notes += (f"{left_out} more projects are not listed",) if left_out else ()
    return Impact(
        image["id"],
        image.get("name"),
        action,
        "service",
        tuple(rows),
        is_open=bool(document.get("ends_for_everybody")),
        notes=notes,
    )


def _read(row: Mapping[str, Any]) -> ProjectImpact:
    uses = row.get("uses")
    known: Mapping[str, Any] = uses if isinstance(uses, dict) else {}
    return ProjectImpact(
        project_id=str(row["project_id"]),
        role=MEMBER,
        status=row.get("status"),
        project_name=row.get("project_name"),
        ends=str(row["ends"]),
        ends_at=row.get("ends_at"),
        servers=_number(known.get("servers")),
        volumes=_number(known.get("volumes")),
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _put_together(cloud: Cloud, image: Image, action: str, project_id: str | None, looked: Looked) -> Impact:
    members = {each["member_id"]: each.get("status") for each in _list_members(cloud, image)}
    if project_id and project_id not in members:
        asked = f"Show the impact of unshare on image {image['id']}"
        raise errors.NotFound(
            asked, f"the image is not shared with project {project_id}", "`openstack image member list` shows its members"
        )
    is_open = image.get("visibility") in ("public", "community") and action != "unshare"
    by_project = {each.project_id: each for each in looked.seen}
    rows = []
    if action == "delete" and image.get("owner"):
        rows.append(_row(by_project.get(image["owner"]), image["owner"], OWNER, None))
    for_sure = looked.sees_all_projects
    affected = [project_id] if project_id else members
    rows += [_row(by_project.get(each), each, MEMBER, members[each], sees_all=for_sure) for each in affected]
    listed = {each.project_id for each in rows} | {image.get("owner")}
    others = [each for each in looked.seen if is_open and each.project_id not in listed and each.has_uses]
    rows += [_row(each, each.project_id, OTHER, None) for each in others]
    notes = tuple(dict.fromkeys(looked.notes + tuple(note for each in looked.seen for note in each.notes)))
    unseen = [each.project_id for each in rows if not each.is_known]
    if unseen:
        notes += (f"No profile sees what {len(unseen)} of the projects use",)
    return Impact(
        image["id"],
        image.get("name"),
        action,
        "profiles",
        tuple(rows),
        is_open=is_open and not looked.sees_all_projects,
        notes=notes,
    )


def _list_members(cloud: Cloud, image: Image) -> list[dict[str, Any]]:
    if image.get("visibility") != "shared" and image.get("owner") != cloud.project_id:
        return []
    path = f"/v2/images/{image['id']}/members"
    response = cloud.request("GET", path, asked=f"List the members of image {image['id']}", also=(403, 404))
    document = response.document
    return list(document.get("members", [])) if isinstance(document, dict) else []


def _row(seen: Seen | None, project_id: str, role: str, status: str | None, *, sees_all: bool = False) -> ProjectImpact:
    """Make a row; a project that nobody sees is unknown, unless an administrator's profile sees all and has found nothing of it."""
    if seen is None and sees_all:
        seen = Seen(project_id, (), (), ())
    if seen is None:
        return ProjectImpact(project_id, role, status)
    servers, volumes, snapshots = seen.servers, seen.volumes, seen.snapshots
    return ProjectImpact(
        project_id,
        role,
        status,
        servers=None if servers is None else len(servers),
        volumes=None if volumes is None else len(volumes),
        snapshots=None if snapshots is None else len(snapshots),
        server_ids=servers or (),
        volume_ids=volumes or (),
        snapshot_ids=snapshots or (),
    )
