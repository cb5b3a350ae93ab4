"""`image code …` and `image claim`: claim codes."""

import argparse
from typing import Any

from partageclient import claim_codes, errors, shares
from partageclient.claim_codes import ClaimCode
from partageclient.osc.commands import CloudCommand, OneCommand, RowsCommand, add_dry_run
from partageclient.osc.tables import Column
from partageclient.osc.terms import add_terms, read_terms

__all__ = ["Claim", "CreateCode", "ListCode", "RevokeCode"]

CODES = (
    Column("ID"),
    Column("Uses Left"),
    Column("Uses"),
    Column("Expires At"),
    Column("Notice"),
    Column("Message", for_people=False),
    Column("Created At", for_people=False),
    Column("Image ID", for_people=False),
)


class CreateCode(OneCommand):
    """Create a claim code, with which any project can become a member of the image"""  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image>", help="Image (name or ID)")
        parser.add_argument("--uses", metavar="<number>", type=int, default=1, help="How many projects can use it (default: 1)")
        parser.add_argument("--code-expires", metavar="<time>", help="When the code expires: 7d, 2027-06-30 or a time (RFC 3339)")
        add_terms(parser)
        parser.add_argument("--no-make-shared", action="store_true", help="Refuse an image that is not shared yet")
        add_dry_run(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Create it."""
        terms = read_terms(parsed_args)
        expires_at = shares.parse_expiry(parsed_args.code_expires) if parsed_args.code_expires else None
        if parsed_args.dry_run:
            found = claim_codes.list_codes(self.cloud, parsed_args.image)
            self.say(f"Would create a claim code for {parsed_args.uses} projects; the image has {len(found)} codes now.")
            return self.build_fields(
                {"image": parsed_args.image, "uses": parsed_args.uses, "expires_at": expires_at, **terms.to_json()}
            )
        made = claim_codes.create_code(
            self.cloud,
            parsed_args.image,
            uses=parsed_args.uses,
            expires_at=expires_at,
            terms=terms,
            make_shared=not parsed_args.no_make_shared,
        )
        self.say("Send the code to whom the image is for. It is not shown again; it can be used with: openstack image claim CODE")
        return self.build_fields({"code": made.code, **_fields(made)})


class ListCode(RowsCommand):
    """List the claim codes of an image"""  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image>", help="Image (name or ID)")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """List them."""
        rows = [
            [each.id, each.uses_left, each.uses, each.expires_at, each.notice, each.message, each.created_at, each.image_id]
            for each in claim_codes.list_codes(self.cloud, parsed_args.image)
        ]
        return self.build_table(parsed_args, CODES, rows)


class RevokeCode(CloudCommand):
    """Revoke claim codes; shares that they have made stay"""  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image>", help="Image (name or ID)")
        parser.add_argument("codes", metavar="<code-id>", nargs="+", help="ID of a code (image code list shows them)")
        add_dry_run(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Revoke them."""
        if parsed_args.dry_run:
            known = {each.id for each in claim_codes.list_codes(self.cloud, parsed_args.image)}
            for each in parsed_args.codes:
                self.say(f"Would revoke {each}." if each in known else f"There is no code {each}.")
            self.status = 0 if known >= set(parsed_args.codes) else 1
            return
        problems = []
        for each in parsed_args.codes:
            try:
                claim_codes.revoke_code(self.cloud, parsed_args.image, each)
            except errors.ClientError as problem:
                problems.append(problem)
        self.report(problems)


class Claim(OneCommand):
    """Use a claim code: the project becomes a member of its image"""  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("code", metavar="<code>", help="The claim code")
        parser.add_argument(
            "--dry-run", action="store_true", help="Only check that the image service has claim codes: a code is tried by using it"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Claim it."""
        if parsed_args.dry_run:
            claim_codes.check_support(self.cloud)
            self.say(f"Would use the code for the project {self.cloud.project_id}.")
            return self.build_fields({"project_id": self.cloud.project_id})
        share = claim_codes.claim(self.cloud, parsed_args.code)
        same = ("image_id", "image_name", "owner_id", "owner_name", "status", "notice", "expires_at", "message")
        return self.build_fields({each: getattr(share, each) for each in same})


def _fields(code: ClaimCode) -> dict[str, Any]:
    same = ("id", "image_id", "uses", "uses_left", "expires_at", "notice", "message", "created_at")
    return {each: getattr(code, each) for each in same}
