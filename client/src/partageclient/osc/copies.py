"""`image adopt` and `image transfer`: copies of images within a cloud, and between regions, clouds and accounts."""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from partageclient import adoption, connections, errors, impacts, transfers
from partageclient.connections import Cloud
from partageclient.copying import Copied, Observer
from partageclient.osc.commands import CloudCommand, OneCommand, RowsCommand, add_dry_run
from partageclient.osc.tables import Column, Shortened
from partageclient.progress import BytesLine, format_bytes
from partageclient.resumable_uploads import Unfinished
from partageclient.transfers import Planned, Transferred

__all__ = ["AdoptImage", "TransferImage"]

_VALUE_WIDTH = 60  # "| resumed_from | value |" fits 80 columns

TRANSFER = (
    Column("Name", least=6),
    Column("Source ID", for_people=False),
    Column("ID"),
    Column("Size", for_programs=False),
    Column("Size", for_people=False),
    Column("Bytes", for_people=False),
    Column("Result"),
    Column("Method", for_people=False),
    Column("Verified", for_people=False),
    Column("Left Out", for_people=False),
    Column("Error", for_people=False),
)


@contextmanager
def _observe(command: CloudCommand, name: str) -> Iterator[Observer]:
    """Show the progress of one image, and say what there is to say on a line of its own."""
    line = BytesLine(name)

    def say(text: str) -> None:
        line.close()
        command.say(text)

    try:
        yield Observer(line, say)
    finally:
        line.close()


def _say_half_made(command: CloudCommand, half_made: Iterable[Mapping[str, Any]], begun: Unfinished | None) -> None:
    for each in half_made:
        if begun is not None and each["id"] == begun.image["id"]:
            command.say(f"Would go on with image {each['id']} from byte {begun.offset}, where an interrupted run has ended.")
        else:
            command.say(f"Would remove image {each['id']}, which an interrupted run has left half made.")


