"""`image use …` and `image restore`: what depends on an image, and taking a deleted one back."""

import argparse
from typing import Any

from partageclient import restoring, uses
from partageclient.osc.commands import CloudCommand, OneCommand, RowsCommand, add_dry_run
from partageclient.osc.tables import Column

__all__ = ["AddUse", "ListUse", "RemoveUse", "RestoreImage"]

USES = (Column("Kind"), Column("ID"), Column("Last Seen"), Column("Recorded At", for_people=False))


class _OfUse(CloudCommand):
    """A command about one server or volume."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image>", help="Image (name or ID)")
        parser.add_argument("kind", choices=uses.KINDS, help="What uses it")
        parser.add_argument("use_id", metavar="<use-id>", help="ID of the server or volume")
        add_dry_run(parser)
        return parser

    def knows_use(self, parsed_args: argparse.Namespace) -> bool:
        """Return whether the use is recorded."""
        recorded = {(each.kind, each.use_id) for each in uses.list_uses(self.cloud, parsed_args.image)}
        return (parsed_args.kind, parsed_args.use_id) in recorded


class AddUse(_OfUse, OneCommand):
    """Tell the image service that a server or volume of the project depends on an image"""  # noqa: D415 -- help

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Record it."""
        if parsed_args.dry_run:
            known = self.knows_use(parsed_args)
            self.say("It is recorded already; would write that it was seen." if known else "Would record it.")
            return self.build_fields({"kind": parsed_args.kind, "id": parsed_args.use_id})
        made = uses.add_use(self.cloud, parsed_args.image, parsed_args.kind, parsed_args.use_id)
        return self.build_fields(
            {"kind": made.kind, "id": made.use_id, "recorded_at": made.recorded_at, "last_seen": made.last_seen}
        )


class RemoveUse(_OfUse):
    """Tell the image service that a server or volume does not depend on an image any more"""  # noqa: D415 -- help

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Release it."""
        if parsed_args.dry_run:
            self.say("Would remove it." if self.knows_use(parsed_args) else "It is not recorded; nothing to do.")
            return
        uses.remove_use(self.cloud, parsed_args.image, parsed_args.kind, parsed_args.use_id)


class ListUse(RowsCommand):
    """List the project's recorded uses of an image"""  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image>", help="Image (name or ID)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """List them."""
        found = uses.list_uses(self.cloud, parsed_args.image)
        return self.build_table(parsed_args, USES, [[each.kind, each.use_id, each.last_seen, each.recorded_at] for each in found])


class RestoreImage(OneCommand):
    """Take back an image that the project deleted, as long as the image service keeps it"""  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image-id>", help="ID of the deleted image")
        add_dry_run(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Restore it."""
        if parsed_args.dry_run:
            share = restoring.find_retained(self.cloud, parsed_args.image)
            self.say(f"Would restore the image; members keep it until {share.ends_at or 'further notice'}.")
            return self.build_fields({"id": share.image_id, "name": share.image_name, "size": share.size})
        image = restoring.restore(self.cloud, parsed_args.image)
        return self.build_fields({each: image.get(each) for each in ("id", "name", "status", "visibility", "size", "owner")})
