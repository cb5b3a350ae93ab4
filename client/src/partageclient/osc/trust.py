"""`image trust …`: how the project answers offers in advance."""

import argparse
from typing import Any

from partageclient import projects, trust_rules
from partageclient.osc.commands import CloudCommand, OneCommand, RowsCommand, add_dry_run
from partageclient.osc.tables import Column

__all__ = ["ListTrust", "SetTrust", "UnsetTrust"]

RULES = (Column("Kind"), Column("ID"), Column("Rule"), Column("Updated At"), Column("Created At", for_people=False))


class _WithSender(CloudCommand):
    """A command about offers of one project or domain."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        sender = parser.add_mutually_exclusive_group(required=True)
        sender.add_argument("--project", metavar="<project>", help="Offers of this project (ID, name or profile)")
        sender.add_argument("--domain", metavar="<domain-id>", help="Offers of all projects of this domain (ID)")
        add_dry_run(parser)
        return parser

    def find_sender(self, parsed_args: argparse.Namespace) -> dict[str, str]:
        """Return whom the rule is for, as the functions take it."""
        if parsed_args.domain:
            return {"domain_id": parsed_args.domain}
        return {"project_id": projects.resolve(self.cloud, parsed_args.project).id or parsed_args.project}


class SetTrust(_WithSender, OneCommand):
    """Set how offers of a project or domain are answered"""  # noqa: D415 -- help

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Describe the options."""
        parser = super().get_parser(prog_name)
        parser.add_argument("rule", choices=trust_rules.RULES, help="What is done with offers that are made from now on")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Set it."""
        sender = self.find_sender(parsed_args)
        if parsed_args.dry_run:
            now = [each.rule for each in trust_rules.list_rules(self.cloud) if each.id in sender.values()]
            self.say(f"Would set the rule {parsed_args.rule}; now it is {now[0] if now else 'ask, as without a rule'}.")
            return self.build_fields({**sender, "rule": parsed_args.rule})
        made = trust_rules.set_rule(self.cloud, parsed_args.rule, **sender)
        same = ("kind", "id", "rule", "created_at", "updated_at")
        return self.build_fields({each: getattr(made, each) for each in same})


class UnsetTrust(_WithSender):
    """Remove the rule for offers of a project or domain: they are asked about again"""  # noqa: D415 -- help

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """Remove it."""
        sender = self.find_sender(parsed_args)
        if parsed_args.dry_run:
            now = [each.rule for each in trust_rules.list_rules(self.cloud) if each.id in sender.values()]
            self.say(f"Would remove the rule {now[0]}." if now else "There is no such rule.")
            self.status = 0 if now else 1
            return
        trust_rules.unset_rule(self.cloud, **sender)


class ListTrust(RowsCommand):
    """List the project's trust rules"""  # noqa: D415 -- help

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """List them."""
        rows = [[each.kind, each.id, each.rule, each.updated_at, each.created_at] for each in trust_rules.list_rules(self.cloud)]
        return self.build_table(parsed_args, RULES, rows)
