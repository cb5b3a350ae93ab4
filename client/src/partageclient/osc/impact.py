"""`image impact show`: who would lose what if access to an image ended."""

import argparse
from collections.abc import Mapping
from typing import Any

from partageclient import impacts, projects
from partageclient.impacts import Impact, ProjectImpact
from partageclient.osc.commands import RowsCommand
from partageclient.osc.tables import Column

__all__ = ["ShowImpact"]

_UNKNOWN = "unknown"
_DATE = 10  # of an RFC 3339 time
IMPACT = (
    Column("Project", least=9, for_programs=False),
    Column("Project ID", for_people=False),
    Column("Project Name", for_people=False),
    Column("Role", for_people=False),
    Column("Status", for_people=False),
    Column("Ends", for_programs=False),
    Column("Ends", for_people=False),
    Column("Ends At", for_people=False),
    Column("Servers"),
    Column("Volumes"),
    Column("Snapshots"),
    Column("Server IDs", for_people=False),
    Column("Volume IDs", for_people=False),
    Column("Snapshot IDs", for_people=False),
)


def describe_losses(found: Impact, names: Mapping[str, str]) -> list[str]:
    """Say in a sentence for each project what it would lose. `names` are what the person calls the projects."""
    return [_describe_loss(each, names.get(each.project_id) or each.project_name or each.project_id) for each in found.projects]


def describe_users(found: Impact) -> str:
    """Say in a sentence how many other projects depend on an image; nothing if there are none."""
    others = [each for each in found.projects if each.role != impacts.OWNER]
    if not others:
        return ""
    uses = _count_uses(sum(each.servers or 0 for each in others), sum(each.volumes or 0 for each in others))
    unknown = sum(not each.is_known for each in others)
    rest = f" What {unknown} of them have of it is unknown." if unknown else ""
    projects = f"{len(others)} projects" if len(others) > 1 else "1 project"
    return f"Image {found.image_name or found.image_id} has {projects} as members already, with {uses} of it.{rest}"


def _describe_loss(row: ProjectImpact, name: str) -> str:
    when = f"at {row.ends_at}" if row.ends_at else {"now": "at once", "never": "never"}.get(row.ends, row.ends)
    if not row.is_known and not row.uses:
        return f"Project {name} loses access {when}. What it has of the image is unknown."
    unknown = "" if row.is_known else ", and more that cannot be seen"
    return f"Project {name} loses access {when}. It has {_count_uses(row.servers or 0, row.volumes or 0)} of the image{unknown}."


def _count_uses(servers: int, volumes: int) -> str:
    counted = ((servers, "server"), (volumes, "volume"))
    return (
        " and ".join(f"{number} {noun}{'' if number == 1 else 's'}" for number, noun in counted if number) or "no server or volume"
    )


class ShowImpact(RowsCommand):
    """Show who would lose what if access to an image ended

    On Partage the image service knows. On plain Glance, servers, volumes and snapshots are looked for in every project that a
    profile of clouds.yaml for the same cloud can see. What nobody can see is unknown.
    """  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image>", help="Image (name or ID)")
        parser.add_argument(
            "--action", choices=impacts.ACTIONS, default="delete", help="What would be done with the image (default: delete)"
        )
        parser.add_argument("--project", metavar="<project>", help="The member, for unshare (ID, name or profile)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Show it."""
        project_id = projects.resolve(self.cloud, parsed_args.project).id if parsed_args.project else None
        with self.progress("Projects asked for what they use") as progress:
            found = impacts.impact(
                self.cloud, parsed_args.image, action=parsed_args.action, project_id=project_id, progress=progress
            )
        for note in found.notes:
            self.say(f"{note}.")
        if found.is_open:
            self.say("The image is public or community: more projects may use it than are listed here.")
        return self.build_table(parsed_args, IMPACT, [self._make_row(each) for each in found.projects])

    def _make_row(self, row: ProjectImpact) -> list[Any]:
        name = row.project_name or row.project_id
        if row.role == impacts.OWNER:
            name = f"{(row.project_id == self.cloud.project_id and self.cloud.name) or name} (own)"
        end = row.ends_at[:_DATE] if row.ends == "later" and row.ends_at else row.ends
        numbers = [_UNKNOWN if each is None else each for each in (row.servers, row.volumes, row.snapshots)]
        return [name, row.project_id, row.project_name, row.role, row.status, end, row.ends, row.ends_at, *numbers,
                list(row.server_ids), list(row.volume_ids), list(row.snapshot_ids)]  # fmt: skip
