"""`image event list`: what happened to the project's images and shares."""

import argparse
import json
from typing import Any

from partageclient import image_events
from partageclient.image_events import ImageEvent
from partageclient.osc.commands import RowsCommand
from partageclient.osc.tables import Column
from partageclient.printable import make_printable

__all__ = ["ListEvent"]

EVENTS = (
    Column("Time"),
    Column("Type", least=12),
    Column("Image", least=9, for_programs=False),
    Column("By", for_programs=False),
    Column("Cursor", for_people=False),
    Column("Image ID", for_people=False),
    Column("Owner ID", for_people=False),
    Column("Member ID", for_people=False),
    Column("Role", for_people=False),
    Column("User ID", for_people=False),
    Column("Data", for_people=False),
)


class ListEvent(RowsCommand):
    """List what happened to the project's images and shares, the oldest first"""  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--after", metavar="<cursor>", help="Only events after this cursor, which -f json shows with each event"
        )
        parser.add_argument("--limit", metavar="<number>", type=int, help="At most so many")
        parser.add_argument(
            "--watch",
            action="store_true",
            help="Wait for events, and print each when it happens, until Ctrl-C; with -f json one document on a line",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """List them."""
        if parsed_args.watch:
            self._watch(parsed_args)
            return [], []
        found = image_events.list_events(self.cloud, after=parsed_args.after, limit=parsed_args.limit)
        return self.build_table(parsed_args, EVENTS, [_make_row(each) for each in found])

    def produce_output(self, parsed_args: argparse.Namespace, column_names: Any, data: Any) -> int:
        """Print the table, unless every event has been printed."""
        return 0 if parsed_args.watch else int(super().produce_output(parsed_args, column_names, data) or 0)

    def _watch(self, parsed_args: argparse.Namespace) -> None:
        """Print events as they happen: a table has no end here."""
        titles = [each.title for each in EVENTS if each.for_programs]
        try:
            for each in image_events.watch_events(self.cloud, after=parsed_args.after or "latest"):
                row = _make_row(each)
                cells = [cell for cell, column in zip(row, EVENTS, strict=True) if column.for_programs]
                if parsed_args.formatter == "json":
                    line = json.dumps(dict(zip(titles, cells, strict=True)))
                else:
                    line = "  ".join(str(cell) for cell, column in zip(row, EVENTS, strict=True) if column.for_people)
                self.app.stdout.write(f"{make_printable(line)}\n")
                self.app.stdout.flush()
        except KeyboardInterrupt:
            return


def _make_row(event: ImageEvent) -> list[Any]:
    name = event.data.get("image_name") or event.data.get("name") or event.image_id
    return [event.time, event.type, name, event.role, event.cursor, event.image_id, event.owner_id, event.member_id, event.role,
            event.user_id, event.data]  # fmt: skip