class AdoptImage(OneCommand):
    """Make an own image of one that is shared with the project

    On Partage at once, without copying bytes. On plain Glance the data goes through this machine, without a temporary file, and is
    compared; a download that breaks off is resumed, an upload begins anew, because Glance cannot go on with one.
    """  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image>", help="Image to adopt (name or ID)")
        parser.add_argument("--name", metavar="<name>", help="Name of the new image (default: that of the source)")
        parser.add_argument(
            "--project-cloud",
            metavar="<cloud>",
            help="Profile of clouds.yaml of the project that gets the image (default: the cloud in use, which then also reads it)",
        )
        add_dry_run(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Adopt it."""
        project = connections.connect(parsed_args.project_cloud) if parsed_args.project_cloud else self.cloud
        reader = self.cloud if parsed_args.project_cloud else None
        plan = adoption.plan_adoption(project, parsed_args.image, name=parsed_args.name, reader=reader)
        if parsed_args.dry_run:
            _say_half_made(self, plan.half_made, plan.begun)
            name = plan.metadata.document["name"]
            fields = {"name": name, "adopted_from": plan.image["id"], "method": plan.method, "bytes_to_copy": plan.bytes}
            return self.build_fields(_lay_out(fields, plan.metadata.left_out, parsed_args))
        with _observe(self, str(plan.metadata.document["name"])) as observer:
            copied = adoption.carry_out(plan, observer=observer)
        self._mention_servers(project, plan.image)
        return self.build_fields(_lay_out(_describe(copied, plan.image), copied.left_out, parsed_args))

    def _mention_servers(self, project: Cloud, image: Mapping[str, Any]) -> None:
        """Say which servers still ask for the source: adoption does not change them."""
        servers = impacts.find_own_uses(project, str(image["id"])).servers
        if servers:
            several = f"{servers} servers of the project were" if servers > 1 else "1 server of the project was"
            self.say(
                f"{several} made from the source, and will still ask for it ({image['id']}) when rebuilt, rescued or migrated."
            )


class TransferImage(RowsCommand):
    """Copy images to another region, cloud or account

    Chooses for each image: the destination reads it by itself where it can (glance-download), otherwise the data goes through this
    machine. What is already there is not copied again, so an interrupted transfer is continued by the same command: within an image
    on Partage, with the next image on plain Glance.
    """  # noqa: D415 -- help

    auth_required = False  # its clouds are named in its arguments, so that it needs no --os-cloud

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "sources",
            metavar="<cloud>:<image>",
            nargs="+",
            help="Profile of clouds.yaml, and an image (name or ID), or a pattern for names of its own images such as 'backup-*'",
        )
        parser.add_argument("destination", metavar="<destination-cloud>", help="Profile of clouds.yaml of the destination")
        parser.add_argument("--source-region", metavar="<region>", help="Region of the sources (default: that of the profile)")
        parser.add_argument(
            "--destination-region", metavar="<region>", help="Region of the destination (default: that of the profile)"
        )
        parser.add_argument(
            "--property",
            metavar="<key=value>",
            action="append",
            default=[],
            help="Only images with this property (repeat for several)",
        )
        add_dry_run(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Transfer them."""
        properties = dict(_split(each, "=", "a property as key=value") for each in parsed_args.property)
        pairs = [_split(each, ":", "a source as CLOUD:IMAGE") for each in parsed_args.sources]
        destination = connections.connect(parsed_args.destination, parsed_args.destination_region)
        clouds = {name: connections.connect(name, parsed_args.source_region) for name in dict.fromkeys(name for name, _ in pairs)}
        plans = _plan(pairs, clouds, destination, properties)
        moved: dict[int, int] = {}
        if parsed_args.dry_run:
            moved = {id(each): transfers.estimate_bytes(each, destination) for each in plans}
            for each in plans:
                _say_half_made(self, each.earlier.half_made, each.begun)
            self._say_bytes(plans, moved)
            results = [Transferred(each, problem=each.problem) for each in plans]
        else:
            results = self._transfer(plans, destination)
        self.report(each.problem for each in results if each.problem is not None)
        rows = [_make_row(each, moved.get(id(each.planned)), is_dry_run=parsed_args.dry_run) for each in results]
        return self.build_table(parsed_args, TRANSFER, rows)

    def _say_bytes(self, plans: list[Planned], moved: Mapping[int, int]) -> None:
        total = sum(each.bytes for each in plans)
        self.say(f"Would copy {format_bytes(total)} through this machine ({total} bytes).")
        imports = [each for each in plans if each.method == "import"]
        if imports:
            fetched = sum(moved[id(each)] for each in imports)
            size = sum(int(each.image["size"]) for each in imports)
            self.say(
                f"The destination would fetch about {format_bytes(fetched)} of {format_bytes(size)} by itself ({fetched} bytes)."
            )

    def _transfer(self, plans: list[Planned], destination: Cloud) -> list[Transferred]:
        lines: list[BytesLine] = []

        def observe(planned: Planned) -> Observer:
            for each in lines:
                each.close()
            lines.append(BytesLine(str(planned.image.get("name") or planned.image["id"])))

            def say(text: str) -> None:
                lines[-1].close()
                self.say(text)

            return Observer(lines[-1], say)

        try:
            return self.finish(lambda: transfers.carry_out(plans, destination, observe=observe), "images done", rest="not done")
        finally:
            for each in lines:
                each.close()


def _plan(
    pairs: Iterable[tuple[str, str]], clouds: Mapping[str, Cloud], destination: Cloud, properties: Mapping[str, str]
) -> list[Planned]:
    """Plan each image once, also if several patterns match it."""
    plans: dict[tuple[str, str], Planned] = {}
    for name, text in pairs:
        chosen = transfers.choose_images(clouds[name], text, properties)
        new = [each for each in chosen if (name, each["id"]) not in plans]
        plans |= {(name, each.image["id"]): each for each in transfers.plan_transfer(clouds[name], new, destination)}
    return list(plans.values())


def _split(text: str, separator: str, what: str) -> tuple[str, str]:
    before, found, after = text.partition(separator)
    if not found or not before:
        raise errors.Invalid(f"Read {text}", f"it has no {separator}", f"Write {what}")
    return before, after


def _describe(copied: Copied, source: Mapping[str, Any]) -> dict[str, Any]:
    image = copied.image
    return {
        "id": image["id"],
        "name": image.get("name"),
        "status": image["status"],
        "size": image.get("size"),
        "project_id": image.get("owner"),
        "adopted_from": source["id"],
        "method": copied.method,
        "verified": copied.verified,
        "resumed_from": list(copied.resumed_from),
    }


def _lay_out(fields: dict[str, Any], left_out: Mapping[str, str], parsed_args: argparse.Namespace) -> dict[str, Any]:
    """Add what was left out; for people each property on a line, and no line longer than the table."""
    if parsed_args.formatter != "table":
        return {**fields, "left_out": dict(left_out)}
    shown = {key: Shortened(value, _VALUE_WIDTH) for key, value in fields.items() if value not in ([], None)}
    lines = [f"{key}: {reason}" for key, reason in left_out.items()]
    return {**shown, **({"left_out": "\n".join(each[:_VALUE_WIDTH] for each in lines)} if lines else {})}


def _make_row(result: Transferred, moved: int | None, *, is_dry_run: bool) -> list[Any]:
    image, planned, copied = result.planned.image, result.planned, result.copied
    size = int(image.get("size") or 0)
    words = {"present": "present", "refused": "refused", "import": "import", "adopt": "adopt", "stream": "copy"}
    done = "present" if copied is not None and copied.method == "present" else "copied"
    outcome = words[planned.method] if is_dry_run else (done if copied is not None else "failed")
    whole = planned.earlier.whole if copied is None else copied.image
    left_out = planned.metadata.left_out if copied is None else copied.left_out
    return [image.get("name"), image["id"], whole["id"] if whole else None, format_bytes(size), size, moved, outcome,
            copied.method if copied else planned.method, copied.verified if copied else None, dict(left_out),
            str(result.problem) if result.problem else None]  # fmt: skip
