"""`image share …`: offer images to projects, list, show and change shares, answer offers, end shares."""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

from partageclient import connections, errors, images, impacts, offering, parallel, projects, sharing
from partageclient.osc.commands import OneCommand, RowsCommand, add_dry_run
from partageclient.osc.impact import describe_losses, describe_users
from partageclient.osc.tables import Column
from partageclient.osc.terms import add_terms, read_terms
from partageclient.outcomes import Outcome
from partageclient.shares import STATUSES, Share

__all__ = ["AcceptShare", "CreateShare", "DeleteShare", "LeaveShare", "ListShare", "RejectShare", "SetShare", "ShowShare"]

_SHORT_ID = 9  # eight digits of a project's id and an ellipsis
SHARES = (
    Column("Image ID"),
    Column("Image Name", least=8),
    Column("Project", least=_SHORT_ID, for_programs=False),
    Column("Project ID", for_people=False),
    Column("Project Name", for_people=False),
    Column("Status"),
    Column("Ends At", for_people=False),
    Column("Notice", for_people=False),
    Column("Expires At", for_people=False),
    Column("Message", for_people=False),
    Column("Image Status", for_people=False),
    Column("Size", for_people=False),
    Column("Disk Format", for_people=False),
    Column("Offered At", for_people=False),
    Column("Answered At", for_people=False),
)
OUTCOMES = (
    Column("Image", least=12),
    Column("Project", least=_SHORT_ID),
    Column("Image ID", for_people=False),
    Column("Project ID", for_people=False),
    Column("Status"),
    Column("Result", least=12),
    Column("Ends At", for_people=False),
    Column("Was Made Shared", for_people=False),
    Column("Error", for_people=False),
)


class _OutcomesCommand(RowsCommand):
    """A command whose rows are outcomes: a row for each pair of image and project, a sentence for each failure."""

    words = "done"
    noun = "Images"
    outcomes: Sequence[Outcome] = ()

    def act(self, action: Callable[[parallel.Progress], list[Outcome]], parsed_args: argparse.Namespace) -> Any:
        """Carry out an action with progress; return its outcomes as a table."""
        with self.progress(f"{self.noun} {self.words}") as progress:
            self.outcomes = outcomes = self.finish(lambda: action(progress), self.words)
        for image_id, text in {each.image_id: each.image for each in outcomes if each.was_made_shared}.items():
            self.say(f"Image {text} ({image_id}) {'would become' if parsed_args.dry_run else 'was private and is now'} shared.")
        self.report(each.problem for each in outcomes if each.problem is not None)
        return self.build_table(parsed_args, OUTCOMES, [_make_outcome_row(each) for each in outcomes])


class CreateShare(_OutcomesCommand):
    """Offer images to projects, and accept for them where a profile of theirs is at hand"""  # noqa: D415 -- help of the command

    words = "shared"
    noun = "Pairs of image and project"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("images", metavar="<image>", nargs="+", help="Images to share (name or ID)")
        parser.add_argument(
            "--project",
            metavar="<project>",
            dest="projects",
            action="append",
            default=[],
            help="Project to share with: ID, name where you may look it up, or profile of clouds.yaml (repeat for several)",
        )
        parser.add_argument(
            "--accept-as",
            metavar="<cloud>",
            action="append",
            default=[],
            help="Accept with this profile of clouds.yaml, and prove it by showing the image as the member (repeat for several)",
        )
        add_terms(parser)
        parser.add_argument(
            "--no-make-shared",
            dest="make_shared",
            action="store_false",
            help="Refuse private images, instead of making them shared",
        )
        parser.add_argument("--force", action="store_true", help="Take projects as they are given, without checks")
        add_dry_run(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Share them."""
        terms, acceptors = read_terms(parsed_args), [connections.connect(each) for each in parsed_args.accept_as]
        shown = self.act(
            lambda progress: offering.share(
                self.cloud,
                parsed_args.images,
                parsed_args.projects,
                terms=terms,
                make_shared=parsed_args.make_shared,
                accept_as=acceptors,
                force=parsed_args.force,
                dry_run=parsed_args.dry_run,
                progress=progress,
            ),
            parsed_args,
        )
        if parsed_args.dry_run:
            self._say_users()
        return shown

    def _say_users(self) -> None:
        """Say who depends on images that have members already."""
        for image_id in dict.fromkeys(each.image_id for each in self.outcomes if each.problem is None):
            text = describe_users(impacts.impact(self.cloud, image_id))
            if text:
                self.say(text)


class ListShare(RowsCommand):
    """List the shares that the project has received (its inbox), or those that it offers (its outbox)"""  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        direction = parser.add_mutually_exclusive_group()
        direction.add_argument("--in", dest="is_out", action="store_false", help="List received shares (default)")
        direction.add_argument("--out", dest="is_out", action="store_true", help="List offered shares")
        parser.add_argument("--status", choices=STATUSES, help="Only shares with this answer of the member")
        parser.add_argument("--image", metavar="<image>", help="Only shares of this image (name or ID)")
        parser.add_argument("--project", metavar="<project>", help="Only shares with this other project (ID, name or profile)")
        parser.set_defaults(is_out=False)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """List them."""
        project = projects.resolve(self.cloud, parsed_args.project).id if parsed_args.project else None
        image = images.find_image(self.cloud, parsed_args.image)["id"] if parsed_args.image else None
        if parsed_args.is_out:
            with self.progress("Images asked for their members") as progress:
                found = sharing.outbox(self.cloud, status=parsed_args.status, member=project, progress=progress)
        else:
            found = sharing.inbox(self.cloud, status=parsed_args.status, owner=project)
        rows = [_make_row(each, is_out=parsed_args.is_out) for each in found if image in (None, each.image_id)]
        return self.build_table(parsed_args, SHARES, rows)


class ShowShare(OneCommand):
    """Show a share: the member's answer, and on Partage its terms and until when access lasts"""  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        _add_share(parser, is_project_required=False)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Show it."""
        return self.build_fields(asdict(sharing.find_share(self.cloud, parsed_args.image, parsed_args.project)))


class SetShare(OneCommand):
    """Change the terms of a share; what the member has accepted can only be extended"""  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        _add_share(parser, is_project_required=True)
        add_terms(parser)
        add_dry_run(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Change them."""
        terms = read_terms(parsed_args)
        if not terms.are_given:
            raise errors.Invalid("Change the terms of a share", "none is given", "Give --notice, --expires or --message")
        if parsed_args.dry_run:
            found = asdict(sharing.find_share(self.cloud, parsed_args.image, parsed_args.project))
            self.say(
                f"Would change {', '.join(f'{name} from {found[name]} to {value}' for name, value in terms.to_json().items())}."
            )
            return self.build_fields(found)
        return self.build_fields(asdict(sharing.change_terms(self.cloud, parsed_args.image, parsed_args.project, terms)))


class _AnswerCommand(_OutcomesCommand):
    """Answers offers: of the images that are named, of all, or of all from a project."""

    answer: Callable[..., list[Outcome]]

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("images", metavar="<image>", nargs="*", help="Images (name or ID)")
        parser.add_argument("--all", action="store_true", help="All offers that wait for an answer")
        parser.add_argument(
            "--from",
            dest="owner",
            metavar="<project>",
            help="All offers that wait from this project (ID, its first digits, name or profile)",
        )
        add_dry_run(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Answer them."""
        if bool(parsed_args.images) + parsed_args.all + bool(parsed_args.owner) != 1:
            raise errors.Invalid("Answer offers", "it is not clear which", "Name images, or give either --all or --from <project>")
        names = {} if parsed_args.images else self._list_waiting(parsed_args.owner)
        chosen = parsed_args.images or list(names)

        def answer(progress: parallel.Progress) -> list[Outcome]:
            outcomes = type(self).answer(self.cloud, chosen, dry_run=parsed_args.dry_run, progress=progress)
            return [replace(each, image=names.get(each.image_id, each.image)) for each in outcomes]

        return self.act(answer, parsed_args)

    def _list_waiting(self, owner: str | None) -> dict[str, str]:
        """List the images whose offers wait, by id, with their names."""
        waiting = sharing.inbox(self.cloud, status="pending")
        if owner is not None:
            prefixed = {
                each.owner_id for each in waiting if (each.owner_id or "").startswith(owner.rstrip("…")) or each.owner_name == owner
            }
            owner_id = prefixed.pop() if len(prefixed) == 1 else projects.resolve(self.cloud, owner).id
            waiting = [each for each in waiting if each.owner_id == owner_id]
        if not waiting:
            self.say("No offer waits for an answer.")
        return {each.image_id: each.image_name or each.image_id for each in waiting}


class AcceptShare(_AnswerCommand):
    """Accept offers"""  # noqa: D415 -- help of the command

    words = "accepted"
    answer = staticmethod(sharing.accept)


class RejectShare(_AnswerCommand):
    """Reject offers; a rejected offer can be accepted later"""  # noqa: D415 -- help of the command

    words = "rejected"
    answer = staticmethod(sharing.reject)


class LeaveShare(_OutcomesCommand):
    """Give up received shares; on plain Glance they are rejected, because only an owner can remove a member"""  # noqa: D415 -- help

    words = "left"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("images", metavar="<image>", nargs="+", help="Images (name or ID)")
        add_dry_run(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Leave them."""
        return self.act(
            lambda progress: sharing.leave(self.cloud, parsed_args.images, dry_run=parsed_args.dry_run, progress=progress),
            parsed_args,
        )


class DeleteShare(_OutcomesCommand):
    """End the shares of an image with projects: at once on plain Glance, after the notice on Partage"""  # noqa: D415 -- help

    words = "ended"
    noun = "Shares"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image>", help="Image (name or ID)")
        parser.add_argument(
            "--project",
            metavar="<project>",
            dest="projects",
            action="append",
            required=True,
            help="Project whose share ends: ID, its first digits, name or profile (repeat for several)",
        )
        add_dry_run(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """End them, and say before what members lose; on plain Glance only with --dry-run, because it asks every profile."""
        image, recipients = parsed_args.image, parsed_args.projects
        if parsed_args.dry_run:
            planned = sharing.unshare(self.cloud, image, recipients, dry_run=True)
            self._say_losses(planned)
            return self.act(lambda _progress: planned, parsed_args)
        if "impact" in self.cloud.features.names:
            self._say_losses(sharing.unshare(self.cloud, image, recipients, dry_run=True))
        return self.act(lambda progress: sharing.unshare(self.cloud, image, recipients, progress=progress), parsed_args)

    def _say_losses(self, planned: Sequence[Outcome]) -> None:
        names = {each.project_id: each.project for each in planned if each.result == sharing.WOULD_END}
        if not names:
            return
        try:
            found = impacts.find_impact_of_ends(self.cloud, planned[0].image_id, list(names))
        except errors.ClientError as problem:
            self.say(str(problem))
            return
        for each in (*describe_losses(found, names), *(f"{note}." for note in found.notes)):
            self.say(each)


def _add_share(parser: argparse.ArgumentParser, *, is_project_required: bool) -> None:
    parser.add_argument("image", metavar="<image>", help="Image (name or ID)")
    parser.add_argument(
        "--project", metavar="<project>", required=is_project_required, help="The member: ID, its first digits, name or profile"
    )


def _make_row(share: Share, *, is_out: bool) -> Sequence[Any]:
    project_id, name = (share.member_id, share.member_name) if is_out else (share.owner_id, share.owner_name)
    status = "ending" if share.ending_reason else share.status
    return (share.image_id, share.image_name, name or project_id, project_id, name, status, share.ends_at, share.notice,
            share.expires_at, share.message, share.image_status, share.size, share.disk_format, share.offered_at,
            share.answered_at)  # fmt: skip


def _make_outcome_row(outcome: Outcome) -> Sequence[Any]:
    error = None if outcome.problem is None else str(outcome.problem)
    return (outcome.image, outcome.project, outcome.image_id, outcome.project_id, outcome.status, outcome.result, outcome.ends_at,
            outcome.was_made_shared, error)  # fmt: skip
